"""Delivery: messages, destinations, the ledger of deliveries, and whom a workspace may send mail to.

Revision: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from everfix.migrations import policies

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)
TEXTS = postgresql.ARRAY(sa.Text())
JSON = postgresql.JSONB(astext_type=sa.Text())
NOW = sa.text("now()")


def upgrade() -> None:
    op.add_column("workspaces", sa.Column("mail_domains", TEXTS, server_default="{}", nullable=False))
    _messages()
    _destinations()
    _deliveries()
    for table in ("messages", "destinations", "deliveries"):
        policies.protect(table)


def _key() -> tuple[sa.Column[object], sa.Column[object]]:
    return sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False), sa.Column("id", sa.Uuid(), nullable=False)


def _messages() -> None:
    op.create_table(
        "messages",
        *_key(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("paragraphs", TEXTS, server_default="{}", nullable=False),
        sa.Column("sections", JSON, server_default="{}", nullable=False),
        sa.Column("takeaways", TEXTS, server_default="{}", nullable=False),
        sa.Column("link", sa.Text(), server_default="", nullable=False),
        sa.Column("severity", sa.Text(), server_default="info", nullable=False),
        sa.Column("brand", sa.Text(), server_default="Everfix", nullable=False),
        sa.Column("colour", sa.Text(), server_default="", nullable=False),
        sa.Column("artifacts", JSON, server_default="[]", nullable=False),
        sa.Column("charts", JSON, server_default="[]", nullable=False),
        sa.Column("data", JSON, server_default="{}", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_messages")),
    )


def _destinations() -> None:
    op.create_table(
        "destinations",
        *_key(),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default="true", nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_destinations")),
    )
    op.create_index("ix_destinations_created", "destinations", ["workspace_id", "created_at", "id"], unique=False)


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        *_key(),
        sa.Column("schedule_id", sa.Uuid(), nullable=True),
        sa.Column("slot", sa.DateTime(timezone=True), nullable=True),
        sa.Column("run_id", sa.Uuid(), nullable=True),
        sa.Column("destination_id", sa.Uuid(), nullable=True),
        sa.Column("message_id", sa.Uuid(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), server_default="planned", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_try_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("receipt", JSON, server_default="{}", nullable=False),
        sa.Column("tries", JSON, server_default="[]", nullable=False),
        sa.Column("owner_user_id", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("pk_deliveries")),
    )
    op.create_index("uq_deliveries_key", "deliveries", ["workspace_id", "key"], unique=True)
    op.create_index("uq_deliveries_slot", "deliveries", ["workspace_id", "schedule_id", "slot", "channel", "recipient"], unique=True)
    op.create_index("ix_deliveries_status", "deliveries", ["workspace_id", "status", "id"], unique=False)
    op.create_index("ix_deliveries_run", "deliveries", ["workspace_id", "run_id"], unique=False)
    op.create_index("ix_deliveries_created", "deliveries", ["workspace_id", "created_at", "id"], unique=False)


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
