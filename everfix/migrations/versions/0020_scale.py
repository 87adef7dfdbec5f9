"""Indexes for lists of a million issues: each filter that leaves many, in the default order, and the audit log of one thing.

Revision: 0020
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

FILTERS = ("status", "severity", "team", "service", "source", "analysis_status")
SORTS = ("status", "severity")


def upgrade() -> None:
    for column in FILTERS:
        op.create_index(f"ix_issues_{column}", "issues", ["workspace_id", column, "created_at", "id"])
    for column in SORTS:
        op.create_index(f"ix_issues_by_{column}", "issues", ["workspace_id", column, "id"])
    op.create_index("ix_issues_source_created_up", "issues", ["workspace_id", "source_created_at", "id"])
    op.create_index(
        "ix_issues_assignee",
        "issues",
        ["workspace_id", "assignee_id", "created_at", "id"],
        postgresql_where=sa.text("assignee_id IS NOT NULL"),
    )
    newest = [sa.text("source_created_at DESC NULLS LAST"), sa.text("id DESC")]
    op.create_index("ix_issues_source_created", "issues", ["workspace_id", *newest])
    op.create_index("ix_audit_log_target", "audit_log", ["workspace_id", "target_id", "number"])


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
