"""Walks through past failures and forecasts as the server would have done, seeing only what was visible; then scores itself.

The protocol: origins at first failure + warm-up, then every stride, the last at most last failure - window; asked about are patterns with
`min_events` visible failures, the newest visible for at most `active_days`; the outcome is a failure in (origin, origin + window].
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from everfix.failures import calibration, features, forecast, history, learner

Floats = NDArray[np.float64]
Row = Mapping[str, str | None]
NEEDED = ("pattern", "occurred_at")
SHOWN = 20  # bad rows that are kept word by word; the others are counted
BELONGS = 0.9  # an attribute is the pattern's own when so many of its failures carry the value of the first
LEARN_BEHIND = 0.95  # a window is learnt from when this share of failures is known after it: late ones would count as misses


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: `line` counts from 1, the header included."""

    line: int
    field: str
    value: str
    allowed: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.field} {self.value!r}: {self.allowed}"


@dataclass(frozen=True, slots=True)
class Measure:
    brier: float
    log_loss: float
    auc: float
    calibration_error: float

    @classmethod
    def of(cls, outcomes: Floats, forecasts: Floats) -> Measure:
        f = np.clip(forecasts, 1e-4, 1 - 1e-4)
        return cls(
            calibration.brier(outcomes, f),
            calibration.log_loss(outcomes, f),
            calibration.auc(outcomes, f),
            calibration.calibration_error(outcomes, f),
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """How the forecasts did beside the base rate and the decayed rate, all three learnt online from the same resolved windows."""

    events: int
    patterns: int
    origins: int
    forecasts: int
    base_rate: float
    methods: dict[str, Measure]
    reliability: list[tuple[int, float, float]]
    rejected: int
    bad: list[BadRow]
    unnamed: int  # rows with an empty pattern, which are one pattern together

    def table(self) -> str:
        """Readable text: what was read, the scores, the reliability table, the rows left out."""
        read = f"{self.events:,} failures of {self.patterns:,} patterns"
        lines = [f"{read}; {self.forecasts:,} forecasts at {self.origins:,} origins; {self.base_rate:.1%} came true"]
        if not self.forecasts:
            lines.append("nothing to score: no pattern was active at any origin")
        else:
            lines += ["", f"{'':14s}{'Brier':>9s}{'log loss':>10s}{'AUC':>8s}{'ECE':>8s}"]
            lines += [
                f"{name:14s}{m.brier:9.4f}{m.log_loss:10.4f}{m.auc:8.3f}{m.calibration_error:8.4f}" for name, m in self.methods.items()
            ]
            lines += ["", f"{'forecasts':>10s}{'said':>9s}{'came true':>11s}"] + [
                f"{n:10,d}{said:9.1%}{seen:11.1%}" for n, said, seen in self.reliability
            ]
        if self.unnamed:
            lines += ["", f"{self.unnamed:,} rows have an empty pattern; they were taken as one pattern"]
        if self.rejected:
            lines += ["", f"{self.rejected:,} rows were left out:", *(f"  {bad}" for bad in self.bad)]
            lines += [f"  and {self.rejected - len(self.bad):,} more"] if self.rejected > len(self.bad) else []
        return "\n".join(lines)


@dataclass(slots=True)
class Events:
    """The rows that could be used, in columns, and what was wrong with the others."""

    pattern: list[str] = field(default_factory=list)
    occurred: list[int] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    attributes: dict[str, list[str]] = field(default_factory=dict)  # every other column of the file, row by row
    rejected: int = 0
    bad: list[BadRow] = field(default_factory=list)

    def reject(self, line: int, name: str, value: str, allowed: str) -> None:
        self.rejected += 1
        if len(self.bad) < SHOWN:
            self.bad.append(BadRow(line, name, value[:200], allowed))


def moment(text: str) -> int:
    """Microseconds since 1970 of an ISO 8601 date or time, UTC where it names no zone. Raises ValueError."""
    return features.microseconds(datetime.fromisoformat(text.strip()))


def opened(path: Path) -> IO[str]:
    """Text of a plain or gzipped file; bytes that are not UTF-8 become replacement characters, so that only their row is hurt."""
    if path.suffix == ".gz":
        return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8", errors="replace", newline="")
    return path.open(encoding="utf-8-sig", errors="replace", newline="")


def read(source: Path | Iterable[Row]) -> Events:
    """Read failures from a .csv or .csv.gz file or from rows. Raises ValueError where a column is missing or no row can be used."""
    events = Events()
    if isinstance(source, Path):
        with opened(source) as lines:
            table = csv.DictReader(lines)
            events.attributes = attributes(table.fieldnames or (), str(source))
            take(events, ((table.line_num, row) for row in table))
    else:
        table_rows = list(source)
        events.attributes = attributes(dict.fromkeys(name for row in table_rows for name in row), "rows")
        take(events, enumerate(table_rows, 2))
    if not events.pattern:
        said = f"; {events.rejected} rows could not be used, first {events.bad[0]}" if events.bad else ""
        raise ValueError(f"no failure to learn from{said}")
    return events


def attributes(columns: Iterable[str], name: str) -> dict[str, list[str]]:
    """An empty list for each column that may say what siblings share. Raises ValueError where a needed column is missing."""
    found = [c for c in columns if isinstance(c, str)]  # csv puts surplus fields under None
    missing = [c for c in NEEDED if c not in found]
    if missing:
        raise ValueError(f"{name}: no column {' and no column '.join(missing)}; it has {', '.join(found) or 'no header'}")
    return {c: [] for c in found if c not in (*NEEDED, "visible_at")}


def take(events: Events, rows: Iterator[tuple[int, Row]]) -> None:
    for line, row in rows:
        pattern = row.get("pattern")
        if pattern is None or row.get("occurred_at") is None:
            events.reject(line, "row", str(list(row.values())), "as many fields as the header has are expected")
            continue
        times: list[int] = []
        for name in ("occurred_at", "visible_at"):
            text = row.get(name) or (row["occurred_at"] if name == "visible_at" else "") or ""
            try:
                times.append(moment(text))
            except (ValueError, OverflowError):
                events.reject(line, name, text, "an ISO 8601 date or time is expected, like 2025-03-01T12:30:00Z")
                break
        else:
            events.pattern.append(pattern)
            events.occurred.append(times[0])
            events.seen.append(max(times))
            for name, values in events.attributes.items():
                values.append(row.get(name) or "")


@dataclass(frozen=True, slots=True)
class Constancy:
    """How far each attribute belongs to the pattern rather than to the single failure, as known at any time."""

    seen: NDArray[np.int64]  # ascending
    same: NDArray[np.int64]  # (failures + 1) x attributes: running number of failures with the value of their pattern's first

    def columns(self, now: int) -> NDArray[np.bool_]:
        """Attributes that nine in ten failures known at `now` share with the first of their pattern."""
        known = int(np.searchsorted(self.seen, now, "right"))
        return np.asarray(self.same[known] >= BELONGS * known, dtype=np.bool_)


def packed(events: Events) -> tuple[list[str], features.Pack, Constancy]:
    """Patterns in order of first appearance, their histories unmerged with the attributes of the first failure seen, and constancy."""
    code: dict[str, int] = {}
    owner = np.array([code.setdefault(name, len(code)) for name in events.pattern], dtype=np.int64)
    occurred, seen = np.array(events.occurred, dtype=np.int64), np.array(events.seen, dtype=np.int64)
    order = np.lexsort((occurred, seen, owner))
    start = np.concatenate([[0], np.cumsum(np.bincount(owner))])
    born = order[start[:-1]]  # the first failure seen of each pattern
    shared = [{name: values[row] for name, values in events.attributes.items() if values[row]} for row in born]
    groups, labels = history.coded(shared)
    names = sorted({name for one in shared for name in one})
    by_time = np.argsort(seen, kind="stable")
    same = [[events.attributes[name][row] == events.attributes[name][born[owner[row]]] for name in names] for row in by_time]
    running = np.concatenate(
        [np.zeros((1, len(names)), np.int64), np.cumsum(np.array(same, dtype=np.int64).reshape(len(same), -1), axis=0)]
    )
    ones = np.ones(len(order), np.int64)
    pack = features.Pack(occurred[order], seen[order], ones, start, seen[born], groups, labels)
    return list(code), pack, Constancy(seen[by_time], running)


@dataclass(slots=True)
class Walk:
    """The grid of questions over a pack of histories, in microseconds."""

    pack: features.Pack
    constancy: Constancy
    window: int
    origins: NDArray[np.int64]
    active: int
    min_events: int

    def behind(self, now: int) -> int:
        """How long after its end a window is learnt from: by then most failures of the past had become known."""
        late = (self.pack.seen - self.pack.occurred)[self.pack.seen <= now]
        return int(np.quantile(late, LEARN_BEHIND)) if late.any() else 0

    def forecasts(self) -> Iterator[tuple[int, NDArray[np.int64], dict[str, Floats], Floats]]:
        """(origin, rows of the pack, forecasts by method, outcomes), origin by origin. Outcomes are for scoring only."""
        model, rivals = forecast.Model.new(), Rivals()
        waiting: list[tuple[forecast.Asked, NDArray[np.bool_]]] = []
        for now in map(int, self.origins):
            behind = self.behind(now)
            while waiting and waiting[0][0].now + self.window + behind <= now:
                asked, which = waiting.pop(0)
                outcomes = self.pack.rows(which).failed(asked.now, self.window, now)
                model.resolve(asked, outcomes)
                rivals.learn(asked, outcomes)
            which = self.pack.active(now, self.active, self.min_events)
            if which.any():
                visible = self.pack.rows(which).known(now)
                visible = replace(visible, groups=visible.groups[:, self.constancy.columns(now)])
                asked = model.ask(visible, now, self.window)
                waiting.append((asked, which))
                methods = {"everfix": model.probabilities(asked), **rivals.forecasts(asked)}
                yield now, np.flatnonzero(which), methods, self.pack.rows(which).failed(now, self.window, np.iinfo(np.int64).max)


class Rivals:
    """What the forecasts are measured against: the base rate and the decayed rate, both learnt online as the model is."""

    def __init__(self) -> None:
        self.hits, self.asked = 0.5, 2.5
        self.platt = learner.Logistic.new(np.array([0.0, 1.0]), np.array([0.1, 1.0]), 1.0)

    @staticmethod
    def design(asked: forecast.Asked) -> Floats:
        at = features.NAMES.index("share_3")
        return np.column_stack([np.ones(len(asked.rows)), asked.rows[:, at] * features.SCALE[at] + features.CENTRE[at]])

    def forecasts(self, asked: forecast.Asked) -> dict[str, Floats]:
        return {
            "decayed rate": calibration.sigmoid(self.platt.score(self.design(asked))),
            "base rate": np.full(len(asked.rows), self.hits / self.asked),
        }

    def learn(self, asked: forecast.Asked, outcomes: Floats) -> None:
        self.hits, self.asked = self.hits + float(outcomes.sum()), self.asked + len(outcomes)
        self.platt.learn(self.design(asked), outcomes)


def stamp(at: int) -> str:
    whole = (features.EPOCH + timedelta(microseconds=at)).replace(tzinfo=None)
    return whole.isoformat(timespec="microseconds" if whole.microsecond else "seconds") + "Z"


def allowed(**given: float) -> None:
    """Raise ValueError for an argument out of its bounds."""
    for name, value in given.items():
        least = {"warmup_days": 0.0, "min_events": 1.0}.get(name, 1 / 1440)
        if not least <= value <= 36_500:
            raise ValueError(f"{name}: {value!r}; from {least:.4g} to 36500 is allowed")


def grid(pack: features.Pack, window: int, stride: int, warmup: int) -> NDArray[np.int64]:
    """Origins in microseconds. Raises ValueError when none fits."""
    first, last = int(pack.occurred.min()), int(pack.occurred.max())
    origins = np.arange(first + warmup, last - window + 1, stride, dtype=np.int64)
    if not len(origins):
        raise ValueError(
            f"warmup_days {warmup / features.DAY:g} and window_days {window / features.DAY:g}: no origin fits between "
            f"the first failure {stamp(first)} plus the warm-up and the last {stamp(last)} minus the window"
        )
    return origins


def run(
    events: Path | str | Iterable[Row],
    out: Path | str,
    *,
    window_days: float,
    stride_days: float,
    warmup_days: float,
    active_days: float,
    min_events: int = 2,
    from_: datetime | None = None,
    until: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scores:
    """Forecast at every origin of the grid and write `origin,pattern,probability` to `out` (gzipped when it ends in .gz).

    `from_` and `until` only choose which origins are written and scored. `progress` is called with (origins done, origins in all).
    Raises ValueError naming the argument, column or file that cannot be used.
    """
    allowed(window_days=window_days, stride_days=stride_days, warmup_days=warmup_days, active_days=active_days, min_events=min_events)
    table = read(Path(events) if isinstance(events, str) else events)
    names, pack, constancy = packed(table)
    window = features.days(window_days)
    origins = grid(pack, window, features.days(stride_days), features.days(warmup_days))
    walk = Walk(pack, constancy, window, origins, features.days(active_days), min_events)
    low = features.microseconds(from_) if from_ else int(origins[0])
    high = features.microseconds(until) if until else int(origins[-1])
    kept: list[tuple[dict[str, Floats], Floats]] = []
    path = Path(out)
    with (
        gzip.open(path, "wt", encoding="utf-8", newline="")
        if path.suffix == ".gz"
        else path.open("w", encoding="utf-8", newline="") as file
    ):
        write = csv.writer(file, lineterminator="\n")
        write.writerow(("origin", "pattern", "probability"))
        for now, rows, methods, outcomes in walk.forecasts():
            if progress:
                progress(int(np.searchsorted(origins, now, "right")), len(origins))
            if low <= now <= high:
                at = stamp(now)
                write.writerows((at, names[row], f"{p:.6f}") for row, p in zip(rows, methods["everfix"], strict=True))
                kept.append((methods, outcomes))
    return scores(kept, table, len(names))


def scores(kept: list[tuple[dict[str, Floats], Floats]], table: Events, patterns: int) -> Scores:
    outcomes = np.concatenate([y for _, y in kept]) if kept else np.zeros(0)
    joined = {name: np.concatenate([m[name] for m, _ in kept]) for name in (kept[0][0] if kept else ())}
    return Scores(
        events=len(table.pattern),
        patterns=patterns,
        origins=len(kept),
        forecasts=len(outcomes),
        base_rate=float(outcomes.mean()) if kept else 0.0,
        methods={name: Measure.of(outcomes, f) for name, f in joined.items()},
        reliability=calibration.reliability(outcomes, joined["everfix"]) if kept else [],
        rejected=table.rejected,
        bad=table.bad,
        unnamed=sum(name == "" for name in table.pattern),
    )
