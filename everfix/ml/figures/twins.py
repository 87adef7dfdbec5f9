"""The real and the synthetic table as SDMetrics wants them: described, of bounded size, in its types."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from everfix.ml.figures import arrays
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.unmade import Unmade

Metadata = dict[str, Any]
SAMPLE = 50_000  # rows of each side that are scored, as SDMetrics does
SEED = 20_240_501
KINDS = ("numerical", "categorical", "boolean", "datetime", "id")


def metadata(real: Frames, said: Mapping[str, str], primary_key: str | None) -> Metadata:
    """Return SDMetrics' description of a table's columns: what was said, else what the types tell."""
    columns: dict[str, dict[str, Any]] = {}
    for name, kind in real.schema.items():
        told = said.get(name)
        if told is not None and told not in KINDS:
            raise Unmade(f"the column {name} is said to be {told!r}; it may be {', '.join(KINDS)}")
        columns[name] = {"sdtype": told or ("id" if name == primary_key else _sdtype(kind))}
    made: Metadata = {"columns": columns}
    return made | ({"primary_key": primary_key} if primary_key in columns else {})


def _sdtype(kind: pl.DataType) -> str:
    if kind == pl.Boolean:
        return "boolean"
    return "datetime" if kind in (pl.Date, pl.Datetime) else "numerical" if kind.is_numeric() else "categorical"


def table(source: Frames, described: Metadata, most: int = SAMPLE) -> pd.DataFrame:
    """Return the described columns as SDMetrics wants them, of at most `most` rows drawn with a fixed seed."""
    names = [name for name in described["columns"] if name in source.schema]
    if not names:
        raise Unmade("no column of the real table stands in this one")
    parts, left, seed = [], most, SEED
    total = max(1, source.rows)
    for batch in source.batches(names):
        share = batch.height if total <= most else min(batch.height, left, math.ceil(most * batch.height / total))
        seed += 1
        parts.append(batch if share == batch.height else batch.sample(share, seed=seed))
        left -= share
    if not parts or not sum(part.height for part in parts):
        raise Unmade("the table has no rows")
    held = pl.concat(parts, how="vertical_relaxed")
    return pd.DataFrame({name: _pandas(held[name], described["columns"][name]["sdtype"]) for name in names})


def _pandas(column: pl.Series, kind: str) -> Any:  # noqa: ANN401 - an array of pandas
    if kind == "numerical":
        found = column.cast(pl.Float64, strict=False).to_numpy().copy()
        found[~np.isfinite(found)] = np.nan
        return found
    if kind == "datetime":
        if column.dtype == pl.String:
            column = column.str.to_datetime(strict=False, time_unit="ns")
        return column.cast(pl.Datetime("ns"), strict=False).to_numpy()
    if kind == "boolean":
        return np.array(
            [None if value is None else arrays.label(value) in ("true", "1", "yes") for value in column.to_list()], dtype=object
        )
    return np.array([arrays.label(value) or None for value in column.to_list()], dtype=object)


def number(column: Any) -> npt.NDArray[np.float64]:  # noqa: ANN401 - a column of pandas
    """Return the values of a numeric or dated column that are there, as floats; times count in seconds."""
    there = column.dropna()
    found = there.astype("int64").to_numpy() / 1e9 if column.dtype.kind == "M" else there.to_numpy()
    return np.asarray(found, dtype=np.float64)
