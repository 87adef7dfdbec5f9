"""Policies: what a migration says for each table, so that no workspace can read another's row."""

from __future__ import annotations

from alembic import context, op

CURRENT = "nullif(current_setting('everfix.workspace_id', true), '')::uuid"
HERE = f"(SELECT {CURRENT})"  # as a sub-select PostgreSQL computes it once per statement, not once per row


def role() -> str:
    """Return the restricted role's name, quoted."""
    return '"' + str(context.config.attributes["role"]).replace('"', '""') + '"'


def protect(table: str, *, rights: str = "SELECT, INSERT, UPDATE, DELETE", key: str = "workspace_id") -> None:
    """Let the restricted role see and write only the current workspace's rows of `table`; the owner is bound too (FORCE)."""
    _force(table)
    op.execute(f"CREATE POLICY workspace ON {table} USING ({key} = {HERE}) WITH CHECK ({key} = {HERE})")
    op.execute(f"GRANT {rights} ON {table} TO {role()}")


def protect_by(table: str, condition: str, *, rights: str = "SELECT, UPDATE") -> None:
    """Protect a table that has no workspace column by a condition that leads to the current workspace."""
    _force(table)
    op.execute(f"CREATE POLICY workspace ON {table} USING ({condition}) WITH CHECK ({condition})")
    op.execute(f"GRANT {rights} ON {table} TO {role()}")


def owner_sees_all(table: str) -> None:
    """Let the owner, and so the named SECURITY DEFINER look-ups, see every row of `table`."""
    op.execute(f"CREATE POLICY owner ON {table} TO CURRENT_USER USING (true) WITH CHECK (true)")


def _force(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def expect(table: str) -> None:
    """Let the planner know which workspace is asked: it reckons with a sub-select as with an average workspace, and takes the wrong index for
    a large one. The price is that a scan of the whole table computes it for each row; for tables that are only read by index.
    """
    op.execute(f"ALTER POLICY workspace ON {table} USING (workspace_id = {CURRENT}) WITH CHECK (workspace_id = {CURRENT})")


NARROW = "nullif(current_setting('everfix.narrow', true), '')::jsonb"


def narrow(table: str, condition: str) -> None:
    """Hide rows of `table` that do not meet `condition` while a reader's view is narrowed (see everfix.metrics.narrow).

    Compared with "<>" so that the planner reckons with nearly every row: a view is narrowed only while a report is built.
    """
    whole = "(SELECT left(coalesce(current_setting('everfix.narrow', true), ''), 1)) <> '{'"
    op.execute(f"CREATE POLICY narrow ON {table} AS RESTRICTIVE FOR SELECT TO {role()} USING ({whole} OR ({condition}))")


def narrowed(field: str, column: str) -> str:
    """Return the condition that a column holds one of the values that the view names for `field`, or that it names none."""
    return f"((SELECT {NARROW} -> '{field}') IS NULL OR coalesce((SELECT {NARROW} -> '{field}') ? {column}, false))"


VIEWER = "(SELECT nullif(current_setting('everfix.viewer', true), '')::uuid)"


def hide(table: str, condition: str) -> None:
    """Hide rows of `table` that do not meet `condition` from a person who does not see the whole workspace (see identity.tokens)."""
    op.execute(f"CREATE POLICY viewer ON {table} AS RESTRICTIVE FOR SELECT TO {role()} USING ({VIEWER} IS NULL OR ({condition}))")


FIELDS = {
    "service": "service",
    "team": "team",
    "environment": "environment",
    "source": "source",
    "severity": "severity",
    "status": "status",
    "kind": "kind",
    "pattern": "pattern_id::text",
}
_OF_PATTERN = "EXISTS (SELECT FROM narrowed.issues i WHERE i.workspace_id = t.workspace_id AND i.pattern_id = t.{})"
NARROWED = {
    "issues": " AND ".join(narrowed(field, f"t.{column}") for field, column in FIELDS.items()),
    "patterns": _OF_PATTERN.format("id"),
    **{table: _OF_PATTERN.format("pattern_id") for table in ("pattern_hours", "predictions", "recommendation_patterns", "verifications")},
    "recommendations": "EXISTS (SELECT FROM narrowed.recommendation_patterns rp WHERE rp.workspace_id = t.workspace_id AND rp.recommendation_id = t.id)",
}


def narrowed_views() -> None:
    """Make, or make anew, the views that stand before their tables while a reader's view is narrowed (see everfix.metrics.narrow).

    A migration that changes the columns of one of these tables ends with this. A pattern is seen when one of its issues is, and what is said
    about a pattern follows it. They read with the caller's rights, so that row-level security binds them as it binds the caller.
    """
    op.execute("DROP SCHEMA IF EXISTS narrowed CASCADE")
    op.execute("CREATE SCHEMA narrowed")
    op.execute(f"GRANT USAGE ON SCHEMA narrowed TO {role()}")
    for table, condition in NARROWED.items():
        op.execute(f"CREATE VIEW narrowed.{table} WITH (security_invoker = true) AS SELECT t.* FROM public.{table} t WHERE {condition}")  # noqa: S608 - constants
        op.execute(f"GRANT SELECT ON narrowed.{table} TO {role()}")
