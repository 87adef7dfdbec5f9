"""What a stored table is like: per column its type, what is missing and how values are spread; of the whole, its quality."""

from __future__ import annotations

import math
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from everfix.ml.intake.refused import Rejects

EXACT_ROWS = 5_000_000  # above this, different values are estimated (HyperLogLog) and repeated rows not counted
CELLS = 20_000_000  # read at a time
TOP, SHOWN = 20, 200
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
KINDS = {"Int64": "integer", "Float64": "number", "Boolean": "boolean", "String": "text", "Date": "date"}
MISSING_SHARE, NEARLY, MIXED = 0.05, 0.999, 0.5
WEIGHTS = {"completeness": 0.4, "information": 0.2, "uniqueness": 0.2, "validity": 0.2}

Json = dict[str, Any]


def described(path: Path) -> tuple[list[Json], int]:
    """Return the schema of a stored table with each column's statistics, and its number of rows."""
    lazy = pl.scan_parquet(path)
    kinds = lazy.collect_schema()
    rows = int(lazy.select(pl.len()).collect().item())
    names, at_once = list(kinds), max(1, CELLS // max(1, rows))
    found: list[Json] = []
    for start in range(0, len(names), at_once):
        part = lazy.select(names[start : start + at_once]).collect()
        found += [_column(part[name], rows) for name in part.columns]
    return found, rows


def kind_of(series: pl.Series) -> str:
    """Return the type of a column as the API names it."""
    return "datetime" if isinstance(series.dtype, pl.Datetime) else KINDS[str(series.dtype)]


def _column(series: pl.Series, rows: int) -> Json:
    kind = kind_of(series)
    missing = series.null_count()
    present = series.drop_nulls()
    if kind == "number":
        missing += int(present.is_nan().sum())
        present = present.filter(present.is_not_nan())
    exact = rows <= EXACT_ROWS
    unique = int(present.n_unique() if exact else present.approx_n_unique())  # type: ignore[arg-type]  # the stub says any value
    made: Json = {"name": series.name, "type": kind, "missing": missing, "unique": unique, "unique_is_exact": exact}
    if present.len() == 0:
        return made
    if kind in ("integer", "number"):
        made |= _numbers(present)
    elif kind in ("date", "datetime"):
        made |= {"min": _shown(present.min()), "max": _shown(present.max())}
    elif kind == "text":
        lengths = present.str.len_chars()
        made |= {"shortest": lengths.min(), "longest": lengths.max(), "numeric": present.cast(pl.Float64, strict=False).count()}
    if _few(kind, unique, present.len()):
        counts = present.value_counts(name="count").sort(["count", series.name], descending=[True, False]).head(TOP)
        made["top"] = [{"value": _shown(value), "count": count} for value, count in counts.iter_rows()]
    return made


def _few(kind: str, unique: int, present: int) -> bool:
    """Tell whether the most frequent values say something about the column."""
    return kind == "boolean" or (kind == "integer" and unique <= TOP) or (kind == "text" and unique <= max(1_000, present // 2))


def _numbers(present: pl.Series) -> Json:
    finite = present.filter(present.is_finite()) if present.dtype == pl.Float64 else present
    made: Json = {"infinite": present.len() - finite.len(), "zeros": int((finite == 0).sum()), "negative": int((finite < 0).sum())}
    if finite.len() == 0:
        return made
    made |= {"min": _shown(finite.min()), "max": _shown(finite.max()), "mean": _shown(finite.mean()), "std": _shown(finite.std())}
    spread = finite.to_frame("x").select([pl.col("x").quantile(q, "linear").alias(f"q{round(q * 100):02d}") for q in QUANTILES])
    return made | {name: _shown(value) for name, value in spread.row(0, named=True).items()}


def _shown(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value[:SHOWN] if isinstance(value, str) else value


def quality(path: Path, schema: list[Json], rows: int, rejects: Rejects) -> Json:
    """Return {overall_score, parts, issues, duplicate_rows}: 0–100, a weighted mean of four shares.

    completeness: cells that are present; information: columns with more than one value; uniqueness: rows that are not a repeat of
    another (left out where they were not counted); validity: rows that could be read, and numbers that are finite.
    """
    cells = rows * len(schema)
    repeats = _repeats(path, rows)
    infinite = sum(column.get("infinite", 0) for column in schema)
    parts = {
        "completeness": 1 - sum(column["missing"] for column in schema) / cells,
        "information": sum(column["unique"] > 1 for column in schema) / len(schema),
        "validity": rows / (rows + rejects.count) * (1 - infinite / cells),
    }
    if repeats is not None:
        parts["uniqueness"] = 1 - repeats / rows
    weight = sum(WEIGHTS[name] for name in parts)
    score = 100 * sum(WEIGHTS[name] * share for name, share in parts.items()) / weight
    issues = [issue for column in schema for issue in _issues(column, rows)]
    if repeats:
        issues.append(_issue("duplicate_rows", None, repeats / rows, f"{repeats:,} rows repeat another row"))
    if rejects.count:
        share = rejects.count / (rows + rejects.count)
        issues.append(_issue("refused_rows", None, share, f"{rejects.count:,} rows could not be read and were left out"))
    return {
        "overall_score": round(score, 1),
        "parts": {name: round(share, 6) for name, share in parts.items()},
        "duplicate_rows": repeats,
        "issues": sorted(issues, key=lambda issue: -issue["share"])[:200],
        "issue_count": len(issues),
    }


def _repeats(path: Path, rows: int) -> int | None:
    if rows > EXACT_ROWS:
        return None
    lazy = pl.scan_parquet(path)
    hashed = lazy.select(pl.struct(pl.all()).hash(seed=0).alias("hash")).collect(engine="streaming")
    return rows - hashed["hash"].n_unique()


def _issues(column: Json, rows: int) -> list[Json]:
    name, found = column["name"], []
    share = column["missing"] / rows
    if column["missing"] == rows:
        return [_issue("empty_column", name, 1.0, f"{name} has no value at all")]
    if share >= MISSING_SHARE:
        found.append(_issue("missing_values", name, share, f"{name} lacks {share:.1%} of its values"))
    if column["unique"] == 1:
        found.append(_issue("constant_column", name, 1.0, f"{name} has the same value in every row"))
    top = column.get("top")
    if top and column["unique"] > 1 and top[0]["count"] >= NEARLY * (rows - column["missing"]):
        found.append(_issue("nearly_constant_column", name, top[0]["count"] / rows, f"{name} has one value in nearly every row"))
    if column.get("infinite"):
        found.append(_issue("infinite_values", name, column["infinite"] / rows, f"{name} holds {column['infinite']:,} infinite numbers"))
    share = column.get("numeric", 0) / max(1, rows - column["missing"])
    if MIXED <= share < 1:
        found.append(_issue("mixed_types", name, share, f"{name} holds numbers in {share:.1%} of its values, and other text in the rest"))
    if column["type"] == "text" and rows >= 20 and column["unique"] == rows - column["missing"] == rows:
        found.append(_issue("identifier", name, 1.0, f"{name} differs in every row: an identifier tells a model nothing"))
    return found


def _issue(code: str, column: str | None, share: float, words: str) -> Json:
    return {"code": code, "column": column, "share": round(share, 6), "words": words[:500]}
