"""Any filters together find their issues in one index, and count them there.

Revision: 0026
"""

from __future__ import annotations

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

# What has few values stands first: a filter that is not given is skipped over (PostgreSQL 18), and what is given later is still looked up.
FACETS = (
    "status",
    "severity",
    "kind",
    "analysis_status",
    "source",
    "team",
    "service",
    "risk_score",
    "occurred_at",
    "pattern_id",
    "assignee_id",
    "created_at",
    "id",
)


def upgrade() -> None:
    op.create_index("ix_issues_facets", "issues", ["workspace_id", *FACETS])


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
