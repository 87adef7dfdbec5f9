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
