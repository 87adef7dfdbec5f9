"""Builds the Documents that the narrative tests read: a busy month, an empty workspace, and as many others as hypothesis wants."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta

from everfix.documents.model import Chart, Column, Document, Figure, Figures, Period, Section, Table, Unit

PERIOD = Period(start=date(2026, 10, 24), end=date(2026, 11, 22), previous_start=date(2026, 9, 24), previous_end=date(2026, 10, 23), label="Last 30 days")
NAMES = (
    "Payment gateway timeouts", "Checkout cache stampede", "Search index lag", "OOM in image resizer", "Flaky login end-to-end test", "Expired TLS certificate",
    "Queue backlog in mailer", "Deadlock on orders table", "DNS failures in eu-west-1", "NullPointerException in CartService.total", "Disk full on log hosts",
    "Rate limit at shipping API",
)
FIXES = (
    "Add a circuit breaker", "Warm the cache before deploy", "Batch the index writer", "Raise the memory limit", "Quarantine and rewrite the test",
    "Automate renewal", "Scale consumers by lag", "Order the row locks",
)
STATUSES = ("recurring", "monitoring", "regressed", "resolved")
TRIGGERS = ("Friday deploys", "traffic over 4,000 rps", "month-end batch", "certificate rotation", "cold start after scale-in", "index rebuild")
CHANGED = ("Checkout error budget", "Deploys per week", "Mailer retries", "Median queue depth", "Pages at night")


def document(sections: tuple[Section, ...], *, workspace: str = "Acme Retail", period: Period = PERIOD, currency: str = "USD") -> Document:
    return Document(title="Executive summary", workspace=workspace, period=period, currency=currency, sections=sections, template="executive",
                    generated_at=datetime(2026, 11, 22, 8, 0, tzinfo=UTC))


def kpis(rows: tuple[Figure, ...]) -> Section:
    return Section(id="kpis", title="Key figures", blocks=(Figures(key="kpis", figures=rows),))


def busy() -> Document:
    """Return a busy month of a plausible shop."""
    return generated(random.Random(7))


def empty() -> Document:
    """Return the executive report of a workspace in which nothing has happened yet."""
    figures = (
        Figure(key="issues", title="Issues", value=0, previous=0, better="down"), Figure(key="open_loops", title="Open loops", value=0, better="down"),
        Figure(key="mttr", title="Mean time to resolve", value=None, unit=Unit.SECONDS, better="down"),
        Figure(key="prevention_rate", title="Prevention rate", value=None, unit=Unit.PERCENT, better="up"),
    )
    def bare(key: str, title: str, empty: str) -> Section:
        return Section(id=key, title=title, blocks=(Table(key=key, title=title, columns=(Column(key="pattern", title="Pattern"),), empty=empty),))

    return document((
        kpis(figures),
        bare("top_patterns", "Top patterns", "No pattern has been found yet."),
        bare("predictions_due", "Due next", "Nothing is due: there is no history to predict from."),
        bare("recommended_fixes", "Recommended fixes", "No fix is recommended yet."),
    ))


def figures(rng: random.Random) -> tuple[Figure, ...]:
    def pair(low: float, high: float) -> tuple[float, float]:
        return rng.uniform(low, high), rng.uniform(low, high)

    issues, loops, prevented = (tuple(round(value) for value in pair(*span)) for span in ((150, 900), (8, 60), (5, 70)))
    mttr, rate, money, brier = pair(1800, 90000), pair(0.2, 0.9), pair(2000, 90000), pair(0.08, 0.3)
    return (
        Figure(key="issues", title="Issues", value=issues[0], previous=issues[1], better="down"),
        Figure(key="open_loops", title="Open loops", value=loops[0], previous=loops[1], better="down"),
        Figure(key="loops_prevented", title="Loops prevented", value=prevented[0], previous=prevented[1], better="up"),
        Figure(key="mttr", title="Mean time to resolve", value=mttr[0], previous=mttr[1], unit=Unit.SECONDS, better="down"),
        Figure(key="prevention_rate", title="Prevention rate", value=rate[0], previous=rate[1], unit=Unit.PERCENT, better="up"),
        Figure(key="exposure_avoided", title="Exposure avoided", value=money[0], previous=money[1], unit=Unit.MONEY, better="up"),
        Figure(key="prediction_brier", title="Prediction Brier score", value=round(brier[0], 3), previous=round(brier[1], 3), unit=Unit.NUMBER, better="down"),
    )


def patterns(rng: random.Random, count: int) -> Section:
    names = rng.sample(NAMES, count)
    issues = sorted(rng.sample(range(3, 200), count), reverse=True)
    risks = sorted(rng.sample(range(20, 99), count), reverse=True)
    rows = tuple(
        (name, rng.choice(STATUSES), risk, amount, amount / sum(issues), rng.uniform(-0.6, 1.4), (PERIOD.end - timedelta(days=rng.randrange(25))).isoformat(),
         rng.uniform(0.05, 0.95))
        for name, risk, amount in zip(names, risks, issues, strict=True)
    )
    columns = (
        Column(key="pattern", title="Pattern", wide=True), Column(key="status", title="Status"), Column(key="risk_score", title="Risk score", unit=Unit.SCORE),
        Column(key="issues", title="Issues", unit=Unit.COUNT), Column(key="share", title="Share", unit=Unit.PERCENT),
        Column(key="change", title="Change", unit=Unit.PERCENT, better="down"), Column(key="last_seen", title="Last seen", unit=Unit.DATE),
        Column(key="probability", title="Chance of return", unit=Unit.PROBABILITY),
    )
    return Section(id="top_patterns", title="Top patterns", blocks=(Table(key="patterns", title="Top patterns", columns=columns, rows=rows),))


def trend(rng: random.Random, days: int = 30) -> Section:
    rows = []
    for offset in range(days):
        day = PERIOD.end - timedelta(days=days - 1 - offset)
        rows.append((day.isoformat(), rng.randint(4, 18)))
    spike = rng.randrange(days)
    rows[spike] = (rows[spike][0], rng.randint(38, 60))
    table = Table(key="data", columns=(Column(key="day", title="Day", unit=Unit.DATE), Column(key="issues", title="Issues", better="down", unit=Unit.COUNT)),
                  rows=tuple(rows))
    chart = Chart(key="trend", title="Issues per day", form="line", table=table, x="day", y=("issues",), alt="Issues per day over the period.")
    return Section(id="risk_trend", title="Risk trend", blocks=(chart,))


def others(rng: random.Random, named: list[str]) -> tuple[Section, ...]:
    fixes = rng.sample(FIXES, len(FIXES))
    prevented = []
    for fix, pattern in zip(fixes[:4], rng.sample(named, min(4, len(named))), strict=False):
        expected, observed = rng.randint(4, 30), rng.randint(0, 12)
        prevented.append((fix, pattern, expected, observed, max(expected - observed, 0), rng.choice(("held", "did not hold"))))
    advised = [
        (place + 1, fix, pattern, rng.choice(("small", "medium", "large")), round(rng.uniform(1, 20), 1))
        for place, (fix, pattern) in enumerate(zip(fixes[4:], rng.sample(named, min(4, len(named))), strict=False))
    ]
    changed = [(what, *rng.sample(range(1, 90), 2)) for what in rng.sample(CHANGED, 4)]
    due = [(pattern, rng.uniform(0.1, 0.95), rng.choice((7, 14, 30)), trigger)
           for pattern, trigger in zip(rng.sample(named, min(3, len(named))), rng.sample(TRIGGERS, 3), strict=False)]
    def section(key: str, title: str, columns: tuple[Column, ...], rows: list[tuple[object, ...]]) -> Section:
        return Section(id=key, title=title, blocks=(Table(key=key, title=title, columns=columns, rows=tuple(rows)),))  # type: ignore[arg-type]

    pattern = Column(key="pattern", title="Pattern")
    fix = Column(key="fix", title="Fix")
    return (
        section("loops_prevented", "Loops prevented", (fix, pattern, Column(key="expected", title="Expected", unit=Unit.COUNT),
                Column(key="observed", title="Observed", unit=Unit.COUNT), Column(key="prevented", title="Prevented", unit=Unit.COUNT),
                Column(key="verdict", title="Verdict")), prevented),
        section("recommended_fixes", "Recommended fixes", (Column(key="rank", title="Rank", unit=Unit.COUNT), fix, pattern, Column(key="effort", title="Effort"),
                Column(key="expected_loops_prevented", title="Expected loops prevented", unit=Unit.NUMBER)), advised),
        section("what_changed", "What changed", (Column(key="change", title="What"), Column(key="before", title="Before", unit=Unit.COUNT),
                Column(key="now", title="Now", unit=Unit.COUNT)), changed),
        section("predictions_due", "Due next", (pattern, Column(key="probability", title="Chance", unit=Unit.PROBABILITY),
                Column(key="window_days", title="Within", unit=Unit.DAYS), Column(key="likely_trigger", title="Likely trigger")), due),
    )


def generated(rng: random.Random) -> Document:
    """Return one plausible executive report."""
    top = patterns(rng, rng.randint(3, 10))
    table = top.blocks[0]
    assert isinstance(table, Table)
    named = [str(cell) for cell in table.column("pattern")]
    return document((kpis(figures(rng)), top, trend(rng), *others(rng, named)))
