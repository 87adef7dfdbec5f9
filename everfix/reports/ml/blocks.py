"""Small makers of blocks: a table from a list of columns, figures from pairs, a table of facts; numbers that JSON can hold."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from everfix.documents.model import Cell, Chart, Column, Figure, Figures, Table, Text, Unit

TEXT, COUNT, MEASURE, PERCENT = Unit.TEXT, Unit.COUNT, Unit.MEASURE, Unit.PERCENT
Columns = Sequence[tuple[Any, ...]]
LONG = 300  # characters of a value of a parameter
ROWS = 200  # of a table

# Metrics by the name that an answer uses: their title, and which way is better. Scores keep their natural sign.
METRICS: dict[str, tuple[str, str | None]] = {
    "auc": ("AUC", "up"),
    "average_precision": ("Average precision", "up"),
    "aucpr": ("AUCPR", "up"),
    "accuracy": ("Accuracy", "up"),
    "balanced_accuracy": ("Balanced accuracy", "up"),
    "precision": ("Precision", "up"),
    "recall": ("Recall", "up"),
    "f1": ("F1 score", "up"),
    "macro_f1": ("Macro F1", "up"),
    "micro_f1": ("Micro F1", "up"),
    "weighted_f1": ("Weighted F1", "up"),
    "macro_auc": ("Macro AUC", "up"),
    "weighted_auc": ("Weighted AUC", "up"),
    "specificity": ("Specificity", "up"),
    "mcc": ("Matthews correlation", "up"),
    "logloss": ("Log loss", "down"),
    "brier": ("Brier score", "down"),
    "ece": ("Calibration error", "down"),
    "mean_per_class_error": ("Mean per-class error", "down"),
    "rmse": ("RMSE", "down"),
    "mse": ("MSE", "down"),
    "mae": ("MAE", "down"),
    "median_error": ("Median absolute error", "down"),
    "r2": ("R²", "up"),
    "mape": ("MAPE", "down"),
    "bias": ("Mean error", None),
    "max_error": ("Largest error", "down"),
}


def title_of(metric: str) -> str:
    """Return a metric's title: that of the table, else its own name."""
    return METRICS[metric][0] if metric in METRICS else metric.replace("_", " ")[:60]


def better(metric: str) -> Any:  # noqa: ANN401 - "up", "down" or None
    """Return which way of a metric is better, or None where nobody said."""
    return METRICS.get(metric, ("", None))[1]


def key(text: str) -> str:
    """Return a text as a key of the model."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in text.lower()).strip("_")
    return (plain if plain[:1].isalpha() else f"m_{plain}")[:60] or "m"


def table(
    name: str, title: str, columns: Columns, rows: Iterable[Sequence[Any]], *, note: str = "", empty: str = "", most: int = ROWS
) -> Table:
    """Return a table of (key, title, unit, …) columns; it says so where rows are cut."""
    every = [tuple(cell(value) for value in row) for row in rows]
    made = tuple(Column(key=one[0], title=one[1], unit=one[2], **(one[3] if len(one) > 3 else {})) for one in columns)
    more = {"empty": empty} if empty else {}
    return Table(key=name, title=title, columns=made, rows=tuple(every[:most]), total_rows=len(every), note=note, **more)


def cell(value: Any) -> Cell:  # noqa: ANN401 - whatever a figure or a registered value is
    """Return a value as a cell: numbers finite, anything that is no number or text written as JSON."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return value[: 4 * LONG]
    return json.dumps(value, default=str, ensure_ascii=False)[:LONG]


def facts(name: str, title: str, pairs: Iterable[tuple[str, Any]]) -> Table:
    """Return a table of two columns; what is None or empty is left out."""
    kept = [(label, value if isinstance(value, str) else cell(value)) for label, value in pairs if value is not None and value != ""]
    return table(name, title, (("fact", "What", TEXT), ("value", "Value", TEXT, {"wide": True})), [(a, _words(b)) for a, b in kept])


def _words(value: Cell) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def figures(name: str, *found: tuple[Any, ...]) -> Figures:
    """Return headline numbers of (key, title, value, unit, better, note); those without a value are left out."""
    made = []
    for one in found:
        title, value, unit = one[1], one[2], one[3]
        if value is not None and math.isfinite(value):
            more = {"better": one[4] if len(one) > 4 else None, "note": one[5] if len(one) > 5 else ""}
            made.append(Figure(key=one[0], title=title, value=value, unit=unit, **more))
    return Figures(key=name, figures=tuple(made))


def chart(name: str, title: str, form: str, drawn: Table, x: str, *y: str, alt: str, **more: Any) -> Chart:  # noqa: ANN401 - fields of Chart
    return Chart.model_validate({"key": name, "title": title, "form": form, "table": drawn, "x": x, "y": y, "alt": alt, **more})


def note(name: str, *paragraphs: str, role: str = "note", title: str = "") -> Text:
    return Text.model_validate({"key": name, "role": role, "title": title, "paragraphs": paragraphs})


def parameters(name: str, title: str, chosen: Mapping[str, Any], defaults: Mapping[str, Any]) -> Table:
    """Return parameters with their values, those set apart from those left at their default."""
    rows = [(label, cell_words(value), cell_words(defaults.get(label)), "default" if label in defaults and defaults[label] == value else "set")
            for label, value in sorted(chosen.items())]  # fmt: skip
    rows += [(label, cell_words(value), cell_words(value), "default") for label, value in sorted(defaults.items()) if label not in chosen]
    columns = [("parameter", "Parameter", TEXT), ("value", "Value", TEXT), ("default", "Default", TEXT), ("origin", "Set", TEXT)]
    if not defaults:
        return table(name, title, columns[:2], [row[:2] for row in rows])
    return table(name, title, columns, rows)


def cell_words(value: Any) -> str | None:  # noqa: ANN401 - JSON
    """Return a registered value as text."""
    return None if value is None else value[:LONG] if isinstance(value, str) else _words(cell(value))
