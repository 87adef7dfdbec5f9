"""Builds Documents with the columns and titles of the shipped sections: digits in titles, repeated names, a lone `before`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

from everfix.documents.model import Cell, Chart, Column, Document, Figure, Section, Table, Unit
from tests import narrative_documents as documents


def shipped(rng: random.Random) -> Document:
    """Return a Document with the columns and titles of the shipped sections: digits in titles, repeated names, lone `before`."""

    def table(key: str, columns: Sequence[tuple[str, str, Unit]], rows: Sequence[tuple[Cell, ...]]) -> Table:
        return Table(
            key=key,
            title=key.replace("_", " "),
            columns=tuple(Column(key=name, title=title, unit=unit) for name, title, unit in columns),
            rows=tuple(rows),
            total_rows=len(rows) + rng.choice((0, 9)),
        )

    services = ("billing", "checkout", "search", "mailer")
    named = [(rng.choice(documents.NAMES), rng.choice(services)) for _ in range(rng.randint(1, 10))]
    days = [(documents.PERIOD.start + timedelta(days=offset)).isoformat() for offset in range(30)]
    weeks = days[::7]
    count, score, share, odds, day, text = Unit.COUNT, Unit.SCORE, Unit.PERCENT, Unit.PROBABILITY, Unit.DATE, Unit.TEXT
    head = (("pattern", "Pattern", text), ("service", "Service", text))
    tops = [
        (
            *who,
            rng.choice(documents.STATUSES),
            rng.randint(1, 99),
            rng.randint(1, 90),
            rng.random(),
            rng.randint(0, 90),
            rng.choice(days),
            rng.choice((None, rng.random())),
        )
        for who in named
    ]
    fixes = [
        (
            place + 1,
            rng.choice(documents.FIXES),
            who[0],
            "code",
            rng.choice(("small", "large")),
            "high",
            round(rng.uniform(0, 9), 1),
            rng.uniform(0, 9000),
        )
        for place, who in enumerate(named)
    ]
    kept = [
        (
            rng.choice(documents.FIXES),
            who[0],
            rng.choice(days),
            round(rng.uniform(0, 9), 1),
            rng.randint(0, 4),
            round(rng.uniform(0, 9), 1),
            rng.random(),
            rng.choice(("held", "watching", "failed")),
        )
        for who in named[:5]
    ]
    changed = [(rng.choice(("New", "Came back", "Rose", "Fell")), *who, rng.randint(0, 50), rng.randint(0, 50)) for who in named]
    due = [
        (*who, rng.random(), rng.random(), rng.random(), 7, rng.choice(("high", "low")), rng.choice((*documents.TRIGGERS, None)))
        for who in named
    ]
    listed = [
        (f"{rng.choice(days)}T10:15:00+00:00", who[0], rng.choice(("P1", "P2")), "open", who[1], who[0], rng.randint(1, 99), "stack trace")
        for who in named
    ]
    hours = [(weekday, f"{hour:02}:00", rng.randint(0, 9)) for weekday in ("Mon", "Tue", "Sun") for hour in range(24)]
    volume = table(
        "issues_by_day",
        (("day", "Day", day), ("issues", "Issues", count), ("mean_7d", "7-day mean", Unit.NUMBER)),
        [(one, rng.randint(0, 40), round(rng.uniform(0, 40), 2)) for one in days],
    )
    severity = table(
        "issues_by_severity",
        (("week", "Week of", day), ("p1", "P1", count), ("p2", "P2", count)),
        [(one, rng.randint(0, 9), rng.randint(0, 9)) for one in weeks],
    )
    risk = table(
        "risk_by_day",
        (("day", "Day", day), ("risk", "Weighted failures, 7-day sum", Unit.NUMBER)),
        [(one, round(rng.uniform(0, 300), 2)) for one in days],
    )
    heat = table("issues_by_hour", (("weekday", "Weekday", text), ("hour", "Hour", text), ("issues", "Issues", count)), hours)
    often = table(
        "pattern_frequency",
        (("week", "Week of", day), ("pattern", "Pattern", text), ("failures", "Failures", count)),
        [(week, who[0], rng.randint(0, 30)) for week in weeks for who in dict(named).items()],
    )
    status = table(
        "recommendation_status",
        (("status", "Status", text), ("recommendations", "Recommendations", count)),
        [("open", 4), ("implemented", rng.randint(0, 9))],
    )
    top = table(
        "top_patterns",
        (
            *head,
            ("status", "Status", text),
            ("risk_score", "Risk", score),
            ("issues", "Failures", count),
            ("share", "Share", share),
            ("before", "Before", count),
            ("last_seen", "Last seen", day),
            ("probability", "Next 7 days", odds),
        ),
        tops,
    )
    advised = table(
        "recommended_fixes",
        (
            ("rank", "Rank", count),
            ("fix", "Fix", text),
            ("pattern", "Pattern", text),
            ("type", "Type", text),
            ("effort", "Effort", text),
            ("impact", "Impact", text),
            ("expected_loops_prevented", "Returns prevented in 90 days", Unit.NUMBER),
            ("expected_cost_saved", "Worth", Unit.MONEY),
        ),
        fixes,
    )
    proved = table(
        "loops_prevented",
        (
            ("fix", "Fix", text),
            ("pattern", "Pattern", text),
            ("claimed", "In place since", day),
            ("expected", "Expected", Unit.NUMBER),
            ("observed", "Came", count),
            ("prevented", "Prevented", Unit.NUMBER),
            ("holds", "Holds", odds),
            ("verdict", "Verdict", text),
        ),
        kept,
    )
    moved = table(
        "what_changed",
        (("change", "Change", text), *head, ("before", "Before", count), ("now", "Now", count), ("difference", "Difference", count)),
        [(*row, int(row[4]) - int(row[3])) for row in changed],
    )
    ahead = table(
        "predictions_due",
        (
            *head,
            ("probability", "Probability", odds),
            ("lower", "From", odds),
            ("upper", "To", odds),
            ("window_days", "Within", Unit.DAYS),
            ("impact", "Impact", text),
            ("likely_trigger", "Likely trigger", text),
        ),
        due,
    )
    issues = table(
        "issue_list",
        (
            ("occurred_at", "Happened", Unit.DATETIME),
            ("title", "Issue", text),
            ("severity", "Severity", text),
            ("status", "Status", text),
            ("service", "Service", text),
            ("pattern", "Pattern", text),
            ("risk_score", "Risk", score),
            ("rule", "Grouped by", text),
        ),
        listed,
    )

    def chart(key: str, data: Table, x: str, y: tuple[str, ...], form: str = "line", *, series: str | None = None) -> Chart:
        return Chart(key=key, title=data.title, form=form, table=data, x=x, y=y, series=series, alt="A chart.")

    cards = (
        *documents.figures(rng),
        Figure(key="high", title="At 80 % and more", value=rng.randint(0, 9)),
        Figure(key="urgent", title="P1 and P2", value=rng.randint(0, 60), previous=rng.randint(1, 60), better="down"),
        Figure(key="prevented", title="Returns prevented", value=4.5, previous=3.1, unit=Unit.NUMBER, better="up"),
    )
    return documents.document(
        (
            documents.kpis(cards),
            Section(id="top_patterns", title="Top patterns", blocks=(top,)),
            Section(
                id="risk_trend",
                title="Risk trend",
                blocks=(
                    chart("risk", risk, "day", ("risk",)),
                    chart("volume", volume, "day", ("issues", "mean_7d")),
                    chart("severity", severity, "week", ("p1", "p2"), "column"),
                    chart("heat", heat, "hour", ("issues",), "heatmap", series="weekday"),
                ),
            ),
            Section(
                id="pattern_frequency",
                title="How often they failed",
                blocks=(chart("often", often, "week", ("failures",), "column", series="pattern"),),
            ),
            Section(
                id="loops_prevented",
                title="Loops prevented",
                blocks=(proved, chart("proved", proved, "pattern", ("expected", "observed"), "bar")),
            ),
            Section(id="recommended_fixes", title="Recommended fixes", blocks=(advised,)),
            Section(id="predictions_due", title="Likely to come back", blocks=(ahead,)),
            Section(id="what_changed", title="What changed", blocks=(moved,)),
            Section(id="issue_list", title="Issues", blocks=(issues,)),
            Section(id="recommendation_status", title="Where they stand", blocks=(status,)),
        )
    )
