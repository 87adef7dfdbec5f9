"""What changed in tables of a model since it was last written down: names only, the latest change last."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

# Tables whose order tells what was not seen for longest: an entry that is set again moves to the end. In the others it stays where it is.
LATEST = frozenset(("exact", "sizes", "apart", "times"))


@dataclass(slots=True)
class Journal:
    """Names by table, in the order in which they stand there; `gone` were removed first.

    `on` while somebody writes changes down; `whole` when so much changed that only the whole state will do.
    """

    on: bool = False
    whole: bool = True
    names: dict[str, dict[str, None]] = field(default_factory=dict)
    gone: dict[str, dict[str, None]] = field(default_factory=dict)

    def mark(self, table: str, names: Iterable[str]) -> None:
        """Note that these entries of a table were set, or are not there any more."""
        if self.on:
            held = self.names.setdefault(table, {})
            for name in names:
                if table in LATEST:
                    held.pop(name, None)
                held[name] = None

    def drop(self, table: str, names: Iterable[str]) -> None:
        """Note that these entries of a table were forgotten; one that comes again stands at the end."""
        if self.on:
            held, gone = self.names.setdefault(table, {}), self.gone.setdefault(table, {})
            for name in names:
                held.pop(name, None)
                gone[name] = None

    def all(self) -> None:
        """Note that a whole table was made anew."""
        self.whole = True

    def clear(self) -> None:
        """Begin anew: everything so far is written down."""
        self.names, self.gone, self.whole = {}, {}, False
