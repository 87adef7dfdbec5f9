"""Alerts and notifications: rules, each person's feed and settings, and channels of one's own.

Revision: 0017
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

JSON = postgresql.JSONB(astext_type=sa.Text())
TIME = sa.DateTime(timezone=True)
NOW = sa.text("now()")


def upgrade() -> None:
    op.add_column("destinations", sa.Column("owner_user_id", sa.Uuid(), nullable=True))
    _notifications()
    _settings()
    _rules()
    for table in ("notifications", "notification_settings", "alert_rules"):
        policies.protect(table)


def _key() -> tuple[sa.Column[object], sa.Column[object]]:
    here = sa.text(policies.CURRENT)
    return sa.Column("workspace_id", sa.Uuid(), server_default=here, nullable=False), sa.Column("id", sa.Uuid(), nullable=False)


def _notifications() -> None:
    op.create_table(
        "notifications",
        *_key(),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), server_default="", nullable=False),
        sa.Column("entity_type", sa.Text(), nullable=True),
        sa.Column("entity_id", sa.Uuid(), nullable=True),
        sa.Column("source", sa.Text(), server_default="everfix", nullable=False),
        sa.Column("actor", JSON, server_default="{}", nullable=False),
        sa.Column("link", sa.Text(), server_default="", nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("in_app", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("read_at", TIME, nullable=True),
        sa.Column("dismissed_at", TIME, nullable=True),
        sa.Column("mail_due_at", TIME, nullable=True),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_notifications")),
    )
    op.create_index("ix_notifications_feed", "notifications", ["workspace_id", "user_id", "id"], unique=False)
    op.create_index("uq_notifications_key", "notifications", ["workspace_id", "user_id", "key"], unique=True)
    due = sa.text("mail_due_at IS NOT NULL")
    op.create_index("ix_notifications_mail", "notifications", ["workspace_id", "mail_due_at"], unique=False, postgresql_where=due)


def _settings() -> None:
    off = ("email_enabled", "slack_enabled", "teams_enabled", "pagerduty_enabled")
    on = ("new_issue", "pattern_detected", "prediction", "recommendation", "report_ready")
    op.create_table(
        "notification_settings",
        *_key(),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        *(sa.Column(name, sa.Boolean(), server_default="false", nullable=False) for name in off),
        sa.Column("digest_frequency", sa.Text(), server_default="realtime", nullable=False),
        sa.Column("min_severity_for_alert", sa.Text(), server_default="p2", nullable=False),
        sa.Column("min_risk_score_for_alert", sa.Integer(), server_default="70", nullable=False),
        sa.Column("events", JSON, server_default="[]", nullable=False),
        *(sa.Column(f"notify_on_{name}", sa.Boolean(), server_default="true", nullable=False) for name in on),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint(
            "digest_frequency IN ('realtime', 'hourly', 'daily', 'weekly', 'never')", name=op.f("ck_notification_settings_digest_frequency")
        ),
        sa.CheckConstraint("min_severity_for_alert IN ('p1', 'p2', 'p3', 'p4')", name=op.f("ck_notification_settings_min_severity")),
        sa.CheckConstraint("min_risk_score_for_alert BETWEEN 0 AND 100", name=op.f("ck_notification_settings_min_risk")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_notification_settings")),
    )
    op.create_index("uq_notification_settings_user", "notification_settings", ["workspace_id", "user_id"], unique=True)


def _rules() -> None:
    op.create_table(
        "alert_rules",
        *_key(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("snoozed_until", TIME, nullable=True),
        sa.Column("channels", JSON, server_default="[]", nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=True),
        sa.Column("probability", sa.Double(), nullable=True),
        sa.Column("window_days", sa.Integer(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=True),
        sa.Column("operator", sa.Text(), nullable=True),
        sa.Column("threshold", sa.Double(), nullable=True),
        sa.Column("window_minutes", sa.Integer(), server_default="5", nullable=False),
        sa.Column("cooldown_minutes", sa.Integer(), server_default="60", nullable=False),
        sa.Column("no_data", sa.Text(), server_default="ignore", nullable=False),
        sa.Column("status", sa.Text(), server_default="ok", nullable=False),
        sa.Column("firing", JSON, server_default="{}", nullable=False),
        sa.Column("observed", sa.Double(), nullable=True),
        sa.Column("baseline", sa.Double(), nullable=True),
        sa.Column("last_fired_at", TIME, nullable=True),
        sa.Column("evaluated_at", TIME, nullable=True),
        sa.Column("owner_user_id", sa.Uuid(), nullable=True),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, server_default=NOW, nullable=False),
        sa.Column("updated_at", TIME, server_default=NOW, nullable=False),
        sa.CheckConstraint("kind IN ('prediction', 'metric')", name=op.f("ck_alert_rules_kind")),
        sa.CheckConstraint("status IN ('ok', 'firing', 'no_data')", name=op.f("ck_alert_rules_status")),
        sa.CheckConstraint("no_data IN ('ignore', 'fire')", name=op.f("ck_alert_rules_no_data")),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_alert_rules")),
    )
    op.create_index("ix_alert_rules_kind", "alert_rules", ["workspace_id", "kind", "created_at"], unique=False)


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
