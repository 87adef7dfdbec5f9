"""The parts on drift: of every feature, over time, and of the prediction itself."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from everfix.documents.format import measure
from everfix.documents.model import Block, Unit
from everfix.ml.figures import deployment, drift
from everfix.ml.figures.unmade import Unmade
from everfix.reports.ml import blocks, logged
from everfix.reports.ml.blocks import COUNT, MEASURE, PERCENT, TEXT
from everfix.reports.ml.work import Absent, Work

FEATURES = 500  # columns whose drift is computed
DRAWN = 12  # of them drawn
FOLLOWED = 6  # of them followed over time
STRETCHES = 10  # of time in which drift is followed
WORDS = {"stable": "pass", "moderate": "warn", "major": "fail"}


def of_features(work: Work) -> drift.Drift:
    """Return the drift of the features; raises Absent, Unmade."""
    return work.once("drift", lambda: _of_features(work))


def _of_features(work: Work) -> drift.Drift:
    named = _features(work)
    if not named:
        raise Unmade("the reference sample has no feature columns")
    return drift.compare(logged.reference(work), logged.of(work), named[:FEATURES])


def _features(work: Work) -> list[str]:
    named: list[str] = work.entity.features or deployment.features(logged.reference(work))
    return named


def predictions(work: Work) -> drift.ColumnDrift:
    """Return the drift of the prediction itself, by its score where there is one."""
    before, now = logged.reference(work), logged.of(work)
    name = next((name for name in ("score", "prediction") if name in before.schema and name in now.schema), None)
    if name is None:
        raise Absent("the reference sample has no column prediction or score")
    return work.once("prediction drift", lambda: _one(drift.compare(before, now, [name])))


def _one(found: drift.Drift) -> drift.ColumnDrift:
    if not found.columns:
        raise Unmade(f"{found.unmade[0][0]}: {found.unmade[0][1]}")
    return found.columns[0]


def drifting(work: Work) -> Iterator[Block]:
    found = of_features(work)
    columns = (
        ("feature", "Feature", TEXT), ("type", "Type", TEXT), ("psi", "PSI", MEASURE), ("verdict", "Verdict", TEXT), ("ks", "K–S", MEASURE),
        ("ks_p", "K–S p", MEASURE), ("js", "Jensen–Shannon", MEASURE), ("before", "Mean before", MEASURE), ("now", "Mean now", MEASURE),
        ("missing", "Missing now", PERCENT),
    )  # fmt: skip
    rows = [
        (one.feature, one.kind, one.psi, one.band, one.ks, one.ks_p, one.js, one.mean_reference, one.mean_current, one.missing_current)
        for one in found.columns
    ]
    said = "PSI below 0.1 is stable, to 0.25 moderate, above major. Bins as Evidently draws them."
    if any(one.binning == "deciles" for one in found.columns):
        said += " Where outliers press nearly all rows into one bin, deciles of the reference are used."
    every = len(_features(work))
    if every > FEATURES:
        said += f" The first {FEATURES:,} of {every:,} features were compared."
    yield blocks.table("drift", f"Drift of {len(found.columns):,} features", columns, rows, note=said, most=60)
    if found.columns:
        yield multiples("drift_chart", "The most drifted features", found.columns[:DRAWN])
        first = found.columns[0]
        work.check(
            "Drifted features",
            found.share,
            "below half",
            "pass" if found.share < 0.2 else "warn" if not found.whole else "fail",
            f"{found.drifted} of {len(found.columns)} with a PSI of 0.1 and more",
        )
        work.say("drift", f"{first.feature} has the largest PSI, {measure(first.psi)}.")
        if first.band != "stable":
            work.headline.append(f"The largest PSI is {measure(first.psi)}, of {first.feature}.")
            work.advice.append(f"Find out why {first.feature} changed, then train again or adapt the reference.")
    if found.unmade:
        yield blocks.table(
            "not_compared", "Not compared", (("feature", "Feature", TEXT), ("why", "Why", TEXT, {"wide": True})), found.unmade, most=30
        )


def multiples(name: str, title: str, found: Any) -> Block:  # noqa: ANN401 - several ColumnDrift
    """Draw both distributions of each column."""
    rows = [
        (f"{one.feature}: PSI {measure(one.psi)}", bin_, a, b)
        for one in found
        for bin_, a, b in zip(one.bins, one.reference, one.current, strict=True)
    ]
    columns = (("feature", "Feature", TEXT), ("bin", "Bin", TEXT), ("reference", "Reference", PERCENT), ("now", "Now", PERCENT))
    alt = (
        "Distributions in the reference and now: " + "; ".join(f"{one.feature} {one.band} (PSI {measure(one.psi)})" for one in found) + "."
    )
    drawn = blocks.table(name.removesuffix("_chart") + "_bins", "Distributions", columns, rows, most=1_000)
    return blocks.chart(name, title, "multiples", drawn, "bin", "reference", "now", series="feature", alt=alt)


def by_time(work: Work) -> Iterator[Block]:
    """The PSI of the most drifted features in each stretch of the time: drift that has just begun is lost in the whole."""
    found, flow = of_features(work), logged.traffic(work)
    names = [one.feature for one in found.columns[:FOLLOWED]]
    if not names:
        raise Unmade("no feature could be compared")
    first, last = flow.first.timestamp(), flow.last.timestamp()
    edges = np.linspace(first, last + 1e-3, STRETCHES + 1)
    lines = {name: drift.over_time(logged.reference(work), logged.of(work), name, edges.tolist()) for name in names}
    rows = [(datetime.fromtimestamp(float(at), UTC).isoformat(), *(lines[name][n] for name in names)) for n, at in enumerate(edges[:-1])]
    columns = (("at", "From", Unit.DATETIME), *((blocks.key(f"f{n}_{name}"), name, MEASURE) for n, name in enumerate(names)))
    drawn = blocks.table("drift_by_time", "PSI by time", columns, rows)
    latest = {name: line[-1] for name, line in lines.items() if line[-1] is not None}
    alt = (
        f"PSI of {len(names)} features in {STRETCHES} stretches of the time; in the latest: "
        + ", ".join(f"{a} {measure(b or 0)}" for a, b in latest.items())
        + "."
    )
    yield blocks.chart(
        "drift_by_time_chart",
        "PSI by time, deciles of the reference",
        "line",
        drawn,
        "at",
        *(column[0] for column in columns[1:]),
        alt=alt,
        threshold=drift.BANDS[1],
        threshold_label="major above 0.25",
    )
    if latest:
        worst = max(latest, key=lambda name: latest[name] or 0.0)
        now = latest[worst] or 0.0
        band = drift.band(now)
        yield blocks.figures(
            "latest_figures", ("latest_psi", "Latest PSI", now, MEASURE, "down", f"{worst}: {band}"),
            ("drifting", "Features that drift now", sum((psi or 0.0) >= drift.BANDS[0] for psi in latest.values()), COUNT, "down", "PSI of 0.1 and more"),
            ("followed", "Features followed", len(latest), COUNT, None, "the most drifted"),
        )  # fmt: skip
        work.check(
            "Drift in the latest stretch",
            now,
            "PSI below 0.1",
            WORDS[band],
            f"{worst}, from {datetime.fromtimestamp(float(edges[-2]), UTC):%-d %b %Y, %H:%M} UTC on",
        )
        if band != "stable":
            work.headline.append(f"The latest PSI is {measure(now)}, of {worst}.")
            if worst != found.columns[0].feature or found.columns[0].band == "stable":  # else it is said already
                work.advice.append(f"Find out why {worst} changed of late, then train again or adapt the reference.")


def predicted(work: Work) -> Iterator[Block]:
    found = predictions(work)
    yield blocks.figures(
        "prediction_figures", ("prediction_psi", "PSI of the prediction", found.psi, MEASURE, "down", found.band),
        ("prediction_js", "Jensen–Shannon", found.js, MEASURE, "down"), ("prediction_ks", "K–S", found.ks, MEASURE, "down"),
    )  # fmt: skip
    yield multiples("prediction_chart", "Distribution of the prediction", [found])
    work.check("Drift of the prediction", found.psi, "PSI below 0.1", WORDS[found.band], f"by {found.feature}")
