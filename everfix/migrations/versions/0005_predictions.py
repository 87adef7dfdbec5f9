"""What people say of predictions: outcomes by hand, dismissals that last for the window, feedback.

Revision: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '5s'")
    for column in (
        sa.Column("outcome_by", sa.Text(), nullable=True),
        sa.Column("dismissed_reason", sa.Text(), nullable=True),
        sa.Column("dismissed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("feedback", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
    ):
        op.add_column("predictions", column)


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
