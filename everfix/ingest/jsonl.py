"""Failures from JSON: one object per line, an array, or one object; each object is told apart as alert, CloudEvent or plain record."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn, TextIO

from everfix.ingest import alertmanager, cloudevents, records
from everfix.ingest import columns as names

LINE_LIMIT = 4 << 20
DOCUMENT_LIMIT = 64 << 20
LAYOUTS_KEPT = 256

Object = dict[str, Any]
SHAPES: dict[str, tuple[Callable[[Object], bool], str]] = {
    "alertmanager": (alertmanager.is_payload, "an object with `alerts`, or an alert with `labels` and `startsAt`"),
    "cloudevents": (cloudevents.is_event, "an object with `specversion`, `id`, `source` and `type`"),
}


def _refuse_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse(text: str) -> object:
    """Parse one JSON text; raises ValueError with a reason for everything that is not JSON or nests too deeply."""
    try:
        return json.loads(text, parse_constant=_refuse_number)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos + 1}") from error


def lines(stream: TextIO) -> Iterator[tuple[int, object | ValueError]]:
    """Give the line number and value of each line that is not blank, or the error in place of a value."""
    number = 0
    while line := stream.readline(LINE_LIMIT):
        number += 1
        if len(line) == LINE_LIMIT and not line.endswith("\n"):
            while (rest := stream.readline(LINE_LIMIT)) and not rest.endswith("\n"):
                continue
            yield number, ValueError(f"longer than {LINE_LIMIT:,} characters")
        elif line.strip():
            try:
                yield number, parse(line)
            except ValueError as error:
                yield number, error


def document(stream: TextIO) -> Iterator[tuple[None, object | ValueError]]:
    """Give the elements of one JSON array, or the one object of the file; raises UnreadableFileError above 64 MiB and where it is none."""
    text = stream.read(DOCUMENT_LIMIT + 1)
    if len(text) > DOCUMENT_LIMIT:
        raise records.UnreadableFileError(f"one JSON document of more than {DOCUMENT_LIMIT >> 20} MiB; write one object per line (.jsonl)")
    try:
        value = parse(text)
    except ValueError as error:
        raise records.UnreadableFileError(str(error)) from error
    return ((None, element) for element in (value if isinstance(value, list) else [value]))


class Reader:
    """Turns objects into records; remembers the column layout of each set of keys."""

    def __init__(self, mapping: Mapping[str, str], *, source: str, place: str, shape: str | None) -> None:
        self.mapping, self.source, self.place, self.shape = mapping, source, place, shape
        self.layouts: dict[tuple[str, ...], names.Columns] = {}
        self.index = 0
        self.unseen = {column for column in mapping.values() if column}

    def layout(self, keys: tuple[str, ...]) -> names.Columns:
        """The columns of objects with these keys."""
        if keys not in self.layouts:
            if len(self.layouts) >= LAYOUTS_KEPT:
                self.layouts.clear()
            self.layouts[keys] = names.Columns(keys, self.mapping)
            self.unseen &= set(names.missing_from(self.layouts[keys], keys))
        return self.layouts[keys]

    def read(self, found: Iterator[tuple[int | None, object | ValueError]]) -> Iterator[records.Record | records.Reject]:
        """Give one record or reject per object, and one per alert of an Alertmanager payload."""
        for line, value in found:
            for made in self._made(line, value):
                if isinstance(made, ValueError):
                    yield records.Reject(self.index, str(made), line)
                else:
                    yield records.Record(made, index=self.index, line=line)
                self.index += 1
        for column in sorted(self.unseen) if self.index else ():
            yield records.Reject(self.index, f"map: column {records.quoted(column)} is in none of the objects")
            self.index += 1

    def _made(self, line: int | None, value: object | ValueError) -> Iterator[Object | records.BadValueError | ValueError]:
        if isinstance(value, ValueError):
            yield value
            return
        if not isinstance(value, dict):
            yield ValueError(f"{records.quoted(value)} is not an object; allowed: an object with names and values")
            return
        place = f"{self.place}:{self.index if line is None else line}"
        try:
            if self._is("alertmanager", value):
                yield from alertmanager.alerts(value)
            elif self._is("cloudevents", value):
                yield cloudevents.event(value, self.layout)
            else:
                flat = names.flat(value)
                yield names.event(flat, self.layout(tuple(flat)), source=self.source, place=place)
        except (records.BadValueError, RecursionError) as error:
            yield error if isinstance(error, ValueError) else ValueError("nested too deeply")

    def _is(self, shape: str, value: Object) -> bool:
        test, allowed = SHAPES[shape]
        if self.shape == shape and not test(value):
            raise records.BadValueError("format", ", ".join(list(value)[:8]), allowed)
        return self.shape in (None, shape) and test(value)
