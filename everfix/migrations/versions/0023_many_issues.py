"""A million issues: the planner knows how large a workspace is, narrowed views stand beside the tables, search and any filter have an index.

Revision: 0023
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from everfix.migrations import policies

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# As trailing keys a filter is checked in the index; as a part of the row it would have to be fetched from the table first.
FILTERS = (
    "occurred_at",
    "kind",
    "status",
    "severity",
    "risk_score",
    "analysis_status",
    "source",
    "team",
    "service",
    "assignee_id",
    "pattern_id",
)
COMMON = 0.05  # share of all issues from which on a word is common
WORDS = "(search || array_to_tsvector(ARRAY[workspace_id::text]))"


def upgrade() -> None:
    policies.expect("issues")
    for table in policies.NARROWED:
        op.execute(f"DROP POLICY narrow ON {table}")
    policies.narrowed_views()
    indexes()
    search()
    # Counts and lists read indexes alone, which takes a visibility map that is up to date.
    op.execute(
        "ALTER TABLE issues SET (autovacuum_vacuum_insert_scale_factor = 0.01, autovacuum_vacuum_scale_factor = 0.02,"
        " autovacuum_analyze_scale_factor = 0.02)"
    )


def indexes() -> None:
    op.drop_index("ix_issues_created", "issues")
    op.create_index("ix_issues_created", "issues", ["workspace_id", "created_at", "id", *FILTERS])
    op.create_index("ix_issues_kind", "issues", ["workspace_id", "kind", "created_at", "id"])
    op.create_index("ix_issues_unlinked", "issues", ["workspace_id", "created_at", "id"], postgresql_where=sa.text("pattern_id IS NULL"))
    op.drop_index("ix_issues_search", "issues")
    op.execute(f"CREATE INDEX ix_issues_search ON issues USING gin ({WORDS})")


def search() -> None:
    """Which issues of the current workspace hold all of these words, or words that begin so; one NULL where every word is a common one.

    Row-level security keeps `@@` from the index, since PostgreSQL cannot know that the operator tells nothing of rows it is not to show. The
    workspace is one of the words, so that the index finds only its own. Common words are left to a look at the rows that the others found: the
    index would collect all that begins like each of them, which takes longer than walking a list until a page is full.
    """
    policies.owner_sees_all("issues")
    op.execute(
        f"""
        CREATE FUNCTION everfix_issues_holding(words text[], most integer) RETURNS TABLE (issue_id uuid)
        LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public ROWS 1000
        AS $$
        DECLARE
            here uuid := {policies.CURRENT};
            every tsquery := '';
            looked tsquery := quote_literal(here::text)::tsquery;
            common text[] := ARRAY(
                SELECT word FROM pg_stats s, unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) AS m(word, share)
                WHERE s.schemaname = 'public' AND s.tablename = 'ix_issues_search' AND word IS NOT NULL AND share > {COMMON}
            );
            word text;
            rare boolean := false;
        BEGIN
            IF here IS NULL THEN RETURN; END IF;
            FOREACH word IN ARRAY words LOOP
                every := every && to_tsquery('simple', word || ':*');
                IF NOT EXISTS (SELECT FROM unnest(common) c WHERE starts_with(c, lower(word))) THEN
                    looked := looked && to_tsquery('simple', word || ':*');
                    rare := true;
                END IF;
            END LOOP;
            IF NOT rare THEN
                RETURN QUERY SELECT NULL::uuid;
                RETURN;
            END IF;
            RETURN QUERY EXECUTE 'SELECT f.id FROM (SELECT id, workspace_id, search FROM issues WHERE {WORDS} @@ $1 OFFSET 0) f'
                ' WHERE f.workspace_id = $2 AND f.search @@ $3 LIMIT $4' USING looked, here, every, most;
        END $$
        """  # noqa: S608 - built from the constants above
    )
    op.execute("REVOKE ALL ON FUNCTION everfix_issues_holding(text[], integer) FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION everfix_issues_holding(text[], integer) TO {policies.role()}")


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
