"""One logo: a picture is kept inside an SVG, so its own column goes.

Revision: 0013
"""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '5s'")
    op.drop_column("workspaces", "brand_logo_png")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
