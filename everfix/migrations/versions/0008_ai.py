"""AI: which language model a workspace asks, and every call that was made.

Revision: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
JSON = postgresql.JSONB(astext_type=sa.Text())
NOW = sa.text("now()")


def upgrade() -> None:
    _settings()
    _logs()
    for table in ("ai_settings", "prompt_logs"):
        policies.protect(table)


def _key() -> tuple[sa.Column[object], sa.Column[object]]:
    return sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False), sa.Column("id", sa.Uuid(), nullable=False)


def _settings() -> None:
    op.create_table(
        "ai_settings",
        *_key(),
        sa.Column("provider", sa.Text(), server_default="", nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("base_url", sa.Text(), server_default="", nullable=False),
        sa.Column("options", JSON, server_default="{}", nullable=False),
        sa.Column("sealed_key", postgresql.BYTEA(), nullable=True),
        sa.Column("key_hint", sa.Text(), server_default="", nullable=False),
        sa.Column("redact", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("narratives", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("analyses", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("auto_per_hour", sa.Integer(), server_default="20", nullable=False),
        sa.Column("language", sa.Text(), server_default="en", nullable=False),
        sa.Column("prompt_logs_days", sa.Integer(), server_default="90", nullable=False),
        sa.Column("tuning", JSON, server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("prompt_logs_days BETWEEN 1 AND 3650", name=op.f("ck_ai_settings_prompt_logs_days")),
        sa.CheckConstraint("auto_per_hour BETWEEN 0 AND 1000", name=op.f("ck_ai_settings_auto_per_hour")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ai_settings")),
    )
    op.create_index("uq_ai_settings_workspace", "ai_settings", ["workspace_id"], unique=True)


def _logs() -> None:
    op.create_table(
        "prompt_logs",
        *_key(),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), server_default="", nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), server_default="", nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cost", sa.Numeric(14, 8), nullable=True),
        sa.Column("priced_by", sa.Text(), server_default="", nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_prompt_logs")),
    )
    op.create_index("ix_prompt_logs_created", "prompt_logs", ["workspace_id", "created_at", "id"], unique=False)
    op.create_index("ix_prompt_logs_subject", "prompt_logs", ["workspace_id", "subject_id"], unique=False)


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
