"""What an update changes in the figures of patterns is noted for each issue again: the plan for all at once is kept from the first few.

Revision: 0029
"""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

COUNTED = (
    "({0}.pattern_id, {0}.occurred_at, {0}.severity, {0}.service, {0}.team, {0}.resolved_at, {0}.assignment->>'confidence',"
    " {0}.correction_id IS NULL)"
)


def upgrade() -> None:
    op.execute("DROP TRIGGER note_update ON issues")
    op.execute(
        "CREATE TRIGGER note_update AFTER UPDATE ON issues FOR EACH ROW"
        f" WHEN ({COUNTED.format('OLD')} IS DISTINCT FROM {COUNTED.format('NEW')}) EXECUTE FUNCTION everfix_note_issue()"
    )
    op.execute("DROP FUNCTION everfix_note_updates()")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
