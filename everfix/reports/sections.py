"""Sections: the parts a report is put together from. One entry makes a section available to every template and by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from everfix.core.db import Json
from everfix.documents.model import Block, Chart, Figure, Figures, Table, Unit
from everfix.errors import Invalid
from everfix.identity.workspaces import Workspace
from everfix.metrics import query
from everfix.metrics.periods import Period
from everfix.reports import differences


@dataclasses.dataclass(frozen=True, slots=True)
class Context:
    """What a section is built from."""

    db: Session
    period: Period
    here: Workspace
    url: str
    params: Json = dataclasses.field(default_factory=dict)  # what the report asks of this section's sources
    used: set[str] = dataclasses.field(default_factory=set)

    def table(self, key: str, *, title: str | None = None, **params: Any) -> Table:  # noqa: ANN401 - a source's parameters
        """Run a source for this period; what the report asks wins over what the section says."""
        known = {param.key for param in query.find(key).params}
        asked = {name: value for name, value in self.params.items() if name in known}
        self.used.update(asked)
        return query.table(self.db, key, self.period, {**params, **asked}, url=self.url, title=title)

    def require_used(self) -> None:
        """Raise Invalid for a parameter that no source of the section has."""
        unknown = sorted(set(self.params) - self.used)
        if unknown:
            raise Invalid(f"this section has no parameter {unknown[0][:60]!r}")

    def titled(self, key: str) -> str:
        """Return a source's own title."""
        return query.find(key).title

    def row(self, key: str) -> dict[str, Any]:
        """Return the one row of a source of figures."""
        found = self.table(key)
        return dict(zip((column.key for column in found.columns), found.rows[0], strict=True))


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """One kind of section: its heading and what stands in it."""

    title: str
    build: Callable[[Context], tuple[Block, ...]]


def _figure(row: dict[str, Any], key: str, title: str, unit: Unit, better: str | None, **more: Any) -> Figure:  # noqa: ANN401 - fields of Figure
    return Figure(key=key, title=title, value=row[key], unit=unit, previous=row.get(f"{key}_before"), better=better, **more)


def _kpis(context: Context) -> tuple[Block, ...]:
    issues, loops, fixes, odds = (context.row(key) for key in ("issue_figures", "loop_figures", "fix_figures", "prediction_figures"))
    days = context.table("issues_by_day")
    due, due_before = fixes["prevented"] + loops["returns"], fixes["prevented_before"] + loops["returns_before"]
    rate = {
        "prevention_rate": fixes["prevented"] / due if due else None,
        "prevention_rate_before": fixes["prevented_before"] / due_before if due_before else None,
    }
    return (
        Figures(
            key="kpi_cards",
            figures=(
                _figure(issues, "issues", "Issues", Unit.COUNT, "down", spark=tuple(float(value or 0) for value in days.column("issues"))),
                _figure(loops, "open_loops", "Open loops", Unit.COUNT, "down"),
                _figure(loops, "returns", "Returns", Unit.COUNT, "down", note="days on which a known pattern failed again"),
                _figure(issues, "mttr", "Mean time to resolve", Unit.SECONDS, "down"),
                _figure(fixes, "prevented", "Returns prevented", Unit.NUMBER, "up"),
                _figure(rate, "prevention_rate", "Prevention rate", Unit.PERCENT, "up", note="prevented of all that were due"),
                _figure(fixes, "exposure_avoided", "Exposure avoided", Unit.MONEY, "up"),
                _figure(odds, "brier", "Brier score", Unit.NUMBER, "down", note="of predictions that ended; 0 is perfect"),
            ),
        ),
    )


def _line(context: Context, key: str, x: str, y: tuple[str, ...], alt: str, form: str = "line", **more: Any) -> Chart:  # noqa: ANN401 - fields of Chart
    table = context.table(key)
    return Chart(key=f"{key}_chart", title=table.title, form=form, table=table, x=x, y=y, alt=alt, **more)


def _risk_trend(context: Context) -> tuple[Block, ...]:
    return (
        _line(
            context,
            "risk_by_day",
            "day",
            ("risk",),
            "Severity-weighted failures of the last seven days, for each day of the period.",
            "area",
        ),
        _line(context, "issues_by_day", "day", ("issues", "mean_7d"), "Issues for each day of the period, with their seven-day mean."),
        _line(
            context, "issues_by_severity", "week", ("p1", "p2", "p3", "p4"), "Issues for each week of the period, by severity.", "column"
        ),
        _line(context, "issues_by_hour", "hour", ("issues",), "Issues by weekday and hour of the day.", "heatmap", series="weekday"),
    )


def _bar(context: Context, key: str, x: str, y: tuple[str, ...], alt: str, title: str, **params: Any) -> Chart:  # noqa: ANN401 - a source's parameters
    table = context.table(key, **params)
    return Chart(key=f"{key}_chart", title=title, form="bar", table=table.model_copy(update={"links": ()}), x=x, y=y, alt=alt)


def _top_patterns(context: Context) -> tuple[Block, ...]:
    services = _bar(context, "issues_by_service", "service", ("issues",), "Issues by service, most first.", "Issues by service", limit=8)
    return (context.table("top_patterns", limit=10), services)


def _loops_prevented(context: Context) -> tuple[Block, ...]:
    """The table, and a chart only where something came back: bars of zero say nothing that the table does not."""
    table = context.table("loops_prevented", limit=10)
    if not any(table.column("observed")):
        return (table,)
    alt = "For each fix in place, the returns expected at the old rate and those that came."
    bare = table.model_copy(update={"links": ()})
    return (
        table,
        Chart(
            key="loops_prevented_chart", title="Expected and came", form="bar", table=bare, x="pattern", y=("expected", "observed"), alt=alt
        ),
    )


def _forecast(context: Context) -> tuple[Block, ...]:
    table = context.table("forecast_by_day")
    alt = "Distinct patterns that failed in each week so far, and how many are expected in the coming one with a 90 % band."
    today = context.period.end.date().isoformat()
    chart = Chart(
        key="forecast_chart",
        title="Patterns failing a week",
        form="line",
        table=table,
        x="day",
        y=("observed", "expected"),
        lower="lower",
        upper="upper",
        split=today,
        alt=alt,
    )
    return (chart,)


def _matrix(context: Context) -> tuple[Block, ...]:
    table = context.table("prediction_matrix", limit=10)
    if not table.rows:
        return (table,)
    alt = "The predictions that are most probable, each placed by its probability and its pattern's risk."
    chart = Chart(
        key="matrix_chart",
        title=table.title,
        form="matrix",
        table=table.model_copy(update={"links": ()}),
        x="impact",
        y=("likelihood",),
        alt=alt,
    )
    return (chart,)


def _accuracy(context: Context) -> tuple[Block, ...]:
    calibration, outcomes = context.table("prediction_calibration"), context.table("prediction_outcomes")
    if not calibration.rows:
        return (calibration,)
    alt = "For each step of probability, what was said against how often it happened."
    scatter = Chart(key="calibration_chart", title=calibration.title, form="scatter", table=calibration, x="said", y=("happened",), alt=alt)
    weeks = Chart(
        key="outcomes_chart",
        title=outcomes.title,
        form="column",
        table=outcomes,
        x="week",
        y=("hits", "prevented", "misses"),
        alt="Hits, prevented and misses by week.",
    )
    return (scatter, weeks)


def _odds(context: Context) -> tuple[Block, ...]:
    row = context.row("prediction_figures")
    return (
        Figures(
            key="prediction_cards",
            figures=(
                _figure(row, "total", "Predictions", Unit.COUNT, None),
                _figure(row, "high", "At 80 % and more", Unit.COUNT, None),
                _figure(row, "above_threshold", "Above alert threshold", Unit.COUNT, None),
                _figure(row, "average", "Average probability", Unit.PROBABILITY, None),
                _figure(row, "settled", "Settled in the period", Unit.COUNT, None),
                _figure(row, "brier", "Brier score", Unit.NUMBER, "down", note="0 is perfect"),
                _figure(row, "brier_base", "Brier score of the base rate", Unit.NUMBER, None, note="what guessing the average would score"),
            ),
        ),
    )


def _pattern_kpis(context: Context) -> tuple[Block, ...]:
    row = context.row("loop_figures")
    names = (("open_loops", "Open loops"), ("new_patterns", "New patterns"), ("returns", "Returns"))
    return (Figures(key="pattern_cards", figures=tuple(_figure(row, key, title, Unit.COUNT, "down") for key, title in names)),)


def _issue_kpis(context: Context) -> tuple[Block, ...]:
    row = context.row("issue_figures")
    names = (
        ("issues", "Issues", Unit.COUNT),
        ("urgent", "P1 and P2", Unit.COUNT),
        ("mtta", "Mean time to acknowledge", Unit.SECONDS),
        ("mttr", "Mean time to resolve", Unit.SECONDS),
    )
    return (Figures(key="issue_cards", figures=tuple(_figure(row, key, title, unit, "down") for key, title, unit in names)),)


def _fix_kpis(context: Context) -> tuple[Block, ...]:
    row = context.row("fix_figures")
    names = (
        ("prevented", "Returns prevented", Unit.NUMBER, "up"),
        ("exposure_avoided", "Exposure avoided", Unit.MONEY, "up"),
        ("held", "Fixes that held", Unit.COUNT, "up"),
        ("failed", "Fixes that failed", Unit.COUNT, "down"),
    )
    return (Figures(key="fix_cards", figures=tuple(_figure(row, key, title, unit, better) for key, title, unit, better in names)),)


def _frequency(context: Context) -> tuple[Block, ...]:
    alt = "Failures of the most frequent patterns, week by week."
    return (_line(context, "pattern_frequency", "week", ("failures",), alt, "column", series="pattern"),)


def _tables(*keys: str, **params: Any) -> Callable[[Context], tuple[Block, ...]]:  # noqa: ANN401 - a source's parameters
    return lambda context: tuple(context.table(key, **params) for key in keys)


SECTIONS: dict[str, Section] = {
    "kpis": Section("At a glance", _kpis),
    "top_patterns": Section("Top patterns", _top_patterns),
    "risk_trend": Section("Risk trend", _risk_trend),
    "loops_prevented": Section("Loops prevented", _loops_prevented),
    "recommended_fixes": Section("Recommended fixes", _tables("recommended_fixes", limit=8)),
    "predictions_due": Section("Likely to come back", _tables("predictions_due", limit=8)),
    "what_changed": Section("What changed", _tables("what_changed")),
    "pattern_kpis": Section("Patterns at a glance", _pattern_kpis),
    "pattern_list": Section("All patterns", _tables("pattern_list", limit=200)),
    "pattern_frequency": Section("How often they failed", _frequency),
    "issue_kpis": Section("Issues at a glance", _issue_kpis),
    "issue_volume": Section("When they happened", lambda context: _risk_trend(context)[1:]),
    "issue_list": Section("Issues", _tables("issue_list", limit=200)),
    "prediction_kpis": Section("Predictions at a glance", _odds),
    "forecast": Section("Forecast", _forecast),
    "probability_matrix": Section("Probability and impact", _matrix),
    "model_accuracy": Section("How right we were", _accuracy),
    "recommendation_kpis": Section("Fixes at a glance", _fix_kpis),
    "recommendation_status": Section("Where they stand", _tables("recommendation_status")),
    "recommendation_list": Section("Recommendations", _tables("recommendation_list", limit=200)),
    "expected_and_delivered": Section("Expected and delivered", _tables("expected_and_delivered", "failed_deliveries", limit=100)),
    differences.SECTION: Section(differences.TITLE, lambda _: differences.blocks(None)),
}
