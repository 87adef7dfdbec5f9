"""Alembic's way in: runs the migrations on the connection that `everfix.migrations.migrate` hands over."""

from __future__ import annotations

from alembic import context

from everfix.migrations import tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=tables.METADATA, transaction_per_migration=True, compare_server_default=False)
with context.begin_transaction():
    context.run_migrations()
