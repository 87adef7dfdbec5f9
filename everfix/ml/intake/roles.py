"""What each kind of table must hold, and the names its columns may come under."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from everfix.ml.intake.refused import Refused, Rejects

EPOCH_MILLISECONDS = 100_000_000_000  # a number of this size is milliseconds since 1970, a smaller one seconds
PREDICTIONS = {
    "timestamp": "ts event_time predicted_at request_time",
    "prediction": "y_pred predicted pred y_hat predicted_label output",
    "score": "y_score probability proba y_proba",
    "label": "y_true actual truth ground_truth target y",
    "latency_ms": "latency duration_ms response_time_ms elapsed_ms",
    "error": "error_message exception",
    "status_code": "http_status",
    "ok": "success",
}
EVALUATION = {
    "y_true": "label target actual truth ground_truth y",
    "y_pred": "prediction predicted pred y_hat predicted_label",
    "y_score": "score probability proba y_proba y_prob",
    "split": "fold_kind subset",
}
SCORES = ("y_score_", "y_proba_", "proba_", "probability_", "score_")
NAMES: Mapping[str, Mapping[str, str]] = {"predictions": PREDICTIONS, "reference": PREDICTIONS, "evaluation": EVALUATION}


def renamed(role: str, names: list[str], mapping: Mapping[str, str]) -> list[str]:
    """Return the names the columns are kept under: as `mapping` {kept: given} says, else by the usual names of this kind of table."""
    known = NAMES.get(role, {})
    for kept, given in mapping.items():
        if kept not in known:
            raise Refused(f"{kept[:60]!r} is no column of this kind of table; allowed: {', '.join(known) or 'none'}", field="map")
        if given not in names:
            raise Refused(f"the column {given[:60]!r} is not in the file; its columns: {', '.join(names)[:300]}", field="map")
    to = {given: kept for kept, given in mapping.items()}
    lower = {name.lower(): name for name in reversed(names)}
    for kept, aliases in known.items():
        found = next((lower[alias] for alias in (kept, *aliases.split()) if alias in lower and lower[alias] not in to), None)
        if kept not in to.values() and found is not None:
            to[found] = kept
    if role == "evaluation":
        for name in names:
            start = next((prefix for prefix in SCORES if name.lower().startswith(prefix) and len(name) > len(prefix)), None)
            if name not in to and start is not None:
                to[name] = SCORES[0] + name[len(start) :]
    made = [to.get(name, name) for name in names]
    twice = next((name for name in made if made.count(name) > 1), None) if to else None
    if twice is not None:
        raise Refused(f"two columns would be called {twice!r}; say which with map={twice}=COLUMN", field="map")
    return made


def _evaluation(frame: pl.DataFrame, _rejects: Rejects) -> pl.DataFrame:
    scores = [name for name in frame.columns if name == "y_score" or name.startswith(SCORES[0])]
    if "y_true" not in frame.columns or not ("y_pred" in frame.columns or scores):
        raise Refused(
            f"an evaluation table needs y_true, and y_pred or y_score (or y_score_<label>); the file has: {', '.join(frame.columns)[:300]}"
        )
    for name in scores:
        _numeric(frame, name)
    return frame


def _predictions(frame: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    if "timestamp" not in frame.columns:
        raise Refused(f"a prediction log needs a column timestamp; the file has: {', '.join(frame.columns)[:300]}")
    frame = _reference(frame, rejects)
    missing = frame["timestamp"].null_count()
    if missing:
        for _ in range(missing):
            rejects.add(None, "timestamp", "the time of the prediction is missing")
        frame = frame.filter(pl.col("timestamp").is_not_null())
    return frame


def _reference(frame: pl.DataFrame, _rejects: Rejects) -> pl.DataFrame:
    changed = []
    if "timestamp" in frame.columns:
        changed.append(_moment(frame))
    for name in ("score", "latency_ms"):
        if name in frame.columns:
            _numeric(frame, name)
            changed.append(pl.col(name).cast(pl.Float64))
    errors = _errors(frame)
    if errors is not None:
        changed.append(errors)
    return frame.with_columns(changed).drop("status_code", "ok", strict=False)


def _moment(frame: pl.DataFrame) -> pl.Expr:
    column, kind = pl.col("timestamp"), frame.schema["timestamp"]
    if kind.is_numeric():
        seconds = pl.when(column >= EPOCH_MILLISECONDS).then(column / 1_000).otherwise(column)
        return pl.from_epoch((seconds * 1_000_000).cast(pl.Int64), time_unit="us").dt.replace_time_zone("UTC").alias("timestamp")
    if kind == pl.Date:
        return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if kind.is_temporal():
        return column
    raise Refused(
        "timestamp: the column holds no times; allowed are 2026-01-31T09:30:00Z, or seconds or milliseconds since 1970", field="timestamp"
    )


def _errors(frame: pl.DataFrame) -> pl.Expr | None:
    """Return the column `error`: text where the call failed, null where it did not."""
    parts = []
    if "error" in frame.columns:
        column = pl.col("error")
        if frame.schema["error"] == pl.Boolean:
            parts.append(pl.when(column).then(pl.lit("error")))
        else:
            text = column.cast(pl.String).str.strip_chars()
            parts.append(pl.when(~text.str.to_lowercase().is_in(["", "0", "false", "none", "ok"])).then(text))
    if "status_code" in frame.columns:
        code = pl.col("status_code").cast(pl.Int64, strict=False)
        parts.append(pl.when(code >= 400).then(code.cast(pl.String)))
    if "ok" in frame.columns:
        parts.append(pl.when(~pl.col("ok").cast(pl.Boolean, strict=False)).then(pl.lit("not ok")))
    return pl.coalesce(parts).alias("error") if parts else None


def _numeric(frame: pl.DataFrame, name: str) -> None:
    kind = frame.schema[name]
    if not kind.is_numeric() and frame[name].null_count() < frame.height:
        value = frame[name].drop_nulls()[0]
        raise Refused(f"{name}: the column must hold numbers; {str(value)[:60]!r} is none", field=name)


FINISH: Mapping[str, Callable[[pl.DataFrame, Rejects], pl.DataFrame]] = {
    "evaluation": _evaluation,
    "predictions": _predictions,
    "reference": _reference,
}


def finished(role: str, frame: pl.DataFrame, rejects: Rejects) -> pl.DataFrame:
    """Return a batch as this kind of table is kept; raises Refused where it lacks what it needs."""
    return FINISH[role](frame, rejects) if role in FINISH else frame
