"""Analyses: the root cause of an issue, version by version, with the evidence it rests on.

Revision: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
JSON = postgresql.JSONB(astext_type=sa.Text())
TEXTS = postgresql.ARRAY(sa.Text())


def upgrade() -> None:
    op.create_table(
        "analyses",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("issue_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("root_cause", sa.Text(), nullable=False),
        sa.Column("the_cause", sa.Text(), nullable=False),
        sa.Column("contributing_factors", TEXTS, nullable=False),
        sa.Column("why_recurring", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("statements", JSON, nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("requested_by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_analyses_confidence")),
        sa.CheckConstraint("tier IN ('fast', 'balanced', 'deep')", name=op.f("ck_analyses_tier")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "issue_id"], ["issues.workspace_id", "issues.id"], name=op.f("fk_analyses_workspace_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_analyses")),
    )
    op.create_index("uq_analyses_version", "analyses", ["workspace_id", "issue_id", "number"], unique=True)
    op.create_index(
        "ix_analyses_made", "analyses", ["workspace_id", "created_at"], unique=False, postgresql_where=sa.text("model <> 'rules'")
    )
    policies.protect("analyses")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
