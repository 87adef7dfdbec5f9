"""ML reports: what each such run is about.

Revision: 0018
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
JSON = postgresql.JSONB(astext_type=sa.Text())
NOW = sa.text("now()")
# A report on ML work is there for those who may see its project.
THEIRS = f"SELECT m.project_id FROM ml_members m WHERE m.user_id = {policies.VIEWER}"  # noqa: S608 - our own words
OTHERS = f"NOT EXISTS (SELECT FROM ml_reports s WHERE s.run_id = report_runs.id AND s.project_id NOT IN ({THEIRS}))"


def upgrade() -> None:
    op.create_table(
        "ml_reports",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("entity_id", sa.Uuid(), nullable=False),
        sa.Column("options", JSON, server_default="{}", nullable=False),
        sa.Column("summary", JSON, server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "kind IN ('experiment', 'model', 'project', 'synthgen', 'deployment', 'privacy')", name=op.f("ck_ml_reports_kind")
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_reports")),
        _refers("run_id", "report_runs"),
        _refers("project_id", "ml_projects"),
    )
    op.create_index("uq_ml_reports_run", "ml_reports", ["workspace_id", "run_id"], unique=True)
    op.create_index("ix_ml_reports_project", "ml_reports", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_index("ix_ml_reports_entity", "ml_reports", ["workspace_id", "entity_id"], unique=False)
    policies.protect("ml_reports")
    policies.hide("report_runs", OTHERS)


def _refers(column: str, table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["workspace_id", column],
        [f"{table}.workspace_id", f"{table}.id"],
        name=op.f(f"fk_ml_reports_workspace_id_{column}"),
        ondelete="CASCADE",
    )


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
