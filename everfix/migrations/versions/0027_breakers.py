"""Circuit breakers, and since when a delivery is held by one.

Revision: 0027
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "breakers",
        sa.Column("workspace_id", sa.Uuid(), server_default=sa.text(policies.CURRENT), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="closed", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("openings", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("probe", sa.Text(), nullable=True),
        sa.Column("cause", sa.Text(), server_default="", nullable=False),
        sa.Column("holds", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("history", postgresql.JSONB(), server_default="[]", nullable=False),
        sa.CheckConstraint("state IN ('closed', 'open', 'half_open')", name=op.f("ck_breakers_state")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_breakers")),
    )
    op.create_index("uq_breakers_name", "breakers", ["workspace_id", "name"], unique=True)
    policies.protect("breakers")
    policies.owner_sees_all("breakers")
    op.execute(
        """
        CREATE FUNCTION everfix_due_breakers(at timestamptz) RETURNS TABLE (workspace_id uuid, breaker_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
        AS $$
            SELECT b.workspace_id, b.id FROM breakers b WHERE b.holds AND b.retry_at <= at ORDER BY b.retry_at LIMIT 1000
        $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION everfix_due_breakers(timestamptz) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION everfix_due_breakers(timestamptz) TO {policies.role()}")
    op.add_column("deliveries", sa.Column("held_since", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
