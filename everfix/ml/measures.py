"""Measures: the one figure that each kind of monitor looks at, from the log of its window; `METRICS` of `monitors` names them all."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from everfix.core.db import Json
from everfix.ml.figures import deployment, drift, labelled
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.unmade import Unmade

if TYPE_CHECKING:
    from everfix.ml.watching import Look

WORST = 5
DRIFTED = drift.BANDS[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Measured:
    """The figure, or None and in `why` the reason that there is none."""

    value: float | None
    why: Json


def of(look: Look, log: Sequence[Path], reference: Path | None) -> Measured:
    """Return the figure of one look."""
    rows = Frames(files=tuple(log), since=look.since, until=look.until)
    count = rows.rows if log else 0
    if look.monitor.metric == "volume":
        return Measured(float(count), {"rows": count})
    if count < look.monitor.min_rows:
        return Measured(None, {"rows": count, "reason": f"{count:,} predictions; at least {look.monitor.min_rows:,} are needed"})
    try:
        value, why = _value(look, rows, None if reference is None else Frames(files=(reference,)))
    except Unmade as reason:
        return Measured(None, {"rows": count, "reason": str(reason)})
    return Measured(value, {"rows": count, **why})


def _value(look: Look, rows: Frames, reference: Frames | None) -> tuple[float, Json]:
    metric = look.monitor.metric
    if metric == "error_rate":
        if "error" not in rows.schema:
            raise Unmade("the log has no column error, status_code or ok")
        traffic = deployment.traffic(rows)
        return traffic.error_rate, {"errors": traffic.errors}
    if metric.startswith("latency_"):
        return _latency(rows, metric)
    if metric.startswith(("drift_", "prediction_")):
        if reference is None:
            raise Unmade("the deployment has no reference table to compare with")
        return _drift(look, rows, reference)
    return _quality(look, rows, metric)


def _latency(rows: Frames, metric: str) -> tuple[float, Json]:
    traffic = deployment.traffic(rows)
    share = int(metric.removeprefix("latency_p")) / 100
    value = traffic.latency[deployment.SHARES.index(share)]
    if value is None:
        raise Unmade("the log has no latency in this time")
    return value, {"measured": traffic.latency_rows}


def _drift(look: Look, rows: Frames, reference: Frames) -> tuple[float, Json]:
    metric = look.monitor.metric
    if metric == "prediction_psi":
        shared = [said for said in ("score", "prediction") if said in reference.schema and said in rows.schema]
        if not shared:
            raise Unmade("neither score nor prediction is in both the reference and the log")
        return _one(drift.compare(reference, rows, shared[:1]), "psi")
    if look.monitor.feature is not None:
        return _one(drift.compare(reference, rows, [look.monitor.feature]), metric.removeprefix("drift_"))
    found = drift.compare(reference, rows, look.features)
    if not found.columns:
        raise Unmade(f"no feature can be compared: {found.unmade[0][1] if found.unmade else 'the reference has none'}")
    worst = {f"PSI of {column.feature}": round(column.psi, 4) for column in found.columns[:WORST]}
    if metric == "drift_share":
        return sum(column.psi >= DRIFTED for column in found.columns) / len(found.columns), worst
    name = metric.removeprefix("drift_")
    values = [value for column in found.columns if (value := getattr(column, name)) is not None]
    if not values:
        raise Unmade(f"no feature has a {name.upper()}")
    return max(values), worst


def _one(found: drift.Drift, name: str) -> tuple[float, Json]:
    if not found.columns:
        raise Unmade(found.unmade[0][1])
    column = found.columns[0]
    value = getattr(column, name)
    if value is None:
        raise Unmade(f"{column.feature} is a category: it has no {name.upper()}")
    return float(value), {"rows compared": column.current_rows, "reference rows": column.reference_rows}


def _decided(name: str) -> Callable[[Frames], float]:
    return lambda rows: float(getattr(labelled.decisions(rows), name))


def _auc(rows: Frames) -> float:
    return labelled.binary(rows).auc


def _regressed(name: str) -> Callable[[Frames], float]:
    def measure(rows: Frames) -> float:
        value = getattr(labelled.errors(rows), name)
        if value is None:
            raise Unmade(f"{name} cannot be made of a constant label")
        return float(value)

    return measure


QUALITY: Mapping[str, Callable[[Frames], float]] = {
    "accuracy": _decided("accuracy"),
    "macro_f1": _decided("macro_f1"),
    "auc": _auc,
    "rmse": _regressed("rmse"),
    "mae": _regressed("mae"),
    "r2": _regressed("r2"),
}
LOWER_IS_BETTER = ("rmse", "mae")


def _quality(look: Look, rows: Frames, metric: str) -> tuple[float, Json]:
    name = metric.removesuffix("_drop")
    value = QUALITY[name](rows)
    if name == metric:
        return value, {}
    before = look.baseline.get(name)
    if not isinstance(before, int | float):
        raise Unmade(f"the model has no registered {name} to compare with")
    drop = value - before if name in LOWER_IS_BETTER else before - value
    return drop, {"now": round(value, 6), "registered": before}
