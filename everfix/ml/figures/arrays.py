"""Columns into arrays: labels as text, numbers as floats, rows without a usable value left out and counted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from everfix.ml.figures.unmade import Unmade

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.str_]
Ints = npt.NDArray[np.int64]
Anything = Sequence[Any] | npt.NDArray[Any]
MISSING = ("", "nan", "null", "none", "na", "n/a")
LABEL = 120  # characters of a label that are kept


def numbers(values: Anything) -> Floats:
    """Return values as floats; what is no number becomes NaN, so that `usable` can drop it."""
    array = np.asarray(values)
    if array.dtype.kind in "fiub":
        return array.astype(np.float64)
    return np.array([_number(value) for value in array.tolist()], dtype=np.float64)


def _number(value: object) -> float:
    if isinstance(value, bool | int | float):
        return float(value)
    try:
        return float(str(value))
    except ValueError:
        return math.nan


def labels(values: Anything) -> Labels:
    """Return class labels as text, so that 1, 1.0, "1" and True do not become several classes by accident of type."""
    array = np.asarray(values)
    if array.dtype.kind == "b":
        return np.where(array, "true", "false").astype(np.str_)
    if array.dtype.kind in "iu":
        return array.astype(np.str_)
    if array.dtype.kind == "f":
        whole = np.isfinite(array) & (array == np.floor(array)) & (np.abs(array) < 2**53)
        if bool(whole.all()):
            return array.astype(np.int64).astype(np.str_)
    return np.array([label(value) for value in array.tolist()], dtype=np.str_) if array.size else np.array([], dtype=np.str_)


def label(value: object) -> str:
    """Return one class label as text; "" where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        number = float(value)
        return "" if not math.isfinite(number) else str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
    text = str(value).strip()
    return "" if text.lower() in MISSING else text[:LABEL]


def short(value: float) -> str:
    """Return an edge of a bin in few letters: three digits, whole from a thousand on."""
    if math.isinf(value):
        return "…"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def probabilities(values: Anything) -> Floats:
    """Return scores as probabilities; raises Unmade where they are none."""
    found = numbers(values)
    finite = found[np.isfinite(found)]
    if finite.size and (float(finite.min()) < -1e-9 or float(finite.max()) > 1 + 1e-9):
        raise Unmade(f"the scores run from {finite.min():.4g} to {finite.max():.4g}; probabilities lie between 0 and 1")
    return np.where(np.isfinite(found), np.clip(found, 0.0, 1.0), np.nan)


def same_length(**named: Anything) -> None:
    """Raise Unmade where the columns named do not have one length."""
    sizes = {name: len(values) for name, values in named.items()}
    if len(set(sizes.values())) > 1:
        raise Unmade("the columns differ in length: " + ", ".join(f"{name} has {size:,}" for name, size in sizes.items()))


def plain(value: float | np.floating[Any] | None) -> float | None:
    """Return a float that JSON can hold: None for NaN and infinities."""
    return None if value is None or not math.isfinite(float(value)) else float(value)


def thin(size: int, most: int) -> Ints:
    """Return at most `most` positions evenly spread over `size`, with both ends."""
    if size <= most:
        return np.arange(size, dtype=np.int64)
    return np.unique(np.linspace(0, size - 1, most).round().astype(np.int64))


def bend(x: Floats, y: Floats, most: int) -> Ints:
    """Return at most `most` positions of a polyline that keep its shape: evenly spread along its length, with both ends."""
    if len(x) <= most:
        return np.arange(len(x), dtype=np.int64)
    steps = np.abs(np.diff(x)) / (np.ptp(x) or 1.0) + np.abs(np.diff(y)) / (np.ptp(y) or 1.0)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    if along[-1] == 0:
        return thin(len(x), most)
    return np.unique(np.searchsorted(along, np.linspace(0, along[-1], most)).clip(0, len(x) - 1).astype(np.int64))
