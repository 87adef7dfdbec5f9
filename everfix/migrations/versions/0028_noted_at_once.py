"""What an update changes in the figures of patterns is noted once for the statement, not once for each issue.

Revision: 0028
"""

from __future__ import annotations

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

COUNTED = (
    "({0}.pattern_id, {0}.occurred_at, {0}.severity, {0}.service, {0}.team, {0}.resolved_at, {0}.assignment->>'confidence',"
    " {0}.correction_id IS NULL)"
)
NOTED = (
    "{0}.workspace_id, {0}.pattern_id, {1}, {0}.occurred_at, {0}.severity, {0}.service, {0}.team,"
    " everfix_resolving({0}.occurred_at, {0}.resolved_at), everfix_sure({0}.assignment, {0}.correction_id)"
)


def upgrade() -> None:
    op.execute(
        f"""
        CREATE FUNCTION everfix_note_updates() RETURNS trigger LANGUAGE plpgsql SET search_path = public AS $$
        BEGIN
            INSERT INTO pattern_deltas (workspace_id, pattern_id, sign, occurred_at, severity, service, team, resolving, sure)
            SELECT d.* FROM earlier o JOIN later n ON n.workspace_id = o.workspace_id AND n.id = o.id CROSS JOIN LATERAL (
                SELECT {NOTED.format("o", -1)} WHERE o.pattern_id IS NOT NULL
                UNION ALL SELECT {NOTED.format("n", 1)} WHERE n.pattern_id IS NOT NULL
            ) d(workspace_id, pattern_id, sign, occurred_at, severity, service, team, resolving, sure)
            JOIN patterns p ON p.workspace_id = d.workspace_id AND p.id = d.pattern_id
            WHERE {COUNTED.format("o")} IS DISTINCT FROM {COUNTED.format("n")};
            RETURN NULL;
        END $$
        """  # noqa: S608 - built from the constants above
    )
    op.execute("DROP TRIGGER note_update ON issues")
    op.execute(
        "CREATE TRIGGER note_update AFTER UPDATE ON issues REFERENCING OLD TABLE AS earlier NEW TABLE AS later"
        " FOR EACH STATEMENT EXECUTE FUNCTION everfix_note_updates()"
    )


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
