"""What people say about groups, and what they write, watch and save: corrections, comments, watches, saved views, clusters.

Revision: 0015
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
JSONB = postgresql.JSONB(astext_type=sa.Text())
TIME = sa.DateTime(timezone=True)


def row(table: str, *columns: sa.Column | sa.Constraint) -> None:  # type: ignore[type-arg]
    op.create_table(
        table,
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("workspace_id", "id", name=f"pk_{table}"),
    )


def now(name: str) -> sa.Column:  # type: ignore[type-arg]
    return sa.Column(name, TIME, server_default=sa.text("now()"), nullable=False)


def refers(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["workspace_id", column], [f"{other}.workspace_id", f"{other}.id"], name=f"fk_{table}_workspace_id_{column}", ondelete="CASCADE"
    )


def upgrade() -> None:
    columns()
    said()
    for table in ("corrections", "comments", "pattern_watches", "saved_views", "clusters"):
        policies.protect(table)
    counting()


def columns() -> None:
    op.add_column("patterns", sa.Column("before_words", JSONB, nullable=True))
    for column in (sa.Column("merged_into", sa.Uuid()), sa.Column("by_hand", sa.Boolean(), server_default="false", nullable=False)):
        op.add_column("patterns", column)
    for name, kind in (("home_id", sa.Uuid()), ("symptom", sa.Text()), ("resembles", sa.Text()), ("correction_id", sa.Uuid())):
        op.add_column("issues", sa.Column(name, kind, nullable=True))
    op.execute("UPDATE issues SET home_id = pattern_id")
    for name in ("created", "updated"):
        op.create_index(f"ix_issues_{name}", "issues", ["workspace_id", f"{name}_at", "id"])
    op.create_index("ix_issues_fingerprint", "issues", ["workspace_id", "fingerprint"])
    for name, of, where in (
        ("symptom", "symptom", "symptom IS NOT NULL"),
        ("resembles", "resembles", "resembles IS NOT NULL"),
        ("corrected", "home_id", "correction_id IS NOT NULL"),
    ):
        op.create_index(f"ix_issues_{name}", "issues", ["workspace_id", of], postgresql_where=sa.text(where))


def said() -> None:
    row(
        "corrections",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("target_id", sa.Uuid(), nullable=True),
        sa.Column("symptoms", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("moved", sa.Integer(), server_default="0", nullable=False),
        sa.Column("before", JSONB, server_default="{}", nullable=False),
        sa.Column("said_by", sa.Text(), nullable=False),
        sa.Column("said_at", TIME, nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=True),
        sa.Column("revoked_at", TIME, nullable=True),
        sa.CheckConstraint("kind IN ('merge', 'split', 'detach', 'link', 'unlink')", name=op.f("ck_corrections_kind")),
    )
    op.create_index("uq_corrections_number", "corrections", ["workspace_id", "number"], unique=True)
    op.create_index("ix_corrections_source", "corrections", ["workspace_id", "source_id"])
    op.create_index("ix_corrections_target", "corrections", ["workspace_id", "target_id"])
    row(
        "comments",
        sa.Column("issue_id", sa.Uuid(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("mentions", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        now("created_at"),
        refers("comments", "issue_id", "issues"),
    )
    op.create_index("ix_comments_issue", "comments", ["workspace_id", "issue_id", "id"])
    op.create_table(
        "pattern_watches",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        now("created_at"),
        refers("pattern_watches", "pattern_id", "patterns"),
        sa.PrimaryKeyConstraint("workspace_id", "pattern_id", "user_id", name="pk_pattern_watches"),
    )
    op.create_index("ix_pattern_watches_user", "pattern_watches", ["workspace_id", "user_id"])
    row(
        "saved_views",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("filters", JSONB, server_default="{}", nullable=False),
        sa.Column("sort", sa.Text(), server_default="", nullable=False),
        sa.Column("shared", sa.Boolean(), server_default="false", nullable=False),
        now("created_at"),
        now("updated_at"),
        sa.CheckConstraint("resource IN ('issues', 'patterns')", name=op.f("ck_saved_views_resource")),
    )
    op.create_index("uq_saved_views_name", "saved_views", ["workspace_id", "owner_id", "resource", "name"], unique=True)
    row(
        "clusters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("pattern_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("shared", JSONB, nullable=False),
        sa.Column("edges", JSONB, nullable=False),
        sa.Column("issue_count", sa.Integer(), nullable=False),
        sa.Column("risk_score", sa.Integer(), nullable=False),
        sa.Column("computed_at", TIME, nullable=False),
    )
    op.create_index("ix_clusters_risk", "clusters", ["workspace_id", "risk_score", "id"])


def counting() -> None:
    """A person's word makes the grouping sure; so it counts when an issue comes under one."""
    op.execute(
        """
        CREATE FUNCTION everfix_sure(assignment jsonb, word uuid) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT CASE WHEN word IS NOT NULL THEN 10000
            ELSE round(10000 * coalesce((assignment->>'confidence')::numeric, 0.5))::integer END $$
        """
    )
    columns = "workspace_id, pattern_id, sign, occurred_at, severity, service, team, resolving, sure"
    note = """
            INSERT INTO pattern_deltas ({columns})
            SELECT {row}.workspace_id, {row}.pattern_id, {sign}, {row}.occurred_at, {row}.severity, {row}.service, {row}.team,
                everfix_resolving({row}.occurred_at, {row}.resolved_at), everfix_sure({row}.assignment, {row}.correction_id)
            FROM patterns p WHERE p.workspace_id = {row}.workspace_id AND p.id = {row}.pattern_id;
    """
    op.execute(
        f"""
        CREATE OR REPLACE FUNCTION everfix_note_issue() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
        BEGIN
            IF TG_OP <> 'INSERT' THEN {note.format(columns=columns, row="OLD", sign=-1)} END IF;
            IF TG_OP <> 'DELETE' THEN {note.format(columns=columns, row="NEW", sign=1)} END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute("DROP FUNCTION everfix_sure(jsonb)")
    op.execute("DROP TRIGGER note_update ON issues")
    counted = (
        "({0}.pattern_id, {0}.occurred_at, {0}.severity, {0}.service, {0}.team, {0}.resolved_at, {0}.assignment->>'confidence',"
        " {0}.correction_id IS NULL)"
    )
    op.execute(
        "CREATE TRIGGER note_update AFTER UPDATE ON issues FOR EACH ROW"
        f" WHEN ({counted.format('OLD')} IS DISTINCT FROM {counted.format('NEW')}) EXECUTE FUNCTION everfix_note_issue()"
    )


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
