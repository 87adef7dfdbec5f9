"""Tickets that recommendations became, and who attests a fix.

Revision: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from everfix.migrations import policies

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '5s'")
    op.add_column("recommendations", sa.Column("attestation_note", sa.Text(), server_default="", nullable=False))
    op.add_column("recommendations", sa.Column("attested_by", sa.Text(), nullable=True))
    op.add_column("recommendations", sa.Column("attested_at", sa.DateTime(timezone=True), nullable=True))
    op.create_table(
        "tickets",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recommendation_id", sa.Uuid(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("destination_id", sa.Uuid(), nullable=False),
        sa.Column("tracker", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('open', 'started', 'done', 'cancelled')", name=op.f("ck_tickets_state")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "delivery_id"],
            ["deliveries.workspace_id", "deliveries.id"],
            name=op.f("fk_tickets_workspace_id_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "recommendation_id"],
            ["recommendations.workspace_id", "recommendations.id"],
            name=op.f("fk_tickets_workspace_id_recommendation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_tickets")),
    )
    op.create_index("ix_tickets_recommendation", "tickets", ["workspace_id", "recommendation_id"], unique=False)
    op.create_index("uq_tickets_delivery", "tickets", ["workspace_id", "delivery_id"], unique=True)
    policies.protect("tickets")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
