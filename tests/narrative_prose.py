"""Sound sentences about a Document as a language model would put them: many wordings of what its figures, tables and lines state."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

from everfix.documents import format as show
from everfix.documents.model import Block, Cell, Chart, Document, Figure, Figures, Table, Unit
from everfix.narrative import series

ROSE = ("rose", "climbed", "increased", "went up", "grew")
FELL = ("fell", "dropped", "declined", "came down", "decreased")
COUNTS = (Unit.COUNT, Unit.NUMBER)


def sentences(document: Document, rng: random.Random) -> Iterator[str]:
    """Yield sound sentences; each is a whole paragraph by itself."""
    yield from _period(document)
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Figures):
                for figure in block.figures:
                    yield from _figure(document, figure, rng)
            elif isinstance(block, Chart) and block.form in ("line", "area", "column") and not block.series:
                yield from _line(block)
            elif isinstance(block, Table):
                yield from _table(document, section.id, block, rng)


def consistent(document: Document) -> Document:
    """Return a random Document without what contradicts itself: real ones say the same of a pattern in every section."""
    odds: dict[str, Cell] = {}
    sections = []
    for section in document.sections:
        blocks: list[Block] = []
        for block in section.blocks:
            made = block
            keys = [column.key for column in block.columns] if isinstance(block, Table) else []
            if isinstance(block, Table) and "probability" in keys and "pattern" in keys:
                rows = []
                for row in block.rows:
                    cells = dict(zip(keys, row, strict=True))
                    cells["probability"] = odds.setdefault(str(cells["pattern"]), cells["probability"])
                    rows.append(tuple(cells.values()))
                made = block.model_copy(update={"rows": tuple(rows)})
            blocks.append(made)
        if section.id not in ("pattern_frequency", "what_changed", "issue_list"):
            sections.append(section.model_copy(update={"blocks": tuple(blocks)}))
    return document.model_copy(update={"sections": tuple(sections)})


def _say(document: Document, value: Cell, unit: Unit) -> str:
    return show.show(value, unit, currency=document.currency, timezone=document.period.timezone)


def _period(document: Document) -> Iterator[str]:
    period = document.period
    start, end = show.day(period.start), show.day(period.end)
    yield f"This report covers the {period.days} days from {start} to {end}."
    yield f"Between {start} and {end}, the team kept a close eye on what recurs."


def _lower(title: str) -> str:
    return title if title[:2].isupper() or title.split(" ", maxsplit=1)[0] in ("P1", "Brier") else title[:1].lower() + title[1:]


def _figure(document: Document, figure: Figure, rng: random.Random) -> Iterator[str]:
    if figure.value is None or not figure.title.replace(" ", "").isalpha() or "brier" in figure.key:
        return
    title, now = _lower(figure.title), _say(document, figure.value, figure.unit)
    yield f"{figure.title} now stands at {now}."
    yield f"The current figure for {title} is {now}."
    if not figure.previous or figure.value == figure.previous:
        return
    before = _say(document, figure.previous, figure.unit)
    moved = show.change(figure.value, figure.previous) or 0.0
    if before == now or abs(moved) <= show.FLAT:
        return
    up, size = moved > 0, show.change_text(figure.value, figure.previous).lstrip("+−")
    verb, noun = rng.choice(ROSE if up else FELL), rng.choice(("rise", "increase") if up else ("drop", "decline"))
    yield f"{figure.title} {verb} from {before} to {now}."
    yield f"{figure.title} {verb} by {size} to {now}, compared with {before} in the previous period."
    yield f"{figure.title} {verb} {size}, from {before} in the previous period to {now} now."
    yield f"At {now}, {title} is {'up' if up else 'down'} {size} on the previous period ({before})."
    yield f"We saw a {size} {noun} in {title}, from {before} to {now}."
    yield f"{figure.title} came in at {now}, {'up' if up else 'down'} from {before}."
    yield f"Compared with the previous period, {title} went {'up' if up else 'down'} by {size}, reaching {now}."
    if figure.better:
        better = up == (figure.better == "up")
        yield f"{figure.title} {'improved' if better else 'worsened'} from {before} to {now}."
        yield f"On a {'positive' if better else 'worrying'} note, {title} {verb} to {now} from {before}."


def _line(chart: Chart) -> Iterator[str]:
    for line in series.lines(chart.table, x=chart.x, y=chart.y, split=chart.split)[:1]:
        if line.column.unit is not Unit.COUNT or len(line.values) < 4 or not line.column.title.isalpha():
            continue
        title = _lower(line.column.title)
        (peak, most), (low, least) = line.peak, line.trough
        if line.values.count(most) == 1:
            day = _day(peak)
            yield f"{line.column.title} peaked at {most:.0f} on {day}."
            yield f"The busiest day was {day}, with {most:.0f} {title}."
        if line.values.count(least) == 1 and least > 0:
            yield f"The quietest day was {_day(low)}, with {least:.0f} {title}."
        mean = f"{sum(line.values) / len(line.values):.1f}"
        yield f"On average, {mean} {title} came in per day."
        halves = line.halves()
        if halves and halves[0] and halves[0] != halves[1]:
            verb = "rose" if halves[1] > halves[0] else "fell"
            yield f"{line.column.title} {verb} from {halves[0]:.0f} in the first half of the period to {halves[1]:.0f} in the second half."


def _day(iso: str) -> str:
    from datetime import date

    return show.day(date.fromisoformat(iso[:10]))


def _table(document: Document, section: str, table: Table, rng: random.Random) -> Iterator[str]:
    keys = [column.key for column in table.columns]
    units = {column.key: column.unit for column in table.columns}
    label = "fix" if "fix" in keys and keys.index("fix") <= 1 else "pattern"
    if label not in keys:
        return
    counted = Counter(str(cell) for key in ("pattern", "fix") if key in keys for cell in table.column(key))
    rows = [dict(zip(keys, row, strict=True)) for row in table.rows]
    rows = [row for row in rows if counted[str(row[label])] == 1 and (label != "fix" or counted[str(row.get("pattern"))] == 1)]
    for row in rows[:6]:
        told = {key: _say(document, cell, units[key]) for key, cell in row.items() if cell is not None and cell != ""}
        yield from _recommended(row, told) if "expected_loops_prevented" in keys else ()
        yield from _kept(row, told) if section == "loops_prevented" else ()
        yield from _pattern(row, told, rng) if label == "pattern" else ()
    yield from _ordered(document, rows, table)


def _pattern(row: dict[str, Cell], told: dict[str, str], rng: random.Random) -> Iterator[str]:
    name = str(row["pattern"])
    noun = "issues"
    if "issues" in told and "share" in told:
        yield f"{name} caused {told['issues']} {noun}, {told['share']} of the total."
        yield f"With {told['issues']} {noun}, {name} accounts for {told['share']} of all failures."
        yield f"“{name}” alone produced {told['issues']} {noun} ({told['share']} of the total)."
    if "risk_score" in told:
        yield f"{name} has a risk score of {told['risk_score']}."
        yield f"The risk score of “{name}” stands at {told['risk_score']}."
    if "last_seen" in told:
        yield f"{name} was last seen on {told['last_seen']}."
        yield f"The last occurrence of “{name}” was on {told['last_seen']}."
    if "probability" in told and "window_days" in told:
        yield f"There is a {told['probability']} chance that {name} comes back within {told['window_days']}."
        yield f"{name} is {told['probability']} likely to return within the next {told['window_days']}."
        yield f"Watch “{name}”: its probability of coming back within {told['window_days']} is {told['probability']}."
    if row.get("before") and isinstance(row.get("now"), int) and row["now"] != row["before"]:
        up = float(row["now"] or 0) > float(row["before"] or 0)
        yield f"{name} {rng.choice(ROSE if up else FELL)} from {told['before']} to {told['now']}."
        yield f"“{name}” went {'up' if up else 'down'} from {told['before']} to {told['now']} failures."


def _recommended(row: dict[str, Cell], told: dict[str, str]) -> Iterator[str]:
    fix = str(row["fix"])
    gain = told.get("expected_loops_prevented", "0")
    if gain == "0" or "pattern" not in told:
        return
    pattern = str(row["pattern"])
    yield f"{fix} is expected to prevent {gain} recurrences."
    yield f"“{fix}” addresses {pattern} and should prevent {gain} recurrences."
    yield f"To stop {pattern}, “{fix}” is recommended; it is expected to prevent {gain} recurrences."
    if row.get("rank") == 1:
        yield f"{fix} should come first."
        yield f"Start with “{fix}”, which is expected to prevent {gain} recurrences."


def _kept(row: dict[str, Cell], told: dict[str, str]) -> Iterator[str]:
    if not {"fix", "pattern", "expected", "observed", "prevented"} <= set(told):
        return
    fix, pattern = str(row["fix"]), str(row["pattern"])
    yield f"{fix} prevented {told['prevented']} recurrences of {pattern}."
    yield f"“{fix}” prevented {told['prevented']} recurrences: {told['expected']} were expected and {told['observed']} came back."
    yield f"After “{fix}”, {told['observed']} recurrences of {pattern} came back where {told['expected']} were expected."


def _ordered(document: Document, rows: list[dict[str, Cell]], table: Table) -> Iterator[str]:
    if "risk_score" not in [column.key for column in table.columns] or len(rows) < 3 or len(rows) != len(table.rows):
        return
    ranked = sorted(rows, key=lambda row: -float(row["risk_score"] or 0))
    scores = [float(row["risk_score"] or 0) for row in ranked]
    if len(set(scores)) != len(scores):
        return
    first, second = ranked[0], ranked[1]
    yield f"{first['pattern']} carries the highest risk score, {scores[0]:.0f}."
    yield f"The riskiest pattern is {first['pattern']}, with a risk score of {scores[0]:.0f}, followed by {second['pattern']} at {scores[1]:.0f}."
    yield f"{first['pattern']} ranks first by risk score ({scores[0]:.0f}), ahead of {second['pattern']} ({scores[1]:.0f})."
    yield f"{second['pattern']} has the second highest risk score, {scores[1]:.0f}."
    yield f"The two riskiest patterns are {first['pattern']} ({scores[0]:.0f}) and {second['pattern']} ({scores[1]:.0f})."
    yield f"{first['pattern']} has a higher risk score than {second['pattern']}."
