"""The work on one report: rows read in short transactions, tables brought near from the storage, and what is said about them.

Long computation happens with no transaction open; a part that cannot be made says so and takes nothing else with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from everfix.core import jobs
from everfix.core.db import Json
from everfix.documents.model import Block
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.unmade import Unmade
from everfix.ml.tables import Table

Made = TypeVar("Made")


class Absent(Unmade):
    """Nothing was given that this part could be made from: it is left out, and the appendix says so."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing a reviewer asks, the figure that answers it, and the verdict."""

    name: str
    value: float | None
    limit: str
    verdict: str  # pass, warn or fail
    why: str


@dataclass(frozen=True, slots=True)
class Part:
    """One section: its switches, all of which must be on, and what makes its blocks."""

    id: str
    title: str
    build: Callable[[Work], Iterable[Block]]
    switches: tuple[str, ...] = ()


@dataclass
class Work:
    """What the parts of one report share."""

    job: jobs.Running
    folder: Path
    entity: Any  # a row of the entity's table, detached
    project: Any
    options: Json
    since: Any = None  # of a deployment's log
    until: Any = None
    checks: list[Check] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)  # section id → sentences of the narrative
    headline: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    kept: dict[str, Any] = field(default_factory=dict)
    fetched: dict[UUID, Path] = field(default_factory=dict)

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """Return what `make` gives, made at most once; a reason why it cannot be made is kept too."""
        if name not in self.kept:
            try:
                self.kept[name] = make()
            except Unmade as reason:
                self.kept[name] = reason
        found = self.kept[name]
        if isinstance(found, Unmade):
            raise found
        return found  # type: ignore[no-any-return]

    def read(self, query: Callable[[Session], Made]) -> Made:
        """Run a query in a transaction of its own."""
        with self.job.database.transaction(self.job.workspace) as db:
            return query(db)

    def rows(self, query: Select[Any]) -> list[Any]:
        """Return the rows of a query, detached."""
        return self.read(lambda db: list(db.execute(query).scalars()))

    def one(self, table: type[Any], row_id: UUID | None) -> Any | None:  # noqa: ANN401 - a row of that table
        """Return a row by its id, or None."""
        if row_id is None:
            return None
        return next(iter(self.rows(select(table).where(table.id == row_id))), None)

    def table(self, table_id: UUID | None, what: str) -> Frames:
        """Return a stored table; raises Absent where none was given."""
        found = self.one(Table, table_id)
        if table_id is not None and found is None:
            raise Absent("the table was deleted")
        return self.tables([found] if found is not None else [], what)

    def tables(self, found: Sequence[Table], what: str) -> Frames:
        """Return several stored tables as one, each once; raises Absent where none was given."""
        if not found:
            raise Absent(f"no {what} was given")
        return Frames(files=tuple(dict.fromkeys(self._fetch(table) for table in found)), since=self.since, until=self.until)

    def _fetch(self, table: Table) -> Path:
        if table.id not in self.fetched:
            path = self.folder / f"{table.id}.parquet"
            with path.open("wb") as file:
                for piece in self.job.services.storage.stream(table.key):
                    file.write(piece)
            self.fetched[table.id] = path
        return self.fetched[table.id]

    def say(self, section: str, *sentences: str) -> None:
        """Add sentences to the narrative of a section."""
        self.said.setdefault(section, []).extend(sentence for sentence in sentences if sentence)

    def check(self, name: str, value: float | None, limit: str, verdict: str, why: str) -> None:
        """Add a check."""
        self.checks.append(Check(name, value, limit, verdict, why))
