"""The baseline: every table, who may touch it, and the look-ups that cross workspaces.

Revision: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
WORKSPACE_TABLES = (
    "changes",
    "files",
    "issues",
    "jobs",
    "learned_models",
    "memberships",
    "pattern_hours",
    "pattern_keys",
    "patterns",
    "predictions",
    "recommendation_patterns",
    "recommendation_steps",
    "recommendations",
    "report_runs",
    "service_accounts",
    "signals",
    "tokens",
    "verifications",
)


def upgrade() -> None:
    tables()
    rows()
    jobs()


def rows() -> None:
    """Say who sees what."""
    for table in WORKSPACE_TABLES:
        policies.protect(table)
    policies.protect("audit_log", rights="SELECT, INSERT")  # append-only: nobody changes or removes an entry
    policies.protect_by("workspaces", f"id = {policies.HERE}")
    policies.protect_by("organizations", "id = (SELECT organization_id FROM workspaces)", rights="SELECT")
    policies.protect_by("users", "EXISTS (SELECT FROM memberships m WHERE m.user_id = users.id)")
    for table in ("workspaces", "organizations", "users", "tokens"):
        policies.owner_sees_all(table)
    op.execute(
        """
        CREATE FUNCTION everfix_find_token(secret_hash bytea) RETURNS TABLE (workspace_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
        AS $$ SELECT t.workspace_id FROM tokens t WHERE t.hash = secret_hash $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION everfix_workspaces() RETURNS TABLE (workspace_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public
        AS $$ SELECT w.id FROM workspaces w ORDER BY w.id $$
        """
    )
    op.execute(f"GRANT SELECT ON alembic_version TO {policies.role()}")  # the start asks for the version
    for function in ("everfix_find_token(bytea)", "everfix_workspaces()"):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {policies.role()}")


def jobs() -> None:
    """Install PgQueuer's own tables; they hold task names and ids, no workspace's data."""
    op.execute(sa.text(QueryBuilderEnvironment().build_install_query().replace(":", r"\:")))
    for table in ("pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics"):
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {policies.role()}")
    op.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {policies.role()}")


def tables() -> None:
    """Create the tables, those that others refer to first."""
    op.create_table(
        "audit_log",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target_kind", sa.Text(), server_default="", nullable=False),
        sa.Column("target_id", sa.Uuid(), nullable=True),
        sa.Column("details", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("ip", sa.Text(), server_default="", nullable=False),
        sa.Column("trace_id", sa.Text(), server_default="", nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_audit_log")),
    )
    op.create_index("ix_audit_log_at", "audit_log", ["workspace_id", "at"], unique=False)
    op.create_index("uq_audit_log_number", "audit_log", ["workspace_id", "number"], unique=True)
    op.create_table(
        "changes",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("metadata", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_changes")),
    )
    op.create_index("ix_changes_occurred", "changes", ["workspace_id", "service", "occurred_at"], unique=False)
    op.create_index("uq_changes_source", "changes", ["workspace_id", "source", "external_id"], unique=True)
    op.create_table(
        "jobs",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("progress", sa.Double(), server_default="0", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("cancel_requested", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_kind", "jobs", ["workspace_id", "kind", "id"], unique=False)
    op.create_index("ix_jobs_status", "jobs", ["workspace_id", "status", "id"], unique=False)
    op.create_table(
        "learned_models",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), server_default="1", nullable=False),
        sa.Column("state", postgresql.BYTEA(), nullable=False),
        sa.Column("facts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_learned_models")),
    )
    op.create_index("uq_learned_models_name", "learned_models", ["workspace_id", "name"], unique=True)
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("plan", sa.Text(), server_default="free", nullable=False),
        sa.Column("seats_total", sa.Integer(), server_default="10", nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("plan IN ('free', 'starter', 'growth', 'enterprise')", name=op.f("ck_organizations_plan")),
        sa.CheckConstraint("status IN ('active', 'suspended', 'cancelled')", name=op.f("ck_organizations_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("slug", name=op.f("uq_organizations_slug")),
    )
    op.create_table(
        "patterns",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="emerging", nullable=False),
        sa.Column("mitigating_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("risk_score", sa.Integer(), server_default="0", nullable=False),
        sa.Column("risk_parts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("confidence", sa.Double(), server_default="0.5", nullable=False),
        sa.Column("fingerprint", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("why", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("domain", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), server_default="incident", nullable=False),
        sa.Column("severity", sa.Text(), server_default="p3", nullable=False),
        sa.Column("issue_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("mttr_seconds", sa.Double(), nullable=True),
        sa.Column("closure_note", sa.Text(), server_default="", nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('emerging', 'active', 'resolved')", name=op.f("ck_patterns_status")),
        sa.CheckConstraint("confidence BETWEEN 0 AND 1", name=op.f("ck_patterns_confidence")),
        sa.CheckConstraint("risk_score BETWEEN 0 AND 100", name=op.f("ck_patterns_risk")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_patterns")),
    )
    op.create_index("ix_patterns_count", "patterns", ["workspace_id", "issue_count", "id"], unique=False)
    op.create_index("ix_patterns_risk", "patterns", ["workspace_id", "risk_score", "id"], unique=False)
    op.create_index("ix_patterns_seen", "patterns", ["workspace_id", "last_seen_at", "id"], unique=False)
    op.create_table(
        "recommendations",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("effort", sa.Text(), nullable=False),
        sa.Column("impact", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("rank", sa.Integer(), nullable=True),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("expected_loops_prevented", sa.Double(), nullable=False),
        sa.Column("expected_cost_saved", sa.Double(), nullable=False),
        sa.Column("why", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("attestation", sa.Text(), server_default="none", nullable=False),
        sa.Column("implemented_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("claim", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("effort IN ('low', 'medium', 'high')", name=op.f("ck_recommendations_effort")),
        sa.CheckConstraint("impact IN ('high', 'medium', 'quick_win')", name=op.f("ck_recommendations_impact")),
        sa.CheckConstraint("status IN ('pending', 'in_progress', 'implemented', 'dismissed')", name=op.f("ck_recommendations_status")),
        sa.CheckConstraint("type IN ('code_fix', 'config_change', 'process', 'monitoring')", name=op.f("ck_recommendations_type")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_recommendations")),
    )
    op.create_index("ix_recommendations_rank", "recommendations", ["workspace_id", "rank", "id"], unique=False)
    op.create_index("ix_recommendations_status", "recommendations", ["workspace_id", "status", "rank"], unique=False)
    op.create_table(
        "service_accounts",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_service_accounts")),
    )
    op.create_index("uq_service_accounts_name", "service_accounts", ["workspace_id", "name"], unique=True)
    op.create_table(
        "users",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("avatar_url", sa.Text(), server_default="", nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("locale", sa.Text(), server_default="en", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email", name=op.f("uq_users_email")),
        sa.UniqueConstraint("external_id", name=op.f("uq_users_external_id")),
    )
    op.create_table(
        "issues",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("connector_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="open", nullable=False),
        sa.Column("analysis_status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("risk_score", sa.Integer(), server_default="0", nullable=False),
        sa.Column("risk_parts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=True),
        sa.Column("error_type", sa.Text(), nullable=True),
        sa.Column("stacktrace", sa.Text(), server_default="", nullable=False),
        sa.Column("release", sa.Text(), nullable=True),
        sa.Column("assignee_id", sa.Uuid(), nullable=True),
        sa.Column("external_url", sa.Text(), nullable=True),
        sa.Column("metadata", postgresql.JSON(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=True),
        sa.Column("fingerprint", sa.Text(), nullable=True),
        sa.Column("assignment", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source_created_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("source_updated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("analyzed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ingested_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column(
            "search",
            postgresql.TSVECTOR(),
            sa.Computed("to_tsvector('simple', title || ' ' || left(body, 20000))", persisted=True),
            nullable=False,
        ),
        sa.CheckConstraint("analysis_status IN ('pending', 'analyzing', 'done', 'failed')", name=op.f("ck_issues_analysis_status")),
        sa.CheckConstraint("kind IN ('incident', 'defect', 'check')", name=op.f("ck_issues_kind")),
        sa.CheckConstraint("severity IN ('p1', 'p2', 'p3', 'p4')", name=op.f("ck_issues_severity")),
        sa.CheckConstraint("status IN ('open', 'in_loop', 'mitigating', 'resolved', 'closed')", name=op.f("ck_issues_status")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pattern_id"],
            ["patterns.workspace_id", "patterns.id"],
            name=op.f("fk_issues_workspace_id_pattern_id"),
            ondelete="SET NULL (pattern_id)",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_issues")),
    )
    op.create_index("ix_issues_ingested", "issues", ["workspace_id", "ingested_at", "id"], unique=False)
    op.create_index("ix_issues_occurred", "issues", ["workspace_id", "occurred_at", "id"], unique=False)
    op.create_index("ix_issues_pattern", "issues", ["workspace_id", "pattern_id", "occurred_at"], unique=False)
    op.create_index("ix_issues_risk", "issues", ["workspace_id", "risk_score", "id"], unique=False)
    op.create_index("ix_issues_search", "issues", ["search"], unique=False, postgresql_using="gin")
    op.create_index("uq_issues_source", "issues", ["workspace_id", "source", "external_id"], unique=True)
    op.create_table(
        "memberships",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'analyst', 'admin', 'owner')", name=op.f("ck_memberships_role")),
        sa.CheckConstraint("status IN ('active', 'invited', 'suspended')", name=op.f("ck_memberships_status")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_memberships")),
    )
    op.create_index("ix_memberships_user", "memberships", ["user_id"], unique=False)
    op.create_index("uq_memberships_user", "memberships", ["workspace_id", "user_id"], unique=True)
    op.create_table(
        "pattern_hours",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=False),
        sa.Column("hour", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("newest", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pattern_id"],
            ["patterns.workspace_id", "patterns.id"],
            name=op.f("fk_pattern_hours_workspace_id_pattern_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "pattern_id", "hour", name=op.f("pk_pattern_hours")),
    )
    op.create_index("ix_pattern_hours_hour", "pattern_hours", ["workspace_id", "hour"], unique=False)
    op.create_table(
        "pattern_keys",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pattern_id"],
            ["patterns.workspace_id", "patterns.id"],
            name=op.f("fk_pattern_keys_workspace_id_pattern_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "version", "key", name=op.f("pk_pattern_keys")),
    )
    op.create_table(
        "predictions",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=False),
        sa.Column("window_days", sa.Integer(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("probability", sa.Double(), nullable=False),
        sa.Column("lower", sa.Double(), nullable=False),
        sa.Column("upper", sa.Double(), nullable=False),
        sa.Column("impact", sa.Text(), nullable=False),
        sa.Column("likely_trigger", sa.Text(), nullable=False),
        sa.Column("why", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("base_rate", sa.Double(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
        sa.Column("generated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("impact IN ('critical', 'high', 'medium', 'low')", name=op.f("ck_predictions_impact")),
        sa.CheckConstraint("outcome IN ('hit', 'miss', 'prevented')", name=op.f("ck_predictions_outcome")),
        sa.CheckConstraint("status IN ('active', 'dismissed', 'superseded')", name=op.f("ck_predictions_status")),
        sa.CheckConstraint("probability BETWEEN 0 AND 1", name=op.f("ck_predictions_probability")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pattern_id"],
            ["patterns.workspace_id", "patterns.id"],
            name=op.f("fk_predictions_workspace_id_pattern_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_predictions")),
    )
    op.create_index("ix_predictions_expires", "predictions", ["workspace_id", "expires_at"], unique=False)
    op.create_index("ix_predictions_status", "predictions", ["workspace_id", "status", "probability", "id"], unique=False)
    op.create_index("uq_predictions_day", "predictions", ["workspace_id", "pattern_id", "window_days", "day"], unique=True)
    op.create_table(
        "recommendation_patterns",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("recommendation_id", sa.Uuid(), nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pattern_id"],
            ["patterns.workspace_id", "patterns.id"],
            name=op.f("fk_recommendation_patterns_workspace_id_pattern_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "recommendation_id"],
            ["recommendations.workspace_id", "recommendations.id"],
            name=op.f("fk_recommendation_patterns_workspace_id_recommendation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "recommendation_id", "pattern_id", name=op.f("pk_recommendation_patterns")),
    )
    op.create_index("ix_recommendation_patterns_pattern", "recommendation_patterns", ["workspace_id", "pattern_id"], unique=False)
    op.create_table(
        "recommendation_steps",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recommendation_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "recommendation_id"],
            ["recommendations.workspace_id", "recommendations.id"],
            name=op.f("fk_recommendation_steps_workspace_id_recommendation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_recommendation_steps")),
    )
    op.create_index("ix_recommendation_steps_of", "recommendation_steps", ["workspace_id", "recommendation_id", "position"], unique=False)
    op.create_table(
        "report_runs",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("template", sa.Text(), nullable=False),
        sa.Column("sections", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("window", sa.Text(), nullable=False),
        sa.Column("formats", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("filters", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "job_id"],
            ["jobs.workspace_id", "jobs.id"],
            name=op.f("fk_report_runs_workspace_id_job_id"),
            ondelete="SET NULL (job_id)",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_report_runs")),
    )
    op.create_index("ix_report_runs_created", "report_runs", ["workspace_id", "created_at", "id"], unique=False)
    op.create_table(
        "tokens",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("service_account_id", sa.Uuid(), nullable=True),
        sa.Column("hash", postgresql.BYTEA(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('personal', 'service', 'session', 'link')", name=op.f("ck_tokens_kind")),
        sa.CheckConstraint("num_nonnulls(user_id, service_account_id) = 1", name=op.f("ck_tokens_holder")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_tokens_user_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "service_account_id"],
            ["service_accounts.workspace_id", "service_accounts.id"],
            name=op.f("fk_tokens_workspace_id_service_account_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("hash", name=op.f("uq_tokens_hash")),
    )
    op.create_table(
        "verifications",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("recommendation_id", sa.Uuid(), nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=False),
        sa.Column("claimed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rate_per_day", sa.Double(), nullable=False),
        sa.Column("expected", sa.Double(), server_default="0", nullable=False),
        sa.Column("observed", sa.Integer(), server_default="0", nullable=False),
        sa.Column("prevented", sa.Double(), server_default="0", nullable=False),
        sa.Column("holds_probability", sa.Double(), server_default="0.6", nullable=False),
        sa.Column("verdict", sa.Text(), server_default="watching", nullable=False),
        sa.Column("why", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("verdict IN ('watching', 'held', 'failed', 'not_enough_exposure')", name=op.f("ck_verifications_verdict")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pattern_id"],
            ["patterns.workspace_id", "patterns.id"],
            name=op.f("fk_verifications_workspace_id_pattern_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "recommendation_id"],
            ["recommendations.workspace_id", "recommendations.id"],
            name=op.f("fk_verifications_workspace_id_recommendation_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_verifications")),
    )
    op.create_index("ix_verifications_verdict", "verifications", ["workspace_id", "verdict"], unique=False)
    op.create_index("uq_verifications_fix", "verifications", ["workspace_id", "recommendation_id", "pattern_id"], unique=True)
    op.create_table(
        "workspaces",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), server_default="UTC", nullable=False),
        sa.Column("default_theme", sa.Text(), server_default="light", nullable=False),
        sa.Column("sso_enforced", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("ai_auto_link", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("ai_confidence_threshold", sa.Double(), server_default="0.5", nullable=False),
        sa.Column("ai_proof_window_days", sa.Integer(), server_default="30", nullable=False),
        sa.Column("alert_threshold", sa.Double(), server_default="0.7", nullable=False),
        sa.Column("prediction_window_days", sa.Integer(), server_default="7", nullable=False),
        sa.Column("currency", sa.Text(), server_default="USD", nullable=False),
        sa.Column("loop_cost", sa.Double(), server_default="4800", nullable=False),
        sa.Column("industry", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("simulated", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("brand_colour", sa.Text(), server_default="#0f766e", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("ai_confidence_threshold BETWEEN 0 AND 1", name=op.f("ck_workspaces_confidence")),
        sa.CheckConstraint("ai_proof_window_days BETWEEN 7 AND 365", name=op.f("ck_workspaces_proof_window")),
        sa.CheckConstraint("alert_threshold BETWEEN 0 AND 1", name=op.f("ck_workspaces_alert")),
        sa.ForeignKeyConstraint(["organization_id"], ["organizations.id"], name=op.f("fk_workspaces_organization_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workspaces")),
        sa.UniqueConstraint("organization_id", "slug", name=op.f("uq_workspaces_organization_id_slug")),
    )
    op.create_table(
        "files",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("run_id", sa.Uuid(), nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("storage_key", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "run_id"],
            ["report_runs.workspace_id", "report_runs.id"],
            name=op.f("fk_files_workspace_id_run_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_files")),
    )
    op.create_index("uq_files_format", "files", ["workspace_id", "run_id", "format"], unique=True)
    op.create_table(
        "signals",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("issue_id", sa.Uuid(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("payload", postgresql.JSON(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "issue_id"],
            ["issues.workspace_id", "issues.id"],
            name=op.f("fk_signals_workspace_id_issue_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_signals")),
    )
    op.create_index("ix_signals_issue", "signals", ["workspace_id", "issue_id"], unique=False)


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
