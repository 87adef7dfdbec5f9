"""Analyses of a window: all of them, since the share that the rules had to write counts those by rules too.

Revision: 0021
"""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_analyses_made", "analyses")
    op.create_index("ix_analyses_made", "analyses", ["workspace_id", "created_at"])


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
