"""Recipients choose for themselves: preferences, digests, and when an owner was told of a failure.

Revision: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from everfix.migrations import policies

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("digest_id", sa.Uuid(), nullable=True))
    op.add_column("deliveries", sa.Column("told_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_deliveries_digest",
        "deliveries",
        ["workspace_id", "digest_id"],
        unique=False,
        postgresql_where=sa.text("digest_id IS NOT NULL"),
    )
    op.create_table(
        "recipient_preferences",
        sa.Column("workspace_id", sa.Uuid(), server_default=sa.text(policies.CURRENT), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("schedule_id", sa.Uuid(), nullable=True),
        sa.Column("frequency", sa.Text(), server_default="each", nullable=False),
        sa.Column("snoozed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsubscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("frequency IN ('each', 'daily', 'weekly')", name=op.f("ck_recipient_preferences_frequency")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_recipient_preferences")),
    )
    op.create_index(
        "uq_recipient_preferences",
        "recipient_preferences",
        ["workspace_id", "channel", "recipient", "schedule_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    policies.protect("recipient_preferences")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
