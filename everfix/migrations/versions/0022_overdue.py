"""What the watchdog found and its owner was told of, so that each finding is told once.

Revision: 0022
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from everfix.migrations import policies

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database up by this step."""
    op.create_table(
        "overdue_told",
        sa.Column("workspace_id", sa.Uuid(), server_default=sa.text(policies.CURRENT), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_overdue_told")),
    )
    op.create_index("uq_overdue_told", "overdue_told", ["workspace_id", "kind", "subject_id", "since"], unique=True)
    policies.protect("overdue_told")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
