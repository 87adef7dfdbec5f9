"""Changes are listed by time, the newest first.

Revision: 0025
"""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_changes_newest", "changes", ["workspace_id", "occurred_at", "id"])


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
