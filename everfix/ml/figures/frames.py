"""A table too large for memory, read again and again in stretches of rows and only in the columns asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from everfix.ml.figures import arrays
from everfix.ml.figures.unmade import Unmade

STRETCH = 200_000  # rows in memory at once
CELLS = 4_000_000  # cells in memory at once, where a table is wide
CLOCK = "timestamp"
NEAR = 20_000_000  # cells up to which a table is held


@dataclass(frozen=True)
class Frames:
    """Rows of one or more Parquet files (in order), or of a table in memory; of a log, those with a `timestamp` in a time only."""

    files: tuple[Path, ...] = ()
    table: pl.DataFrame | None = None
    since: datetime | None = None  # from then on
    until: datetime | None = None  # before then

    @cached_property
    def schema(self) -> dict[str, pl.DataType]:
        """Return each column with its type, those of all files; a column without a value is text in some, and of its real type in others."""
        if self.table is not None:
            return dict(self.table.schema)
        found: dict[str, pl.DataType] = {}
        for file in self.files:
            for name, kind in pl.read_parquet_schema(file).items():
                if found.get(name, pl.String) in (pl.String, pl.Null):
                    found[name] = kind
        return found

    @cached_property
    def rows(self) -> int:
        if self.since is not None or self.until is not None:
            return sum(batch.height for batch in self.batches([CLOCK]))
        if self.table is not None:
            return self.table.height
        return sum(int(pq.ParquetFile(file).metadata.num_rows) for file in self.files)

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the rows in stretches; a column that a file lacks is null there."""
        wanted = list(columns) if columns is not None else list(self.schema)
        if self.since is None and self.until is None:
            yield from self._stretches(wanted)
            return
        for batch in self._stretches(list(dict.fromkeys([*wanted, CLOCK]))):
            yield batch.filter(within(seconds(batch[CLOCK]), self.since, self.until)).select(wanted)

    def _stretches(self, wanted: list[str]) -> Iterator[pl.DataFrame]:
        size = max(1_000, min(STRETCH, CELLS // max(1, len(wanted))))
        if self.table is not None:
            yield from self.table.select(wanted).iter_slices(size)
            return
        types = self.schema
        for file in self.files:
            opened = pq.ParquetFile(file)
            known = set(opened.schema_arrow.names)
            there = [name for name in wanted if name in known]
            for batch in opened.iter_batches(batch_size=size, columns=there):
                yield _whole(batch, wanted, types)

    def near(self, columns: Sequence[str] | None = None) -> Frames:
        """Return the same rows in memory where they are few enough: a wide table is else opened once for each column."""
        wanted = list(self.schema) if columns is None else [name for name in columns if name in self.schema]
        if not wanted or (self.table is not None and self.since is None and self.until is None) or self.rows * len(wanted) > NEAR:
            return self
        return Frames(table=self.all(wanted))

    def all(self, columns: Sequence[str], most: int = 2_000_000) -> pl.DataFrame:
        """Return the columns in memory; raises Unmade for more than `most` rows, which have another way."""
        if self.rows > most:
            raise Unmade(f"{self.rows:,} rows are more than the {most:,} that are held at once")
        found = list(self.batches(columns))
        return pl.concat(found, how="vertical_relaxed") if found else pl.DataFrame({name: [] for name in columns})


def _whole(batch: Any, wanted: list[str], types: dict[str, pl.DataType]) -> pl.DataFrame:  # noqa: ANN401 - a pyarrow.RecordBatch
    frame = pl.from_arrow(batch)
    assert isinstance(frame, pl.DataFrame)  # noqa: S101 - of a batch, never of one column
    there = set(frame.columns)
    missing = [pl.lit(None, dtype=types[name]).alias(name) for name in wanted if name not in there]
    return frame.with_columns(missing).select(wanted)


def seconds(column: pl.Series) -> pl.Series:
    """Return timestamps as seconds since 1970, null where there is none; naive ones are UTC."""
    if column.dtype == pl.String:
        column = column.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
    if column.dtype not in (pl.Date, pl.Datetime):
        raise Unmade(f"the column `{CLOCK}` is {column.dtype}, not a time")
    return column.cast(pl.Datetime("us")).dt.timestamp("us") / 1e6


def within(found: pl.Series, since: datetime | None, until: datetime | None) -> pl.Series:
    """Return which of these seconds lie from `since` on and before `until`."""
    keep = found.is_not_null()
    if since is not None:
        keep &= (found >= since.timestamp()).fill_null(value=False)
    if until is not None:
        keep &= (found < until.timestamp()).fill_null(value=False)
    return keep


def numeric(kind: pl.DataType) -> bool:
    """Return whether a column is a quantity: a number, a day or a duration; yes and no is a category."""
    return kind.is_numeric() or kind.is_temporal()


def floats(series: pl.Series) -> pl.Series:
    """Return a numeric or temporal column as floats without missing and infinite values; times count in seconds."""
    if series.dtype.is_temporal():
        kind = series.dtype
        series = series.cast(pl.Datetime("us")).dt.timestamp("us") / 1e6 if kind in (pl.Date, pl.Datetime) else series.to_physical() / 1e6
    found = series.cast(pl.Float64, strict=False).drop_nulls()
    return found.filter(found.is_finite())


def texts(series: pl.Series) -> pl.Series:
    """Return a column as categories without missing values."""
    if series.dtype == pl.Boolean:
        return series.drop_nulls().cast(pl.String)
    if series.dtype == pl.String:
        return series.drop_nulls().str.slice(0, arrays.LABEL)
    if series.dtype.is_integer() or series.dtype in (pl.Categorical, pl.Enum):
        return series.drop_nulls().cast(pl.String)
    return pl.Series(series.name, [arrays.label(value) for value in series.drop_nulls().to_list()], dtype=pl.String)
