"""The words over a dashboard, kept for one hour.

Revision: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dashboard_stories",
        sa.Column("workspace_id", sa.Uuid(), server_default=sa.text(policies.CURRENT), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("dashboard", sa.Text(), nullable=False),
        sa.Column("days", sa.Integer(), nullable=False),
        sa.Column("segment", sa.Text(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("words", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_dashboard_stories")),
    )
    op.create_index("uq_dashboard_stories_view", "dashboard_stories", ["workspace_id", "dashboard", "days", "segment"], unique=True)
    policies.protect("dashboard_stories")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
