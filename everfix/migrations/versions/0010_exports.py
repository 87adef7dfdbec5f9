"""Exports: what was asked for, and the files it came to; how long a workspace keeps files; its brand.

Revision: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
TEXTS = postgresql.ARRAY(sa.Text())
JSON = postgresql.JSONB(astext_type=sa.Text())
NOW = sa.text("now()")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '4s'")
    op.execute("SET LOCAL statement_timeout = '5s'")
    _exports()
    _files()
    for table in ("exports", "export_files"):
        policies.protect(table)
    op.add_column("workspaces", sa.Column("brand_name", sa.Text(), server_default="", nullable=False))
    op.add_column("workspaces", sa.Column("brand_logo_svg", sa.Text(), server_default="", nullable=False))
    op.add_column("workspaces", sa.Column("brand_logo_png", sa.Text(), server_default="", nullable=False))
    op.add_column("workspaces", sa.Column("files_days", sa.Integer(), server_default="365", nullable=False))
    op.add_column("workspaces", sa.Column("files_hold", sa.Boolean(), server_default="false", nullable=False))
    op.create_check_constraint(op.f("ck_workspaces_files_days"), "workspaces", "files_days BETWEEN 1 AND 3650")


def _key() -> tuple[sa.Column[object], sa.Column[object]]:
    return sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False), sa.Column("id", sa.Uuid(), nullable=False)


def _exports() -> None:
    op.create_table(
        "exports",
        *_key(),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("filters", JSON, server_default="{}", nullable=False),
        sa.Column("options", JSON, server_default="{}", nullable=False),
        sa.Column("analysis", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("columns", TEXTS, nullable=False),
        sa.Column("expected", sa.Integer(), nullable=True),
        sa.Column("until", sa.Uuid(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "job_id"], ["jobs.workspace_id", "jobs.id"], name=op.f("fk_exports_workspace_id"), ondelete="SET NULL (job_id)"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_exports")),
    )
    op.create_index("ix_exports_created", "exports", ["workspace_id", "created_at", "id"])


def _files() -> None:
    op.create_table(
        "export_files",
        *_key(),
        sa.Column("export_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), server_default="1", nullable=False),
        sa.Column("rows", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last", sa.Uuid(), nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, server_default=NOW, nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "export_id"],
            ["exports.workspace_id", "exports.id"],
            name=op.f("fk_export_files_workspace_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_export_files")),
    )
    op.create_index("uq_export_files", "export_files", ["workspace_id", "export_id", "kind", "number"], unique=True)


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
