"""What a watch over a fix knows: the claim, the time before it, exposure, what was not counted, its days, and whether it came back.

Revision: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSONB = postgresql.JSONB(astext_type=sa.Text())


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '5s'")
    for column in (
        sa.Column("claim", JSONB, server_default="{}", nullable=False),
        sa.Column("before", JSONB, server_default="{}", nullable=False),
        sa.Column("exposed_days", sa.Double(), server_default="0", nullable=False),
        sa.Column("not_counted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("history", JSONB, server_default="[]", nullable=False),
        sa.Column("returned_at", sa.DateTime(timezone=True), nullable=True),
    ):
        op.add_column("verifications", column)
    # Watches from before know their old rate only: over the 90 days it was measured on.
    op.execute(
        "UPDATE verifications SET before = jsonb_build_object('failing_days', round(rate_per_day * 90), 'days', 90, 'dispersion', 1)"
    )
    op.create_index(
        "ix_issues_release", "issues", ["workspace_id", "release", "occurred_at"], postgresql_where=sa.text("release IS NOT NULL")
    )


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
