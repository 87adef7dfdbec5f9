"""Search finds the words inside paths, names and addresses, not only the whole of each.

Revision: 0024
"""

from __future__ import annotations

from alembic import op

from everfix.migrations import policies

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# PostgreSQL's parser keeps `api/test_threadsafe/test`, `orders.example` and `a@b.example` as one word each; who searches types a part of it.
PUNCTUATION = r"""!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~"""
SEARCH = f"to_tsvector('simple', translate(title || ' ' || left(body, 20000), '{PUNCTUATION}', '{' ' * 32}'))"
WORDS = "(search || array_to_tsvector(ARRAY[workspace_id::text]))"


def upgrade() -> None:
    op.execute("DROP SCHEMA narrowed CASCADE")
    op.execute("ALTER TABLE issues DROP COLUMN search")
    op.execute(f"ALTER TABLE issues ADD COLUMN search tsvector NOT NULL GENERATED ALWAYS AS ({SEARCH}) STORED")
    op.execute(f"CREATE INDEX ix_issues_search ON issues USING gin ({WORDS})")
    policies.narrowed_views()


def downgrade() -> None:
    raise RuntimeError("Everfix only migrates forward; restore a backup to go back")
