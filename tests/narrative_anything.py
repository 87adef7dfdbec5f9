"""Builds Documents of any shape: other measures and units, odd names, missing values, projections, thresholds, series."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, timedelta

from everfix.documents.model import Cell, Chart, Column, Document, Figure, Figures, Period, Section, Table, Unit
from tests import narrative_documents as documents

UNITS = (Unit.COUNT, Unit.NUMBER, Unit.PERCENT, Unit.PROBABILITY, Unit.SCORE, Unit.MONEY, Unit.SECONDS, Unit.DAYS)
MEASURES = (
    "Builds",
    "Error rate",
    "Drift score",
    "Latency p95",
    "Cost",
    "Retries",
    "Coverage",
    "Rows synthesised",
    "Accuracy",
    "Time in review",
    "Queue depth",
    "SLA breaches",
    "False alarms",
    "Features",
    "Loss",
)
ODD = (
    "java.lang.OutOfMemoryError: Java heap space",
    "HTTP 503 from /v1/orders",
    "ORD-1042",
    "“quoted” name",
    "größe überschritten",
    "a",
    "500",
    "Issues",
    "up",
    "timeout after 30 s (3 retries)",
    "x" * 140,
    "=SUM(A1:A3)",
    "Erreur n° 5",
    "支付超时",
    "model-v2.1",
    "rose",
    "No. 7",
    "Q3 2026",
    "team: payments, EU",
)


def value(rng: random.Random, unit: Unit) -> int | float:
    match unit:
        case Unit.COUNT | Unit.SCORE:
            return rng.choice((0, 1, 2, rng.randint(0, 100), rng.randint(0, 100)))
        case Unit.PERCENT | Unit.PROBABILITY:
            return rng.choice((0.0, 1.0, rng.random(), rng.random()))
        case Unit.MONEY:
            return rng.choice((0, rng.uniform(-500, 50_000), rng.uniform(0, 2_000_000)))
        case Unit.SECONDS:
            return rng.uniform(0, rng.choice((50, 5_000, 500_000)))
        case _:
            return round(rng.uniform(-5, 100), rng.randint(0, 4))


def anything(rng: random.Random) -> Document:
    """Return a Document of any shape: other measures and units, odd names, missing values, projections, thresholds, series."""
    makers = (_any_figures, _any_table, _any_table, _any_line, _any_bar)
    sections = tuple(
        Section(
            id=f"part_{place}",
            title=rng.choice(("Quality", "Delivery", "Model health", "Data health", "Cost")),
            blocks=tuple(rng.choice(makers)(rng, f"b{block}") for block in range(rng.randint(1, 2))),
        )
        for place in range(rng.randint(1, 5))
    )
    days = rng.choice((1, 7, 30, 90))
    start = date(2026, 1, 1) + timedelta(days=rng.randrange(300))
    period = Period(
        start=start,
        end=start + timedelta(days=days - 1),
        previous_start=start - timedelta(days=days),
        previous_end=start - timedelta(days=1),
        timezone=rng.choice(("UTC", "Europe/Berlin", "America/New_York")),
    )
    return documents.document(
        sections, period=period, currency=rng.choice(("USD", "EUR", "CHF", "SEK")), workspace=rng.choice(("Acme", "The lab", "north-1"))
    )


def _key(title: str) -> str:
    return title.lower().replace(" ", "_").replace("-", "_")


def _any_figures(rng: random.Random, key: str) -> Figures:
    found = []
    for title in rng.sample(MEASURES, rng.randint(1, 6)):
        unit = rng.choice(UNITS)
        now, before = value(rng, unit), value(rng, unit)
        found.append(
            Figure(
                key=_key(title),
                title=title,
                unit=unit,
                value=rng.choice((now, now, now, None)),
                previous=rng.choice((before, before, now, None)),
                better=rng.choice(("up", "down", None)),
            )
        )
    return Figures(key=key, figures=tuple(found))


def _rows(rng: random.Random, names: Sequence[Cell], units: Sequence[Unit]) -> tuple[tuple[Cell, ...], ...]:
    return tuple((name, *(rng.choice((value(rng, unit),) * 6 + (None,)) for unit in units)) for name in names)


def _any_table(rng: random.Random, key: str) -> Table:
    titles = rng.sample(MEASURES, rng.randint(1, 4))
    units = [rng.choice(UNITS) for _ in titles]
    names = rng.sample(ODD + documents.NAMES, rng.randint(0, 12))
    label = rng.choice(("Model", "Test", "Service", "Dataset", "Category"))
    columns = (
        Column(key=_key(label), title=label),
        *(Column(key=_key(title), title=title, unit=unit) for title, unit in zip(titles, units, strict=True)),
    )
    rows = _rows(rng, names, units)
    return Table(
        key=key, title=rng.choice(("", "All of them")), columns=columns, rows=rows, total_rows=rng.choice((None, len(rows), len(rows) + 31))
    )


def _any_bar(rng: random.Random, key: str) -> Chart:
    table = _any_table(rng, "data")
    return Chart(key=key, title="Compared", form="bar", table=table, x=table.columns[0].key, y=(table.columns[1].key,), alt="Bars.")


def _any_line(rng: random.Random, key: str) -> Chart:
    titles = rng.sample(MEASURES, rng.randint(1, 2))
    units = [rng.choice(UNITS) for _ in titles]
    days = [(date(2026, 3, 1) + timedelta(days=offset)).isoformat() for offset in range(rng.choice((0, 1, 2, 7, 30, 60)))]
    columns = (
        Column(key="day", title="Day", unit=Unit.DATE),
        *(Column(key=_key(title), title=title, unit=unit) for title, unit in zip(titles, units, strict=True)),
    )
    split = rng.choice((None, days[len(days) // 2])) if days else None
    return Chart(
        key=key,
        title="Over time",
        form="line",
        table=Table(key="data", columns=columns, rows=_rows(rng, days, units)),
        x="day",
        y=tuple(_key(title) for title in titles),
        split=split,
        threshold=rng.choice((None, 40.0)),
        threshold_label="Target",
        alt="A line.",
    )
