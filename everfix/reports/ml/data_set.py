"""The part on a data set: its rows and faults, statistics of each column, the balance of the target."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from everfix.documents.model import Block, Unit
from everfix.ml import datasets
from everfix.ml.figures import arrays, quality
from everfix.reports.ml import blocks, judged
from everfix.reports.ml.blocks import COUNT, PERCENT, TEXT
from everfix.reports.ml.work import Absent, Work


def of_version(work: Work, version_id: Any, target: str | None, *, values: bool = True) -> Iterator[Block]:  # noqa: ANN401
    """A version of a data set: from its table where it is kept, else as registered; without `values` nothing that stands in a cell is shown."""
    version = work.one(datasets.DatasetVersion, version_id)
    if version is None:
        raise Absent("no data set version was named")
    if version.table_id is None:
        yield from _registered(version)
        return
    source = work.table(version.table_id, "table of the data set version")
    found = quality.of(source)
    yield from judged.data(found, values=values)
    work.check(
        "Quality of the training data" if values else "Quality of the data",
        found.score / 100,
        "at least 0.8",
        "pass" if found.score >= 80 else "warn" if found.score >= 50 else "fail",
        "missing, repeated, constant, mixed, far out",
    )
    balance = next((column for column in found.columns if column.name == target), None)
    if balance is not None and 1 < balance.unique <= 20:
        yield _balance(work, source, str(target))


def _balance(work: Work, source: Any, target: str) -> Block:  # noqa: ANN401
    counts: dict[str, int] = {}
    for batch in source.batches([target]):
        for value, count in batch[target].value_counts().iter_rows():
            counts[arrays.label(value) or "(missing)"] = counts.get(arrays.label(value) or "(missing)", 0) + int(count)
    total = sum(counts.values())
    rows = [(name, count, count / total) for name, count in sorted(counts.items(), key=lambda pair: -pair[1])]
    least = rows[-1]
    if least[2] < 0.05:
        work.check("Rarest class of the target", least[2], "at least 0.05", "warn", f"{least[0]}: {least[1]:,} rows")
    return blocks.table(
        "balance", f"Balance of {target}", (("class", "Class", TEXT), ("rows", "Rows", COUNT), ("share", "Share", PERCENT)), rows
    )


def _registered(version: Any) -> Iterator[Block]:  # noqa: ANN401
    score = (version.quality or {}).get("overall_score")
    yield blocks.figures(
        "data_figures", ("rows", "Rows", version.rows, COUNT), ("columns", "Columns", version.columns, COUNT),
        ("quality", "Data quality", score, Unit.SCORE, "up", "of 100, as registered"),
    )  # fmt: skip
    rows = [
        (str(one.get("name", "")), one.get("type") or one.get("dtype"), one.get("missing"), one.get("unique"))
        for one in version.schema or []
    ]
    columns = (("column", "Column", TEXT), ("type", "Type", TEXT), ("missing", "Missing", COUNT), ("unique", "Different values", COUNT))
    if rows:
        yield blocks.table("columns", "Columns, as registered", columns, rows, most=judged.COLUMNS)
