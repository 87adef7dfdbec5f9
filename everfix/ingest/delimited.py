"""Failures from CSV and its relatives (semicolon, tab, pipe), one row each, in bounded memory and past broken quotes."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from typing import Any, NamedTuple, TextIO

from everfix.ingest import columns as names
from everfix.ingest import records

DELIMITERS = ",;\t|"
LINE_LIMIT = 1 << 20
SAMPLE_ROWS = 200


class Row(NamedTuple):
    """The values of one row, or why it could not be split; `line` is where it began."""

    line: int
    values: list[str]
    error: str | None = None


class Lines:
    """A text file as lines that can be given back, so that a quote which never closes costs one line and not the rest of the file."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.back: deque[str] = deque()
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.back.popleft() if self.back else self.stream.readline(LINE_LIMIT)
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        return line

    def give_back(self) -> None:
        """Put back every line of the row that failed except its first."""
        self.back.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1


def rows(stream: TextIO, delimiter: str) -> Iterator[Row]:
    """Split a file into rows; blank lines are skipped."""
    lines = Lines(stream)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        line = lines.number + 1
        lines.taken.clear()
        try:
            values = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(line, [], _explained(str(error)))
            lines.give_back()
            continue
        if any(value.strip() for value in values):
            yield Row(line, values)


def _explained(error: str) -> str:
    if "expected after" in error:
        return 'a quoted field has text after its closing quote; write a quote inside it twice ("")'
    return f"a field is longer than {csv.field_size_limit():,} characters, or its quote is never closed ({error})"


def delimiter_of(head: str) -> str:
    """The delimiter that splits the first line into most columns; a comma where none does."""
    first = next((line for line in head.splitlines() if line.strip()), "")
    if first[:4].lower() == "sep=" and len(first) == 5:
        return first[4]
    return max(DELIMITERS, key=lambda delimiter: (first.count(delimiter), -DELIMITERS.index(delimiter)))


def read(stream: TextIO, head: str, mapping: Mapping[str, str], *, source: str, place: str) -> Iterator[records.Record | records.Reject]:
    """Read the rows under the header line; raises UnreadableFileError where the header cannot give a title or lacks a mapped column."""
    found = rows(stream, delimiter_of(head))
    header = next(found, Row(1, []))
    if len(header.values) == 2 and header.values[0].lower() == "sep=":  # the line with which Excel names its delimiter
        header = next(found, Row(2, []))
    if header.error or not header.values:
        raise records.UnreadableFileError(f"line {header.line}: {header.error or 'no header line with column names'}")
    header_names = _unique([name.strip() for name in header.values])
    sample, found = _sampled(found)
    whole = [dict(zip(header_names, row.values, strict=True)) for row in sample if len(row.values) == len(header_names)]
    layout = names.Columns(header_names, mapping, names.pattern_parts(whole))
    shown = ", ".join(records.quoted(name) for name in header_names[:12])
    missing = names.missing_from(layout, header_names)
    if missing:
        raise records.UnreadableFileError(f"map: column {records.quoted(missing[0])} is not in the file; its columns: {shown}")
    if not layout.give_a_title():
        raise records.UnreadableFileError(
            f"columns {shown}: none of them is known as a title; name it with title=COLUMN, or call it title, summary, message or pattern"
        )
    return _records(chain(sample, found), header_names, layout, source, place)


def _sampled(found: Iterator[Row]) -> tuple[list[Row], Iterator[Row]]:
    """The first rows, and the rest; a file that breaks off among them breaks off after them."""
    sample: list[Row] = []
    try:
        sample.extend(islice(found, SAMPLE_ROWS))
    except records.BROKEN as error:
        return sample, _raising(error)
    return sample, found


def _raising(error: Exception) -> Iterator[Row]:
    raise error
    yield  # this makes it an iterator


def _records(
    found: Iterator[Row], header: tuple[str, ...], layout: names.Columns, source: str, place: str
) -> Iterator[records.Record | records.Reject]:
    for index, row in enumerate(found):
        error = row.error
        if error is None and len(row.values) != len(header):
            error = f"{len(row.values)} values for {len(header)} columns"
        if error is not None:
            yield records.Reject(index, error, row.line)
            continue
        values: dict[str, Any] = dict(zip(header, row.values, strict=True))
        try:
            made = names.event(values, layout, source=source, place=f"{place}:{row.line}")
        except records.BadValueError as bad:
            yield records.Reject(index, str(bad), row.line)
        else:
            yield records.Record(made, index=index, line=row.line)


def _unique(header: list[str]) -> tuple[str, ...]:
    """Column names with a number after repeated ones (an export of Jira repeats `Comment`), and a name for nameless ones."""
    seen: dict[str, int] = {}
    unique: list[str] = []
    for position, given in enumerate(header, 1):
        name = given or f"column {position}"
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return tuple(unique)
