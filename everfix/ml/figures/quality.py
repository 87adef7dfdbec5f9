"""Quality of a table: types, what is missing, constant, mixed, repeated or far out, column by column, and a score with its reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from everfix.ml.figures import arrays, frames
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.unmade import Unmade

COLUMNS = 500  # looked at one by one; the rest is counted
NEARLY = 0.98  # share of one value from which a column is almost constant
FENCE = 1.5  # interquartile ranges beyond the quartiles (Tukey) from which a value is far out
NULLS = ("", "null", "none", "nan", "na", "n/a", "nil", "-", "?", "missing", "unknown")
TOP = 5
DEDUCTIONS = {"missing": 40.0, "duplicates": 20.0, "constant": 15.0, "mixed": 15.0, "outliers": 10.0}  # points at the worst, of 100


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `mixed` is the share of the rarer kind where texts are partly numbers; `outliers` counts values beyond the fences."""

    name: str
    kind: str  # number, integer, boolean, text, time, nothing
    rows: int
    missing: int
    unique: int
    top: str
    top_share: float
    minimum: float | None = None
    q25: float | None = None
    median: float | None = None
    q75: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    infinite: int = 0
    outliers: int = 0
    mixed: float = 0.0
    hidden: int = 0  # texts that say "missing": "NA", "null", "?" …

    @property
    def missing_share(self) -> float:
        return self.missing / self.rows if self.rows else 0.0

    @property
    def constant(self) -> bool:
        return self.unique <= 1

    @property
    def almost_constant(self) -> bool:
        return not self.constant and self.top_share >= NEARLY


@dataclass(frozen=True, slots=True)
class Quality:
    """The table: its counts, its columns, and a score of 100 less what each kind of fault takes off."""

    rows: int
    columns: tuple[Column, ...]
    all_columns: int
    duplicates: int
    empty_rows: int
    deductions: tuple[tuple[str, float], ...]

    @property
    def score(self) -> float:
        return max(0.0, 100.0 - sum(points for _, points in self.deductions))

    @property
    def missing_share(self) -> float:
        cells = sum(column.rows for column in self.columns)
        return sum(column.missing for column in self.columns) / cells if cells else 0.0


def of(table: Frames) -> Quality:
    """Return the quality of a table; raises Unmade for one without rows or columns."""
    names = list(table.schema)
    if not names or not table.rows:
        raise Unmade(f"the table has {table.rows:,} rows and {len(names):,} columns")
    held = table.near()
    columns = tuple(column(held, name) for name in names[:COLUMNS])
    duplicates, empty = _rows(held, names)
    return Quality(table.rows, columns, len(names), duplicates, empty, _deductions(columns, duplicates, table.rows))


def column(table: Frames, name: str) -> Column:
    """Return what one column is like."""
    parts = [batch[name] for batch in table.batches([name])]
    series = pl.concat(parts) if len(parts) > 1 else parts[0]
    if series.dtype.is_nested() or series.dtype == pl.Binary:
        series = pl.Series(name, [None if value is None else arrays.label(value) for value in series.to_list()], dtype=pl.String)
    infinite = 0
    if series.dtype.is_float():
        infinite = int(series.is_infinite().sum() or 0)
        series = series.fill_nan(None)
    there = series.drop_nulls()
    made: dict[str, Any] = {"name": name, "rows": len(series), "missing": len(series) - len(there), "infinite": infinite}
    if not len(there):
        return Column(kind="nothing", unique=0, top="", top_share=0.0, **made)
    top, count = _most(there)
    made |= {"kind": _kind(series.dtype), "unique": int(there.n_unique()), "top": top, "top_share": count / len(there)}
    if series.dtype == pl.String:
        made |= _text(there)
    elif frames.numeric(series.dtype):
        made |= _spread(frames.floats(there).to_numpy())
    return Column(**made)


def _most(there: pl.Series) -> tuple[str, int]:
    counted = there.value_counts(sort=True)
    value, count = counted.row(0)
    return arrays.label(value) or str(value)[: arrays.LABEL], int(count)


def _kind(kind: pl.DataType) -> str:
    if kind == pl.Boolean:
        return "boolean"
    if kind.is_integer():
        return "integer"
    if kind.is_numeric():
        return "number"
    return "time" if kind.is_temporal() else "nothing" if kind == pl.Null else "text"


def _text(there: pl.Series) -> dict[str, Any]:
    """Look for numbers among words, and for words that mean "missing"."""
    low = there.str.strip_chars().str.to_lowercase()
    hidden = int(low.is_in(NULLS).sum())
    said = low.filter(~low.is_in(NULLS))
    numbers = int(said.cast(pl.Float64, strict=False).is_not_null().sum()) if len(said) else 0
    share = numbers / len(said) if len(said) else 0.0
    return {"mixed": min(share, 1 - share), "hidden": hidden}


def _spread(values: arrays.Floats) -> dict[str, Any]:
    if not values.size:
        return {}
    low, q25, median, q75, high = (float(value) for value in np.quantile(values, (0, 0.25, 0.5, 0.75, 1)))
    reach = FENCE * (q75 - q25)
    outliers = int(((values < q25 - reach) | (values > q75 + reach)).sum()) if reach else 0
    std = float(values.std(ddof=1)) if values.size > 1 else 0.0
    return {
        "minimum": low,
        "q25": q25,
        "median": median,
        "q75": q75,
        "maximum": high,
        "mean": float(values.mean()),
        "outliers": outliers,
    } | ({"std": std} if math.isfinite(std) else {})


def _rows(table: Frames, names: list[str]) -> tuple[int, int]:
    """Return how many rows repeat an earlier one (by a 64-bit hash of all cells), and how many are empty."""
    hashes, empty = [], 0
    for batch in table.batches(names):
        plain = batch.with_columns(pl.col(name).cast(pl.String) for name, kind in batch.schema.items() if kind.is_nested())
        hashes.append(plain.hash_rows(seed=1).to_numpy())
        empty += int(batch.select(pl.all_horizontal(pl.all().is_null()).sum()).item())
    every = np.concatenate(hashes)
    return int(every.size - np.unique(every).size), empty


def _deductions(columns: tuple[Column, ...], duplicates: int, rows: int) -> tuple[tuple[str, float], ...]:
    """Return what takes points off: each kind of fault by its share, the worst of it being all."""
    count = len(columns)
    shares = {
        "missing": sum(column.missing + column.hidden for column in columns) / sum(column.rows for column in columns),
        "duplicates": duplicates / rows,
        "constant": sum(column.constant for column in columns) / count,
        "mixed": sum(column.mixed > 0.01 for column in columns) / count,
        "outliers": sum(column.outliers for column in columns) / sum(column.rows for column in columns),
    }
    return tuple((name, DEDUCTIONS[name] * share) for name, share in shares.items() if share)
