"""How often a workspace asked for what is limited.

Revision: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from everfix.migrations import policies

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "limits_spent",
        sa.Column("workspace_id", sa.Uuid(), server_default=sa.text(policies.CURRENT), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "name", name=op.f("pk_limits_spent")),
    )
    policies.protect("limits_spent")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
