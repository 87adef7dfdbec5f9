"""What ML reports are about: projects with members, data sets, experiments, models, deployments, synthetic data, privacy, monitors, imports.

Revision: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
TABLES = (
    "ml_dataset_versions",
    "ml_datasets",
    "ml_deployments",
    "ml_experiments",
    "ml_imports",
    "ml_members",
    "ml_models",
    "ml_monitors",
    "ml_prediction_parts",
    "ml_privacy_sessions",
    "ml_projects",
    "ml_synthgen_runs",
    "ml_tables",
)


def upgrade() -> None:
    tables()
    for table in TABLES:
        policies.protect(table)


def tables() -> None:
    """Make them."""
    op.create_table(
        "ml_projects",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('active', 'archived')", name=op.f("ck_ml_projects_status")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_projects")),
    )
    op.create_index("ix_ml_projects_created", "ml_projects", ["workspace_id", "created_at", "id"], unique=False)
    op.create_index("uq_ml_projects_external", "ml_projects", ["workspace_id", "external_id"], unique=True)
    op.create_table(
        "ml_datasets",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_datasets_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_datasets")),
    )
    op.create_index("ix_ml_datasets_project", "ml_datasets", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_index("uq_ml_datasets_external", "ml_datasets", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_table(
        "ml_imports",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", postgresql.BYTEA(), nullable=True),
        sa.Column("experiments", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("marks", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("counts", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("warnings", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind IN ('mlflow')", name=op.f("ck_ml_imports_kind")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "job_id"],
            ["jobs.workspace_id", "jobs.id"],
            name=op.f("fk_ml_imports_workspace_id_job_id"),
            ondelete="SET NULL (job_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_imports_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_imports")),
    )
    op.create_index("ix_ml_imports_project", "ml_imports", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_index("uq_ml_imports_external", "ml_imports", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_table(
        "ml_members",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'editor', 'admin')", name=op.f("ck_ml_members_role")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_ml_members_user_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_members_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_members")),
    )
    op.create_index("ix_ml_members_user", "ml_members", ["workspace_id", "user_id"], unique=False)
    op.create_index("uq_ml_members_user", "ml_members", ["workspace_id", "project_id", "user_id"], unique=True)
    op.create_table(
        "ml_tables",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), server_default="", nullable=False),
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("columns", sa.Integer(), nullable=False),
        sa.Column("schema", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("rejected", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("rejects", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "role IN ('dataset', 'evaluation', 'predictions', 'reference', 'real', 'synthetic', 'holdout', 'original', 'transformed')",
            name=op.f("ck_ml_tables_role"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_tables_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_tables")),
    )
    op.create_index("ix_ml_tables_project", "ml_tables", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_table(
        "ml_dataset_versions",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("dataset_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), server_default="", nullable=False),
        sa.Column("source", sa.Text(), server_default="", nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("columns", sa.Integer(), nullable=True),
        sa.Column("schema", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("target_column", sa.Text(), nullable=True),
        sa.Column("quality", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("table_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "dataset_id"],
            ["ml_datasets.workspace_id", "ml_datasets.id"],
            name=op.f("fk_ml_dataset_versions_workspace_id_dataset_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_dataset_versions_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "table_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_dataset_versions_workspace_id_table_id"),
            ondelete="SET NULL (table_id)",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_dataset_versions")),
    )
    op.create_index(
        "ix_ml_dataset_versions_project", "ml_dataset_versions", ["workspace_id", "project_id", "created_at", "id"], unique=False
    )
    op.create_index("uq_ml_dataset_versions_external", "ml_dataset_versions", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_index("uq_ml_dataset_versions_number", "ml_dataset_versions", ["workspace_id", "dataset_id", "number"], unique=True)
    op.create_table(
        "ml_synthgen_runs",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("generator", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="succeeded", nullable=False),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=True),
        sa.Column("requested_rows", sa.BigInteger(), nullable=True),
        sa.Column("loss_curve", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("columns", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("primary_key", sa.Text(), nullable=True),
        sa.Column("target_column", sa.Text(), nullable=True),
        sa.Column("sensitive_columns", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("known_columns", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("model_name", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("real_id", sa.Uuid(), nullable=True),
        sa.Column("synthetic_id", sa.Uuid(), nullable=True),
        sa.Column("holdout_id", sa.Uuid(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_ml_synthgen_runs_status")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "holdout_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_synthgen_runs_workspace_id_holdout_id"),
            ondelete="SET NULL (holdout_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_synthgen_runs_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "real_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_synthgen_runs_workspace_id_real_id"),
            ondelete="SET NULL (real_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "synthetic_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_synthgen_runs_workspace_id_synthetic_id"),
            ondelete="SET NULL (synthetic_id)",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_synthgen_runs")),
    )
    op.create_index("ix_ml_synthgen_runs_project", "ml_synthgen_runs", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_index("uq_ml_synthgen_runs_external", "ml_synthgen_runs", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_table(
        "ml_experiments",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("problem_type", sa.Text(), server_default="other", nullable=False),
        sa.Column("target_column", sa.Text(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), server_default="queued", nullable=False),
        sa.Column("engine", sa.Text(), nullable=True),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("search", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("engine_runs", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("dataset_version_id", sa.Uuid(), nullable=True),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "problem_type IN ('binary', 'multiclass', 'classification', 'regression', 'other')", name=op.f("ck_ml_experiments_problem_type")
        ),
        sa.CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_ml_experiments_status")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "dataset_version_id"],
            ["ml_dataset_versions.workspace_id", "ml_dataset_versions.id"],
            name=op.f("fk_ml_experiments_workspace_id_dataset_version_id"),
            ondelete="SET NULL (dataset_version_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_experiments_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_experiments")),
    )
    op.create_index("ix_ml_experiments_project", "ml_experiments", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_index("uq_ml_experiments_external", "ml_experiments", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_table(
        "ml_privacy_sessions",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), server_default="", nullable=False),
        sa.Column("profile", sa.Text(), server_default="custom", nullable=False),
        sa.Column("status", sa.Text(), server_default="succeeded", nullable=False),
        sa.Column("dataset_version_id", sa.Uuid(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("findings", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("transformations", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("quasi_identifiers", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("risk", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("original_id", sa.Uuid(), nullable=True),
        sa.Column("transformed_id", sa.Uuid(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("profile IN ('hipaa', 'gdpr', 'pci_dss', 'ccpa', 'custom')", name=op.f("ck_ml_privacy_sessions_profile")),
        sa.CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_ml_privacy_sessions_status")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "dataset_version_id"],
            ["ml_dataset_versions.workspace_id", "ml_dataset_versions.id"],
            name=op.f("fk_ml_privacy_sessions_workspace_id_dataset_version_id"),
            ondelete="SET NULL (dataset_version_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "original_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_privacy_sessions_workspace_id_original_id"),
            ondelete="SET NULL (original_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_privacy_sessions_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "transformed_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_privacy_sessions_workspace_id_transformed_id"),
            ondelete="SET NULL (transformed_id)",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_privacy_sessions")),
    )
    op.create_index(
        "ix_ml_privacy_sessions_project", "ml_privacy_sessions", ["workspace_id", "project_id", "created_at", "id"], unique=False
    )
    op.create_index("uq_ml_privacy_sessions_external", "ml_privacy_sessions", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_table(
        "ml_models",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("experiment_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("algo", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Text(), server_default="succeeded", nullable=False),
        sa.Column("is_best", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("parameters", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("default_parameters", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("metrics", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("metrics_by_split", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("learning_curve", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("early_stop_step", sa.Integer(), nullable=True),
        sa.Column("feature_importance", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("confusion_matrix", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("roc", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("pr", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("calibration", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("operating_point", sa.Double(), nullable=True),
        sa.Column("positive_label", sa.Text(), nullable=True),
        sa.Column("training_time_ms", sa.Double(), nullable=True),
        sa.Column("predict_time_per_row_ms", sa.Double(), nullable=True),
        sa.Column("registered_name", sa.Text(), nullable=True),
        sa.Column("registered_version", sa.Text(), nullable=True),
        sa.Column("registered_aliases", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("signature", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("artifacts", postgresql.JSONB(astext_type=sa.Text()), server_default="[]", nullable=False),
        sa.Column("tags", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("evaluation_id", sa.Uuid(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name=op.f("ck_ml_models_status")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "evaluation_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_models_workspace_id_evaluation_id"),
            ondelete="SET NULL (evaluation_id)",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "experiment_id"],
            ["ml_experiments.workspace_id", "ml_experiments.id"],
            name=op.f("fk_ml_models_workspace_id_experiment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_models_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_models")),
    )
    op.create_index("ix_ml_models_experiment", "ml_models", ["workspace_id", "experiment_id", "id"], unique=False)
    op.create_index("ix_ml_models_project", "ml_models", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_index("uq_ml_models_external", "ml_models", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_table(
        "ml_deployments",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("model_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="active", nullable=False),
        sa.Column("traffic_percent", sa.Integer(), server_default="100", nullable=False),
        sa.Column("config", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("ab_test", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("features", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("source_url", sa.Text(), nullable=True),
        sa.Column("reference_id", sa.Uuid(), nullable=True),
        sa.Column("deployed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("stage IN ('staging', 'production')", name=op.f("ck_ml_deployments_stage")),
        sa.CheckConstraint("status IN ('pending', 'active', 'inactive', 'archived', 'failed')", name=op.f("ck_ml_deployments_status")),
        sa.CheckConstraint("traffic_percent BETWEEN 1 AND 100", name=op.f("ck_ml_deployments_traffic")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "model_id"],
            ["ml_models.workspace_id", "ml_models.id"],
            name=op.f("fk_ml_deployments_workspace_id_model_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_deployments_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "reference_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_deployments_workspace_id_reference_id"),
            ondelete="SET NULL (reference_id)",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_deployments")),
    )
    op.create_index("ix_ml_deployments_model", "ml_deployments", ["workspace_id", "model_id"], unique=False)
    op.create_index("ix_ml_deployments_project", "ml_deployments", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_index("uq_ml_deployments_external", "ml_deployments", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_table(
        "ml_monitors",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("project_id", sa.Uuid(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("feature", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=False),
        sa.Column("threshold", sa.Double(), nullable=False),
        sa.Column("window_minutes", sa.Integer(), nullable=False),
        sa.Column("min_rows", sa.Integer(), nullable=False),
        sa.Column("severity", sa.Text(), server_default="p3", nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("state", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("why", postgresql.JSONB(astext_type=sa.Text()), server_default="{}", nullable=False),
        sa.Column("episode", sa.Text(), nullable=True),
        sa.Column("fired_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("operator IN ('gt', 'ge', 'lt', 'le')", name=op.f("ck_ml_monitors_operator")),
        sa.CheckConstraint("severity IN ('p1', 'p2', 'p3', 'p4')", name=op.f("ck_ml_monitors_severity")),
        sa.CheckConstraint("state IN ('ok', 'firing', 'unknown')", name=op.f("ck_ml_monitors_state")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "deployment_id"],
            ["ml_deployments.workspace_id", "ml_deployments.id"],
            name=op.f("fk_ml_monitors_workspace_id_deployment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "project_id"],
            ["ml_projects.workspace_id", "ml_projects.id"],
            name=op.f("fk_ml_monitors_workspace_id_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_monitors")),
    )
    op.create_index("ix_ml_monitors_deployment", "ml_monitors", ["workspace_id", "deployment_id"], unique=False)
    op.create_index("ix_ml_monitors_project", "ml_monitors", ["workspace_id", "project_id", "created_at", "id"], unique=False)
    op.create_index("uq_ml_monitors_external", "ml_monitors", ["workspace_id", "project_id", "external_id"], unique=True)
    op.create_table(
        "ml_prediction_parts",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("table_id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("labelled", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "deployment_id"],
            ["ml_deployments.workspace_id", "ml_deployments.id"],
            name=op.f("fk_ml_prediction_parts_workspace_id_deployment_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "table_id"],
            ["ml_tables.workspace_id", "ml_tables.id"],
            name=op.f("fk_ml_prediction_parts_workspace_id_table_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_ml_prediction_parts")),
    )
    op.create_index(
        "ix_ml_prediction_parts_at", "ml_prediction_parts", ["workspace_id", "deployment_id", "first_at", "last_at"], unique=False
    )
    op.create_index("uq_ml_prediction_parts_content", "ml_prediction_parts", ["workspace_id", "deployment_id", "sha256"], unique=True)


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
