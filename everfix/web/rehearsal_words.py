"""When a rule would have fired, as a page shows it: how often in a sentence, a picture of the days, and the newest firings as a table."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from everfix.core import ids
from everfix.documents.model import Chart, Column, Table, Unit
from everfix.failures import alert_metrics, alerts
from everfix.failures.alerts import Rule
from everfix.failures.rehearsals import Rehearsal
from everfix.identity.workspaces import Workspace
from everfix.web import shown

Json = dict[str, Any]
LISTED = 12  # firings on the page; all that are told stand in the API
POINTS = 360  # of the picture
UNITS = {"share": Unit.PERCENT, "money": Unit.MONEY, "count": Unit.COUNT, "s": Unit.SECONDS}


def shown_as(here: Workspace, rule: Rule, found: Rehearsal, days: int) -> Json:
    """Return the words, the picture and the table of a rehearsal."""
    reader = shown.Reader.of(here)
    figure = rule.kind == "metric"
    return {
        "title": f"{_times(len(found.fires))} in the last {days} days",
        "hint": _looks(reader, rule, found) if figure else _said(found),
        "chart": shown.chart(reader, _line(here, rule, found) if figure else _days(here, found), height=220),
        "fires": _fires(reader, rule, found),
    }


def _times(times: int) -> str:
    return "It would not have fired" if not times else "It would have fired once" if times == 1 else f"It would have fired {times:,} times"


def _said(found: Rehearsal) -> str:
    told = "Had it been made then: by the last prediction of each day on each pattern."
    return f"For {found.patterns} {'pattern' if found.patterns == 1 else 'patterns'}. {told}" if found.fires else told


def _looks(reader: shown.Reader, rule: Rule, found: Rehearsal) -> str:
    unit = _unit(rule)
    seen = (
        "It was between {} and {}.".format(*(reader.words(one, unit) for one in found.extremes))
        if found.extremes
        else "There were no data."
    )
    if found.step_minutes == 1:
        return f"{seen} Looked at every minute, as the rule does."
    return f"{seen} Looked at every {found.step_minutes} minutes; what comes and goes between two looks is not seen."


def _unit(rule: Rule) -> Unit:
    if rule.kind == "prediction":
        return Unit.PROBABILITY
    return UNITS.get(alert_metrics.METRICS[str(rule.metric)].unit, Unit.NUMBER)


def _line(here: Workspace, rule: Rule, found: Rehearsal) -> Chart:
    """Draw what the figure was; of many looks, the one of each stretch that is most on the rule's side."""
    metric, most = alert_metrics.METRICS[str(rule.metric)], min if str(rule.operator).startswith("lt") else max
    zone, stretch = ZoneInfo(here.timezone), max(1, len(found.seen) // POINTS)
    rows = []
    for place in range(0, len(found.seen), stretch):
        values = [value for _, value in found.seen[place : place + stretch] if value is not None]
        rows.append((found.seen[place][0].astimezone(zone).isoformat(timespec="minutes"), most(values) if values else None))
    columns = (
        Column(key="at", title="At", unit=Unit.DATETIME),
        Column(key="value", title=metric.title, unit=_unit(rule)),
    )
    empty = "There were no data."
    table = Table(key="looks", title=metric.title, columns=columns, rows=tuple(rows) if found.extremes else (), empty=empty)
    label = f"{alerts.WORDS[str(rule.operator)]} {found.threshold:g}"
    alt = f"{metric.title} over the time, and the threshold: {label}."
    return Chart(
        key="looks_chart", title=metric.title, form="line", table=table, x="at", y=("value",), threshold=found.threshold, threshold_label=label, alt=alt
    )  # fmt: skip


def _days(here: Workspace, found: Rehearsal) -> Chart:
    zone = ZoneInfo(here.timezone)
    fired = Counter(fire.at.astimezone(zone).date() for fire in found.fires)
    first, last = (moment.astimezone(zone).date() for moment in (found.start, found.end))
    days = [first + timedelta(days=place) for place in range((last - first).days + 1)] if fired else []
    columns = (Column(key="day", title="Day", unit=Unit.DATE), Column(key="fired", title="Fired", unit=Unit.COUNT))
    rows = tuple((day.isoformat(), fired[day]) for day in days)
    table = Table(key="fires", title="Fired", columns=columns, rows=rows, empty="No prediction in scope reached the threshold.")
    alt = "How often the rule would have fired on each day."
    return Chart(key="fires_chart", title="Fired a day", form="column", table=table, x="day", y=("fired",), alt=alt)


def _fires(reader: shown.Reader, rule: Rule, found: Rehearsal) -> Json:
    """Return the newest firings: when, for what, what was seen against the threshold, and when it was over."""
    unit = _unit(rule)
    columns = (
        Column(key="at", title="Fired", unit=Unit.DATETIME),
        Column(key="pattern", title="Pattern", wide=True),
        Column(key="value", title="Seen", unit=unit),
        Column(key="threshold", title="Threshold", unit=unit),
        Column(key="over", title="Over"),
    )
    newest = found.fires[:LISTED]
    rows = tuple(
        (fire.at.isoformat(), fire.name, fire.value, found.threshold, reader.moment(fire.over_at) if fire.over_at else "not yet")
        for fire in newest
    )
    links = tuple(f"/patterns/{ids.show(ids.Prefix.PATTERN, fire.pattern_id)}" if fire.pattern_id else None for fire in newest)
    made = Table(key="fired", columns=columns, rows=rows, links=links, total_rows=len(found.fires))
    keep = [column.key for column in columns if rule.kind == "prediction" or column.key != "pattern"]
    return shown.table(reader, made, keep=keep, caption="Firings, the newest first")
