"""Which type a column of text has: the narrowest that at least 99 % of its present values fit, else text.

A type is guessed from the first rows and then tried on all: the usual case needs one reading of the file, a column that turns out
to be wider needs another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import polars as pl

SHARE = 0.99
SAMPLE = 5_000
MISSING = ("na", "n/a", "#n/a", "nan", "null", "none", "<na>", "-", "?", "nil")  # in a column that is not text
WIDER = {"boolean": "text", "integer": "number", "number": "text", "comma": "text", "date": "datetime", "datetime": "text"}
WORDS = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "comma": "a number",
    "date": "a date (2026-01-31)",
    "datetime": "a time (2026-01-31T09:30:00Z)",
}
_IDENTIFIER = r"^[+-]?(0\d|\d{19,}$)"  # leading zeros, or more digits than a number holds
_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|z|[+-]\d{2}:?\d{2})?$"
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_PLAIN_TIMES = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f")  # without a zone: UTC


def _comma(text: pl.Expr) -> pl.Expr:
    plain = text.str.contains(r"^[+-]?(\d{1,3}(\.\d{3})+|\d+)(,\d+)?$")
    return (
        pl.when(plain).then(text.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True)).cast(pl.Float64, strict=False)
    )


def _boolean(text: pl.Expr) -> pl.Expr:
    low = text.str.to_lowercase()
    return pl.when(low.is_in(["true", "yes"])).then(statement=True).when(low.is_in(["false", "no"])).then(statement=False)


def _datetime(text: pl.Expr) -> pl.Expr:
    whole = text.str.replace(" ", "T", literal=True).str.replace(r"z$", "Z")
    seconds = pl.when(whole.str.contains(r"T\d{2}:\d{2}(Z|[+-]|$)")).then(whole.str.replace(r"(T\d{2}:\d{2})", "${1}:00")).otherwise(whole)
    midnight = pl.when(text.str.contains(_DATE)).then(text + "T00:00:00").otherwise(seconds)
    zoned = pl.when(midnight.str.contains(r"(Z|[+-]\d{2}:?\d{2})$")).then(midnight).otherwise(midnight + "Z")
    fits = text.str.contains(_TIME) | text.str.contains(_DATE)
    return pl.when(fits).then(zoned).str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)


def _date(text: pl.Expr) -> pl.Expr:
    return pl.when(text.str.contains(_DATE)).then(text).str.to_date("%Y-%m-%d", strict=False)


def _integer(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Int64, strict=False)


def _number(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Float64, strict=False).fill_nan(None)


READERS: Mapping[str, Callable[[pl.Expr], pl.Expr]] = {
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "comma": _comma,  # decimal comma, tried where the comma does not separate columns
    "date": _date,
    "datetime": _datetime,
}


def _applied(text: pl.Series, reader: Callable[[pl.Expr], pl.Expr]) -> pl.Series:
    return text.to_frame("x").select(reader(pl.col("x")).alias("x"))["x"]


def present(text: pl.Series) -> pl.Series:
    """Return the values, trimmed, with the usual words for "missing" as null."""
    column = pl.col("x").str.strip_chars()
    kept = pl.when(~column.str.to_lowercase().is_in(list(MISSING)) & (column != "")).then(column)
    return text.to_frame("x").select(kept.alias("x"))["x"]


def guessed(text: pl.Series, *, comma: bool) -> str | None:
    """Return the type of a column's first values, or None where all are missing; `comma`: numbers may have a decimal comma."""
    values = text.drop_nulls()
    if values.len() and not values.cast(pl.Int64, strict=False).null_count():  # the usual case of a wide table, quickly
        return "text" if _identifies(values) else "integer"
    values = present(values).drop_nulls()
    if not values.len():
        return None
    x = pl.col("x")
    asked = [READERS[kind](x).count().alias(kind) for kind in READERS if comma or kind != "comma"]
    fits: dict[str, int] = values.to_frame("x").select(asked).row(0, named=True)
    enough = {kind for kind, count in fits.items() if count >= SHARE * values.len()}
    if _identifies(values):
        enough -= {"integer", "number", "comma"}
    for narrow, wide in (("boolean", None), ("integer", "number"), ("date", "datetime")):
        if narrow in enough and fits.get(wide or narrow, 0) <= fits[narrow]:
            return narrow
    for kind in ("number", "comma"):
        if kind in enough and fits[kind] >= max(fits[other] for other in enough & {"number", "comma"}):
            return kind
    return "datetime" if "datetime" in enough else "text"


def _identifies(values: pl.Series) -> bool:
    """Tell whether numbers have leading zeros, or more digits than a number holds: an identifier, which must keep its letters."""
    return bool(values.str.contains(_IDENTIFIER).any())


@dataclasses.dataclass(slots=True)
class Column:
    """One column: what it is taken for, and how that went. `kind` is None while only missing values were seen."""

    name: str
    kind: str | None
    seen: int = 0
    misfits: int = 0
    wider: str | None = None  # what it must be taken for in another reading

    def read(self, text: pl.Series, *, comma: bool) -> tuple[pl.Series, pl.Series | None]:
        """Return the typed values of a batch, and where a present value does not fit (None: nowhere)."""
        if self.kind is None:
            self.wider = self.wider or guessed(text, comma=comma)
            return text, None
        if self.kind == "text":
            return text, None
        self.seen += text.count()
        read = self._quickly(text)
        rest = (read.is_null() & text.is_not_null()).arg_true()
        if self.kind == "integer" and _identifies(text):
            self.wider = "text"
        if not rest.len():
            return read, None
        values = present(text.gather(rest))
        self.seen -= values.null_count()
        slowly = _applied(values, READERS[self.kind])
        read = read.scatter(rest, slowly)
        return read, self._misfit(rest, values, slowly, text.len())

    def _misfit(self, rest: pl.Series, values: pl.Series, slowly: pl.Series, rows: int) -> pl.Series | None:
        wrong = values.is_not_null() & slowly.is_null()
        count = int(wrong.sum())
        if not count:
            return None
        self.misfits += count
        wide = WIDER[str(self.kind)]
        if wide != "text" and self.wider is None and _applied(values.filter(wrong), READERS[wide]).count():
            self.wider = wide
        return pl.Series("bad", [False]).new_from_index(0, rows).scatter(rest.filter(wrong), values=True)

    def _quickly(self, text: pl.Series) -> pl.Series:
        """Read the values by the one pattern that all of them usually have; what is left null is read with care."""
        if self.kind == "datetime":
            first = text.drop_nulls().head(1)
            for pattern in _PLAIN_TIMES:
                if first.len() and first.str.to_datetime(pattern, strict=False).count():
                    return text.str.to_datetime(pattern, time_unit="us", strict=False).dt.replace_time_zone("UTC")
            return text.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
        if self.kind == "date":
            return text.str.to_date("%Y-%m-%d", strict=False)
        if self.kind in ("integer", "number"):
            read = text.cast(pl.Int64 if self.kind == "integer" else pl.Float64, strict=False)
            return read if self.kind == "integer" else read.fill_nan(None)
        return _applied(text, READERS[str(self.kind)])

    def settled(self) -> bool:
        """Tell whether the type stands after all rows were read; else `kind` is the wider one to try."""
        if self.wider is None and self.misfits > (1 - SHARE) * self.seen and self.kind is not None:
            self.wider = WIDER[self.kind]
        if self.wider is None or self.wider == self.kind:
            return True
        self.kind, self.wider, self.seen, self.misfits = self.wider, None, 0, 0
        return False
