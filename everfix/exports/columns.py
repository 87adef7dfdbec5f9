"""Columns: what an export says of a row, as SQL, for the writers that take values and for the one that takes PostgreSQL's own CSV."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Text, case, cast, func, literal, null

from everfix.core import ids
from everfix.documents.model import Unit

HEX = 32  # digits of a UUID
ULID = ids.ULID_LENGTH
NOBODY = "0" * HEX  # an id that is not there, in PostgreSQL's CSV
FLOATS = (Unit.NUMBER, Unit.PROBABILITY, Unit.PERCENT, Unit.MONEY, Unit.SECONDS, Unit.DAYS)
STYLES = {"d.m.y": "DD.MM.YYYY HH24:MI:SS", "d/m/y": "DD/MM/YYYY HH24:MI:SS", "m/d/y": "MM/DD/YYYY HH24:MI:SS"}

Bytes = NDArray[np.uint8]


@dataclasses.dataclass(frozen=True)
class Column:
    """One column. `prefix` makes it an id; `nested` holds JSON; `paper` puts it into a PDF; `analysis` only on request."""

    key: str
    value: Any  # a mapped column, or an SQL expression
    unit: Unit = Unit.TEXT
    prefix: ids.Prefix | None = None
    title: str = ""
    nested: bool = False
    wide: bool = False
    paper: bool = False
    analysis: bool = False

    @property
    def heading(self) -> str:
        """What a person reads above the column."""
        return self.title or self.key.removesuffix("_id").replace("_", " ").capitalize()

    @property
    def quoted(self) -> bool:
        """Whether it holds text from outside, which a spreadsheet might take for a formula."""
        return self.prefix is None and self.unit is Unit.TEXT

    def plain(self, zone: str | None) -> Any:  # noqa: ANN401 - a mapped column, or an SQL expression
        """Return the value as the writers take it: an id as hexadecimal digits, anything else as it is.

        With a zone an instant is that zone's wall clock, to the second: PostgreSQL turns it several times quicker than Python.
        """
        if zone is not None and self.unit is Unit.DATETIME:
            return func.date_trunc("second", func.timezone(zone, self.value))
        return func.encode(func.uuid_send(self.value), "hex") if self.prefix else self.value

    def shown(self, decimal: str, zone: str, dates: str) -> Any:  # noqa: ANN401 - as above
        """Return the value as a cell of a CSV file; ids come by `joined`."""
        if self.nested:
            return cast(self.value, Text)
        if self.unit is Unit.FLAG:
            return case((self.value.is_(None), null()), (self.value, "true"), else_="false")
        if self.unit is Unit.DATETIME:
            return _moment(self.value, zone, dates)
        if self.unit in FLOATS and decimal != ".":
            return func.replace(cast(self.value, Text), ".", decimal)
        return self.value


def _moment(value: ColumnElement[Any], zone: str, dates: str) -> ColumnElement[Any]:
    """Return an instant to the second, in the transaction's time zone: ISO 8601 with its offset, or a style that spreadsheets read."""
    if dates in STYLES:
        return func.to_char(value, STYLES[dates])
    # As JSON PostgreSQL writes ISO 8601 itself, several times quicker than to_char.
    said = func.btrim(cast(func.to_json(func.date_trunc("second", value)), Text), '"')
    return func.replace(said, "+00:00", "Z") if zone == "UTC" else said


def joined(columns: list[ColumnElement[Any]]) -> ColumnElement[Any]:
    """Return ids as one run of hexadecimal digits, 32 each, zeros where there is none."""
    made: ColumnElement[Any] = literal("")
    for value in columns:
        made = made + func.coalesce(func.encode(func.uuid_send(value), "hex"), NOBODY)
    return made


_DIGITS = np.zeros(256, dtype=np.uint8)
_DIGITS[np.frombuffer(b"0123456789abcdef", dtype=np.uint8)] = np.arange(16)
_LETTERS = np.frombuffer(ids.ALPHABET.encode(), dtype=np.uint8)
_WEIGHTS = np.array([16, 8, 4, 2, 1], dtype=np.uint8)


def ulids(digits: Bytes) -> Bytes:
    """Return the ULIDs (n × 26 letters) of ids given in hexadecimal (n × 32 digits), many at a time: one by one takes longer than all else."""
    values = _DIGITS[digits]
    octets = ((values[:, 0::2] << 4) | values[:, 1::2]).astype(np.uint8)
    bits = np.unpackbits(octets, axis=1)
    padded = np.zeros((len(digits), 5 * ULID), dtype=np.uint8)
    padded[:, 2:] = bits
    letters: Bytes = _LETTERS[padded.reshape(-1, ULID, 5) @ _WEIGHTS]
    return letters


def shown_ids(prefix: ids.Prefix, found: list[str | None]) -> list[str | None]:
    """Return ids as the API shows them, from hexadecimal digits."""
    there = [one for one in found if one is not None]
    if not there:
        return found
    letters = ulids(np.frombuffer("".join(there).encode(), dtype=np.uint8).reshape(-1, HEX)).tobytes().decode()
    made = (f"{prefix}_{letters[place : place + ULID]}" for place in range(0, len(letters), ULID))
    return [None if one is None else next(made) for one in found]
