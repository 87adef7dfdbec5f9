"""Figures of patterns by differences, and what the grouper learnt since its last whole state: both cost as much as what is new.

Revision: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from everfix.migrations import policies

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

HERE = sa.text(policies.CURRENT)


def upgrade() -> None:
    op.add_column("patterns", sa.Column("counted", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("patterns", sa.Column("rated", sa.Integer(), nullable=True))
    tables()
    for table in ("pattern_tallies", "pattern_deltas", "learned_steps"):
        policies.protect(table)
    trigger()
    op.drop_index("ix_predictions_expires", "predictions")
    op.create_index("ix_predictions_expires", "predictions", ["workspace_id", "expires_at"], postgresql_where=sa.text("outcome IS NULL"))


def tables() -> None:
    op.create_table(
        "pattern_tallies",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pattern_id"],
            ["patterns.workspace_id", "patterns.id"],
            name="fk_pattern_tallies_workspace_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "pattern_id", "what", "value", name="pk_pattern_tallies"),
    )
    op.create_table(
        "pattern_deltas",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("pattern_id", sa.Uuid(), nullable=False),
        sa.Column("sign", sa.SmallInteger(), nullable=False),
        sa.Column("occurred_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("team", sa.Text(), nullable=True),
        sa.Column("resolving", sa.BigInteger(), nullable=True),
        sa.Column("sure", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "pattern_id"],
            ["patterns.workspace_id", "patterns.id"],
            name="fk_pattern_deltas_workspace_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "number", name="pk_pattern_deltas"),
    )
    op.create_index("ix_pattern_deltas_pattern", "pattern_deltas", ["workspace_id", "pattern_id"])
    op.create_table(
        "learned_steps",
        sa.Column("workspace_id", sa.Uuid(), server_default=HERE, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("changes", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "name", "revision", name="pk_learned_steps"),
    )


def trigger() -> None:
    """Note what each change of an issue adds to its pattern's figures or takes away; patterns that are gone count nothing."""
    op.execute(
        """
        CREATE FUNCTION everfix_resolving(happened timestamptz, resolved timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT CASE WHEN resolved >= happened THEN (extract(epoch FROM resolved - happened) * 1000000)::bigint END $$
        """
    )
    op.execute(
        """
        CREATE FUNCTION everfix_sure(assignment jsonb) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS $$ SELECT round(10000 * coalesce((assignment->>'confidence')::numeric, 0.5))::integer $$
        """
    )
    columns = "workspace_id, pattern_id, sign, occurred_at, severity, service, team, resolving, sure"
    note = """
            INSERT INTO pattern_deltas ({columns})
            SELECT {row}.workspace_id, {row}.pattern_id, {sign}, {row}.occurred_at, {row}.severity, {row}.service, {row}.team,
                everfix_resolving({row}.occurred_at, {row}.resolved_at), everfix_sure({row}.assignment)
            FROM patterns p WHERE p.workspace_id = {row}.workspace_id AND p.id = {row}.pattern_id;
    """
    op.execute(
        f"""
        CREATE FUNCTION everfix_note_issue() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
        BEGIN
            IF TG_OP <> 'INSERT' THEN {note.format(columns=columns, row="OLD", sign=-1)} END IF;
            IF TG_OP <> 'DELETE' THEN {note.format(columns=columns, row="NEW", sign=1)} END IF;
            RETURN NULL;
        END $$
        """
    )
    counted = "({0}.pattern_id, {0}.occurred_at, {0}.severity, {0}.service, {0}.team, {0}.resolved_at, {0}.assignment->>'confidence')"
    op.execute(
        "CREATE TRIGGER note_insert AFTER INSERT ON issues FOR EACH ROW WHEN (NEW.pattern_id IS NOT NULL) EXECUTE FUNCTION everfix_note_issue()"
    )
    op.execute(
        "CREATE TRIGGER note_delete AFTER DELETE ON issues FOR EACH ROW WHEN (OLD.pattern_id IS NOT NULL) EXECUTE FUNCTION everfix_note_issue()"
    )
    op.execute(
        "CREATE TRIGGER note_update AFTER UPDATE ON issues FOR EACH ROW"
        f" WHEN ({counted.format('OLD')} IS DISTINCT FROM {counted.format('NEW')}) EXECUTE FUNCTION everfix_note_issue()"
    )


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
