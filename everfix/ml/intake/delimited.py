"""CSV and its relatives, read twice as a stream: once to learn the types, once to give typed rows and list the bad ones."""

from __future__ import annotations

import bisect
import codecs
import csv
import dataclasses
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import csv as arrow_csv

from everfix.ml.intake import types
from everfix.ml.intake.refused import LISTED, Limits, Refused, Rejects

DELIMITERS = ",;\t|"
HEAD = 1 << 20
BLOCK, WIDE = 1 << 23, 500  # bytes parsed at a time (more for wide tables); a single row must fit into it
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


@dataclasses.dataclass(slots=True)
class Layout:
    """How the text is laid out."""

    encoding: str
    delimiter: str
    names: list[str]
    header: bool


def unpacked(path: Path, limits: Limits) -> Path:
    """Return a gzipped file unpacked beside it; raises Refused when it holds more than the limit, or is broken."""
    out = path.with_suffix(".unpacked")
    size = 0
    try:
        with gzip.open(path) as packed, out.open("wb") as plain:
            while piece := packed.read(1 << 20):
                size += len(piece)
                if size > limits.bytes:
                    raise Refused(f"the file unpacks to more than {limits.bytes:,} bytes", "large")
                plain.write(piece)
    except (OSError, EOFError, zlib.error) as problem:
        raise Refused(f"the gzip archive is broken: {problem}") from problem
    return out


def layout(path: Path, limits: Limits) -> Layout:
    """Return encoding, delimiter and column names; raises Refused for what is no table of text."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    encoding = next((name for mark, name in MARKS if head.startswith(mark)), None) or _encoding(path)
    text = head.decode(encoding, errors="replace")
    if "\x00" in text:
        raise Refused("this is neither CSV nor Parquet (it holds NUL bytes)", "media")
    lines = [line for line in text.splitlines() if line.strip()][:20]
    if not lines:
        raise Refused("the file is empty")
    if lines[0].lstrip()[:1] in ("{", "["):
        raise Refused("this is JSON; upload CSV or Parquet", "media")
    if lines[0].lstrip().lower().startswith(("<!doctype", "<html", "<?xml")):
        raise Refused("this is HTML or XML; upload CSV or Parquet", "media")
    delimiter = max(DELIMITERS, key=lambda sign: (lines[0].count(sign), -DELIMITERS.index(sign)))
    csv.field_size_limit(HEAD)
    try:
        first = next(csv.reader(io.StringIO(text), delimiter=delimiter))
    except (csv.Error, StopIteration) as problem:
        raise Refused(f"the first line cannot be read: {problem or 'it is empty'}") from problem
    if len(first) > limits.columns:
        raise Refused(f"the table has {len(first):,} columns; at most {limits.columns:,} are allowed")
    header = not all(_is_number(cell) for cell in first)
    names = unique(first) if header else [f"column_{place}" for place in range(1, len(first) + 1)]
    check_names(names, limits)
    return Layout(encoding, delimiter, names, header)


def _encoding(path: Path) -> str:
    """UTF-8 where every byte agrees, else Windows-1252, what spreadsheets write in the west."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while piece := file.read(1 << 20):
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "cp1252"
    return "utf-8"


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def unique(given: list[str]) -> list[str]:
    """Return column names with a number after repeated ones, and a name for nameless ones."""
    seen: set[str] = set()
    made = []
    for place, cell in enumerate(given, 1):
        base = name = cell.strip() or f"column_{place}"
        number = 2
        while name in seen:
            name, number = f"{base}_{number}", number + 1
        seen.add(name)
        made.append(name)
    return made


def check_names(names: list[str], limits: Limits) -> None:
    """Raise Refused for a column name that cannot be kept."""
    for place, name in enumerate(names, 1):
        if len(name) > limits.name or "\x00" in name:
            raise Refused(f"column {place} has a name of {len(name):,} characters; at most {limits.name} are allowed, without NUL")


class Reader:
    """Reads one file in batches of text columns; the rows with a wrong number of values are kept apart."""

    def __init__(self, path: Path, found: Layout, limits: Limits) -> None:
        self.path, self.found, self.limits = path, found, limits
        self.comma = found.delimiter != ","  # numbers may have a decimal comma
        self.broken: list[tuple[int, str]] = []  # (data row, reason), in order

    def batches(self) -> Iterator[tuple[pl.DataFrame, int]]:
        """Yield each batch with the number of good rows before it; raises Refused where the file breaks."""
        self.broken.clear()
        keys = [f"c{place}" for place in range(len(self.found.names))]
        names = dict(zip(keys, self.found.names, strict=True))
        options = {
            "read_options": arrow_csv.ReadOptions(
                use_threads=False, block_size=BLOCK * max(1, min(8, len(keys) // WIDE)), encoding=self._codec(), column_names=keys
            ),
            "parse_options": arrow_csv.ParseOptions(
                delimiter=self.found.delimiter, newlines_in_values=True, invalid_row_handler=self._note
            ),
            "convert_options": arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(keys, pa.string()), null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=True
            ),
        }
        before, header, last = 0, self.found.header, None
        try:
            with arrow_csv.open_csv(self.path, **options) as stream:
                for batch in stream:
                    frame: Any = pl.from_arrow(batch)
                    frame = frame.rename(names)
                    if header and frame.height:
                        frame, header = frame.slice(1), False
                    if before + frame.height > self.limits.rows:
                        raise Refused(f"the table has more than {self.limits.rows:,} rows", "large")
                    yield frame, before
                    before += frame.height
                    last = frame.item(-1, -1) if frame.height else last
        except pa.ArrowInvalid as problem:
            raise Refused(_explained(str(problem))) from problem
        self._closed(last)

    def _closed(self, last: str | None) -> None:
        """Raise Refused where the last value runs to the end of the file because its quote was never closed: it swallowed the rows after it."""
        if last is None or "\n" not in last:
            return
        with self.path.open("rb") as file:
            file.seek(max(0, self.path.stat().st_size - 64))
            end = file.read().rstrip(b"\r\n\x00 ")
        if not end.endswith(b'"'):
            raise Refused(f"a quote is never closed; it opens before {last[:60]!r}")

    def row(self, good: int) -> int:
        """Return the place in the file (data rows count from 1) of the good row with this number (from 0)."""
        place = good + 1
        for number, _ in self.broken:
            if number > place:
                break
            place += 1
        return place

    def _codec(self) -> str:
        return "utf-8" if self.found.encoding == "utf-8-sig" else self.found.encoding

    def _note(self, row: Any) -> str:  # noqa: ANN401 - Arrow's record
        number = (row.number or 0) - int(self.found.header)
        bisect.insort(self.broken, (number, f"{row.actual_columns:,} values for {row.expected_columns:,} columns"))
        if len(self.broken) > self.limits.rows:
            raise Refused(f"the table has more than {self.limits.rows:,} rows", "large")
        return "skip"


def _explained(problem: str) -> str:
    if "straddl" in problem or "block boundar" in problem:
        return f"a row is longer than {BLOCK:,} bytes, or a quote is never closed"
    return f"the file cannot be read as CSV: {problem[:300]}"


def guessed(reader: Reader) -> list[types.Column]:
    """Return what the first rows say each column is."""
    head = pl.DataFrame(schema=dict.fromkeys(reader.found.names, pl.String))
    for frame, _ in reader.batches():
        head = frame.head(types.SAMPLE)
        if head.height:
            break
    return [types.Column(name, types.guessed(head[name], comma=reader.comma)) for name in reader.found.names]


def typed(reader: Reader, columns: list[types.Column], rejects: Rejects) -> Iterator[pl.DataFrame]:
    """Yield the rows with their types; a row with a value that does not fit its column is refused, and noted."""
    for frame, before in reader.batches():
        read, bad = [], None
        for column in columns:
            values, misfit = column.read(frame[column.name], comma=reader.comma)
            read.append(values.alias(column.name))
            if misfit is not None:
                fresh = misfit if bad is None else misfit & ~bad
                for place in fresh.arg_true().head(LISTED).to_list():
                    reason = f"{str(frame[column.name][place])[:60]!r} is not {types.WORDS[str(column.kind)]}"
                    rejects.note(reader.row(before + place), column.name, reason)
                rejects.count += int(fresh.sum())
                bad = misfit if bad is None else misfit | bad
        made = pl.DataFrame(read)
        yield made if bad is None else made.filter(~bad)
    for number, reason in reader.broken:
        rejects.add(number, None, reason)
