"""Watches keep the status that their watcher was last told, so that a change is told once.

Revision: 0019
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database up by this step."""
    op.add_column("pattern_watches", sa.Column("status", sa.Text(), nullable=True))
    op.execute(
        "UPDATE pattern_watches w SET status = p.status FROM patterns p WHERE p.workspace_id = w.workspace_id AND p.id = w.pattern_id"
    )
    op.alter_column("pattern_watches", "status", nullable=False)


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
