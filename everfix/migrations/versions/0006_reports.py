"""Definitions, schedules and what a run remembers; the narrowed view; which schedules are due.

Revision: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
NOW = sa.text("now()")
ISSUE_FIELDS = {
    "service": "service",
    "team": "team",
    "environment": "environment",
    "source": "source",
    "severity": "severity",
    "status": "status",
    "kind": "kind",
    "pattern": "pattern_id::text",
}


def upgrade() -> None:
    definitions()
    schedules()
    runs()
    view()
    due()


def _json(name: str, default: str | None = None) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), server_default=default, nullable=default is None)


def definitions() -> None:
    op.create_table(
        "report_definitions",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        _json("sections", "[]"),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("formats", postgresql.ARRAY(sa.Text()), nullable=False),
        _json("filters", "{}"),
        _json("narrative", '{"enabled": true}'),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("origin", sa.Text(), server_default="api", nullable=False),
        sa.Column("run_as", sa.Text(), server_default="owner", nullable=False),
        sa.Column("owner_user_id", sa.Uuid(), nullable=True),
        sa.Column("adopted_by", sa.Text(), nullable=True),
        sa.Column("destinations", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        _json("brand", "{}"),
        _json("surface", "{}"),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("origin IN ('api', 'dashboard', 'builtin', 'schedule')", name=op.f("ck_report_definitions_origin")),
        sa.CheckConstraint("run_as IN ('owner', 'recipient')", name=op.f("ck_report_definitions_run_as")),
        sa.CheckConstraint("cardinality(formats) > 0", name=op.f("ck_report_definitions_formats")),
        sa.ForeignKeyConstraint(["owner_user_id"], ["users.id"], name=op.f("fk_report_definitions_owner_user_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_report_definitions")),
    )
    op.create_index("ix_report_definitions_created", "report_definitions", ["workspace_id", "created_at", "id"])
    policies.protect("report_definitions")


def schedules() -> None:
    op.create_table(
        "report_schedules",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("definition_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cron", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("recipients", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("destinations", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False),
        sa.Column("window", sa.Text(), nullable=True),
        sa.Column("formats", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("start_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("misfire", sa.Text(), server_default="send_late", nullable=False),
        _json("calendar", "{}"),
        sa.Column("spread_seconds", sa.Integer(), server_default="0", nullable=False),
        _json("freshness"),
        _json("condition", '{"when": "always"}'),
        _json("recipient_filters", "{}"),
        sa.Column("next_slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_run_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("ticked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("misfire IN ('send_late', 'merge', 'skip')", name=op.f("ck_report_schedules_misfire")),
        sa.CheckConstraint("spread_seconds BETWEEN 0 AND 3600", name=op.f("ck_report_schedules_spread")),
        sa.CheckConstraint(
            "last_status IN ('pending', 'succeeded', 'failed', 'partial', 'skipped', 'held', 'cancelled')",
            name=op.f("ck_report_schedules_last_status"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "definition_id"],
            ["report_definitions.workspace_id", "report_definitions.id"],
            name=op.f("fk_report_schedules_workspace_id_definition_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_report_schedules")),
    )
    op.create_index("ix_report_schedules_definition", "report_schedules", ["workspace_id", "definition_id"])
    op.create_index("ix_report_schedules_due", "report_schedules", ["next_run_at"], postgresql_where=sa.text("enabled"))
    policies.protect("report_schedules")
    policies.owner_sees_all("report_schedules")


def runs() -> None:
    op.add_column("report_runs", sa.Column("definition_id", sa.Uuid(), nullable=True))
    op.add_column("report_runs", sa.Column("schedule_id", sa.Uuid(), nullable=True))
    op.add_column("report_runs", sa.Column("parent_id", sa.Uuid(), nullable=True))
    op.add_column("report_runs", sa.Column("slot", sa.DateTime(timezone=True), nullable=True))
    op.add_column("report_runs", sa.Column("trigger", sa.Text(), server_default="manual", nullable=False))
    op.add_column("report_runs", sa.Column("status", sa.Text(), server_default="queued", nullable=False))
    op.add_column("report_runs", sa.Column("reason", sa.Text(), server_default="", nullable=False))
    op.add_column("report_runs", sa.Column("executor", sa.Text(), server_default="", nullable=False))
    op.add_column("report_runs", sa.Column("recipients", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("report_runs", _json("inputs", "{}"))
    op.add_column("report_runs", _json("written", "{}"))
    op.add_column("report_runs", sa.Column("digest", sa.Text(), nullable=True))
    op.add_column("report_runs", sa.Column("started_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("report_runs", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE report_runs r SET status = CASE WHEN r.finished_at IS NOT NULL THEN 'succeeded' ELSE coalesce((SELECT j.status FROM jobs j"
        " WHERE j.workspace_id = r.workspace_id AND j.id = r.job_id), 'failed') END"
    )
    op.add_column("report_runs", _json("parts", "[]"))
    op.execute(
        "UPDATE report_runs SET parts = (SELECT coalesce(jsonb_agg(jsonb_build_object('id', s, 'section', s)), '[]') FROM unnest(sections) s)"
    )
    op.drop_column("report_runs", "sections")
    op.alter_column("report_runs", "parts", new_column_name="sections", server_default=None)
    op.create_check_constraint(
        op.f("ck_report_runs_status"),
        "report_runs",
        "status IN ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled', 'skipped', 'held')",
    )
    op.create_check_constraint(
        op.f("ck_report_runs_trigger"), "report_runs", "trigger IN ('manual', 'schedule', 'backfill', 'preview', 'recipient')"
    )
    for column, table, rule in (
        ("definition_id", "report_definitions", "SET NULL (definition_id)"),
        ("schedule_id", "report_schedules", "SET NULL (schedule_id)"),
        ("parent_id", "report_runs", "CASCADE"),
    ):
        op.create_foreign_key(
            op.f(f"fk_report_runs_workspace_id_{column}"),
            "report_runs",
            table,
            ["workspace_id", column],
            ["workspace_id", "id"],
            ondelete=rule,
        )
    op.create_index("ix_report_runs_definition", "report_runs", ["workspace_id", "definition_id", "created_at"])
    op.create_index("ix_report_runs_job", "report_runs", ["workspace_id", "job_id"])
    op.create_index("ix_report_runs_parent", "report_runs", ["workspace_id", "parent_id"])
    op.create_index("uq_report_runs_slot", "report_runs", ["workspace_id", "schedule_id", "slot"], unique=True)


def view() -> None:
    """A pattern is seen when one of its issues is, and what is said about a pattern follows it."""
    policies.narrow("issues", " AND ".join(policies.narrowed(field, column) for field, column in ISSUE_FIELDS.items()))
    policies.narrow("patterns", "EXISTS (SELECT FROM issues i WHERE i.workspace_id = patterns.workspace_id AND i.pattern_id = patterns.id)")
    for table in ("pattern_hours", "predictions", "recommendation_patterns", "verifications"):
        policies.narrow(
            table, f"EXISTS (SELECT FROM issues i WHERE i.workspace_id = {table}.workspace_id AND i.pattern_id = {table}.pattern_id)"
        )
    policies.narrow(
        "recommendations",
        "EXISTS (SELECT FROM recommendation_patterns rp WHERE rp.workspace_id = recommendations.workspace_id"
        " AND rp.recommendation_id = recommendations.id)",
    )


def due() -> None:
    """Which schedules are due at an instant, and which have fired in a future that a jump of the clock took back."""
    op.execute(
        """
        CREATE FUNCTION everfix_due_schedules(at timestamptz) RETURNS TABLE (workspace_id uuid, schedule_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
        AS $$
            SELECT s.workspace_id, s.id FROM report_schedules s
            WHERE s.enabled AND (s.next_run_at <= at OR s.ticked_at > at + interval '2 minutes')
            ORDER BY s.next_run_at LIMIT 1000
        $$
        """
    )
    op.execute("REVOKE ALL ON FUNCTION everfix_due_schedules(timestamptz) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION everfix_due_schedules(timestamptz) TO {policies.role()}")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
