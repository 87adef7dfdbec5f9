"""CSV: PostgreSQL writes it (COPY), this file makes it safe: ids as the API shows them, and no cell that a spreadsheet evaluates.

COPY quotes every text and nothing else, so a number (also a negative one) can never be taken for a text, and one look at a
block of rows finds the few that need more than a look. Those are read, neutralised by the rule of every other CSV file
(`documents.to_csv.neutral`), and written again.
"""

from __future__ import annotations

import bisect
import csv
import io
import itertools
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import numpy as np
from sqlalchemy.orm import Session

from everfix.documents.to_csv import BOM, neutral
from everfix.exports.columns import HEX, NOBODY, ULID, Column, ulids
from everfix.exports.options import Options
from everfix.exports.rows import Look

BLOCK = 4_000  # rows
# Wider than the rule itself, never narrower: a text that begins, behind anything that might be blank, like a formula …
FORMULA = re.compile(rb'"[\x00-\x20\x7f-\xff]*[=+\-@\t\r]')
# … and the first bytes of what no file may carry on (`documents.format.UNPRINTABLE`, and other ends of line).
STRANGE = re.compile(
    rb"[\x00-\x08\x0b-\x1f\x7f\xc2\xe2\xef]"
    rb"(?:(?<=[\x00-\x7f])|(?<=\xc2)[\x80-\x9f]|(?<=\xe2)(?:\x80[\xa8-\xae]|\x81[\xa6-\xa9])|(?<=\xef)(?:\xb7[\x90-\xaf]|\xbf[\xbe\xbf]))"
)
LONGEST = min(sys.maxsize, 2**31 - 1)  # stack traces are longer than the csv module expects of a cell
_reading = threading.Lock()  # its limit is the whole process's: readers of files rely on the usual one


def write(path: Path, db: Session, look: Look, told: Callable[[int], None]) -> tuple[int, UUID | None]:
    """Write the rows to `path` and return how many there were, and the key of the last."""
    rows, last = 0, None
    with path.open("wb") as out:
        out.write(header(look.columns, look.options))
        with look.copied(db) as copy:
            for block, keys in blocks(copy, look.columns, look.options):
                out.write(block)
                rows, last = rows + len(keys), keys[-1]
                told(rows)
    return rows, None if last is None else UUID(last.decode())


def header(columns: Sequence[Column], options: Options) -> bytes:
    """Return the first line, behind the byte order mark where it is wanted."""
    return (BOM if options.bom else "").encode() + f"{options.delimiter.join(column.key for column in columns)}\r\n".encode()


def blocks(
    rows: Iterable[bytes | bytearray | memoryview], columns: Sequence[Column], options: Options
) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield safe blocks of the file from PostgreSQL's rows, with the key (32 hexadecimal digits) of each row."""
    prefixes = [column.prefix for column in columns if column.prefix]
    texts = [column.quoted for column in columns if column.prefix is None]
    width = HEX * (1 + len(prefixes))
    source = iter(rows)
    while found := [bytes(row[:-1]) for row in itertools.islice(source, BLOCK)]:
        keys = [row[:HEX] for row in found]
        _mend(found, texts, options.delimiter)
        yield _named(found, [str(prefix) for prefix in prefixes], width, options.delimiter, last=not texts), keys


def _mend(found: list[bytes], texts: list[bool], delimiter: str) -> None:
    """Neutralise the rows of a block that need it, in place."""
    block = b"\n".join(found)
    hits = {match.start() for match in itertools.chain(FORMULA.finditer(block), STRANGE.finditer(block))}
    if not hits:
        return
    starts = list(itertools.accumulate((len(row) + 1 for row in found), initial=0))
    for place in sorted({bisect.bisect_right(starts, hit) - 1 for hit in hits}):
        found[place] = _mended(found[place], texts, delimiter)


def _mended(row: bytes, texts: list[bool], delimiter: str) -> bytes:
    ids, *cells = _cells(row, delimiter)
    shown = [_quoted(neutral(cell)) if is_text and cell else cell for cell, is_text in zip(cells, texts, strict=True)]
    return delimiter.join([ids, *(_sound(cell, delimiter, text) for cell, text in zip(shown, texts, strict=True))]).encode()


def _cells(row: bytes, delimiter: str) -> list[str]:
    with _reading:
        usual = csv.field_size_limit(LONGEST)
        try:
            return next(csv.reader(io.StringIO(row.decode(), newline=""), delimiter=delimiter))
        finally:
            csv.field_size_limit(usual)


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def _sound(cell: str, delimiter: str, text: bool) -> str:
    """Quote what is no text (JSON, for one) where it holds a sign of the format."""
    return _quoted(cell) if not text and any(sign in cell for sign in (delimiter, '"', "\n", "\r")) else cell


def _named(found: list[bytes], prefixes: list[str], width: int, delimiter: str, *, last: bool) -> bytes:
    """Return the rows with their ids as the API shows them, in place of the digits at their beginning.

    A shown id is shorter than its digits, so it is written over them; what is left over becomes NUL, which no row holds, and is
    taken out of the whole block at once.
    """
    block = bytearray(b"\r\n".join(found) + b"\r\n")
    view = np.frombuffer(block, dtype=np.uint8)
    lengths = np.fromiter(map(len, found), dtype=np.int64, count=len(found))
    starts = np.concatenate(([0], np.cumsum(lengths + 2)[:-1]))
    places = starts[:, None] + np.arange(width + (0 if last else 1))
    made = np.zeros(places.shape, dtype=np.uint8)
    digits = view[starts[:, None] + np.arange(width)]
    nobody = np.frombuffer(NOBODY.encode(), dtype=np.uint8)
    for number, prefix in enumerate(prefixes):
        own = digits[:, HEX * (number + 1) : HEX * (number + 2)]
        at = number * (ULID + len(prefix) + 2)
        lead = np.frombuffer(f"{prefix}_".encode(), dtype=np.uint8)
        there = (own != nobody).any(axis=1)
        made[there, at : at + len(lead)] = lead
        made[there, at + len(lead) : at + len(lead) + ULID] = ulids(own[there])
        if not (last and number == len(prefixes) - 1):
            made[:, at + len(lead) + ULID] = ord(delimiter)
    view[places] = made
    return bytes(block.translate(None, b"\x00"))
