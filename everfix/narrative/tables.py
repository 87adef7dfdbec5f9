"""Words about a table: richer for the tables every report knows (patterns, fixes, predictions, changes), sound for any other."""

from __future__ import annotations

from collections import Counter

from everfix.documents.model import Cell, Column, Document, Table, Unit
from everfix.narrative import cells, collected, lexicon, prose
from everfix.narrative.prose import Voice
from everfix.narrative.rows import Row, Rows, once, ordered
from everfix.narrative.told import Told

UNTOLD = ("time alone", "none known", "none", "unknown")  # triggers that explain nothing


def tell(voice: Voice, table: Table) -> Told:
    """Return the paragraph of a table."""
    if not table.rows:
        return Told((table.empty,))
    place = cells.label(table)
    if place is None:
        return _by_state(voice, table)
    label = table.columns[place]
    bounded = table.rows[: cells.ROWS]
    rows = Rows(voice, table, label, tuple(row for row in bounded if voice.name(row[place])))
    if not rows.rows:
        return Told()
    for wanted, writer in WRITERS:
        if all(rows.column(*keys) for keys in wanted) and (writer is not _patterns or label.key == "pattern"):
            return writer(rows)
    return _any(rows)


def _by_state(voice: Voice, table: Table) -> Told:
    """Tell a table that counts things by their state: "4 recommendations are open, 5 are held"."""
    state = next((index for index, column in enumerate(table.columns) if column.unit is Unit.TEXT), None)
    count = next((index for index, column in enumerate(table.columns) if column.unit is Unit.COUNT), None)
    states = [] if state is None else [str(row[state]) for row in table.rows]
    moves = lexicon.UP | lexicon.DOWN | lexicon.FLAT | lexicon.BETTER | lexicon.WORSE  # "73 are up" would claim a movement
    plain = all(one.replace(" ", "").isalpha() and one.lower() not in moves for one in states)
    if state is None or count is None or len(set(states)) < len(states) or not plain:
        return Told()
    title = table.columns[count].title
    rows = [(str(row[state]), float(cell)) for row in table.rows if isinstance(cell := row[count], (int, float)) and cell]
    amounts = [prose.counted(number, title) if place == 0 else voice.say(number, Unit.COUNT) for place, (_, number) in enumerate(rows)]
    told = [f"{amount} {'is' if number == 1 else 'are'} {prose.lower(name)}" for amount, (name, number) in zip(amounts, rows, strict=True)]
    if not told:
        return Told((table.empty,))
    sentences = [voice.sentence(prose.listing(told))]
    for place, column in enumerate(table.columns):
        gains = [row for row in table.rows if column.key == "expected_loops_prevented" and row[place]]
        sentences += [
            voice.sentence(f"the {prose.lower(str(row[state]))} ones should {_brings(voice, column, row[place])}") for row in gains
        ]
    return Told(tuple(sentences))


def _patterns(rows: Rows) -> Told:
    voice, risk, issues = rows.voice, rows.column("risk_score"), rows.column("issues")
    order = ordered(rows, risk or rows.table.columns[0])
    if not order or risk is None:
        return _any(rows)
    top, title, score = order[0], prose.lower(risk.title), rows.show(order[0], risk)
    failures = _failures(rows, top)
    head = f"{rows.called(top)} carries the highest {title} ({score})"
    if failures:
        head += f", with {failures}" + _share(rows, top) + _before(rows, top)
    sentences = [voice.sentence(head), *_seen(rows, top)]
    parts = [f"{rows.called(row)} ({_pattern(rows, row)})" for row in order[1:3]]
    if parts:
        sentences.append(voice.sentence(f"behind it {'come' if len(parts) > 1 else 'comes'} {prose.listing(parts)}"))
    sentences += _top_share(rows, issues) + _states(rows)
    after = f"{failures}{_share(rows, top)} and " if failures else ""
    return Told(
        tuple(sentences),
        voice.sentence(f"what keeps coming back is led by {rows.called(top)}, with {after}a {title} of {score}"),
        voice.sentence(f"look into {rows.called(top)}: its {title} is {score}" + (f", with {failures}" if failures else "")),
        8.0,
    )


def _failures(rows: Rows, row: Row) -> str:
    issues = rows.column("issues")
    number = rows.number(row, issues)
    return "" if issues is None or number is None else prose.counted(number, issues.title)


def _before(rows: Rows, row: Row) -> str:
    """Tell where the failures of a pattern stood in the period before."""
    issues, before = rows.column("issues"), rows.column("before")
    now, old = rows.number(row, issues), rows.number(row, before)
    if issues is None or before is None or before.unit is not issues.unit or rows.column("now") is not None:
        return ""
    if now is None or old is None or now == old:
        return ""
    return f", {'up' if now > old else 'down'} from {rows.show(row, before)}"


def _share(rows: Rows, row: Row) -> str:
    share = rows.column("share")
    return f" ({rows.show(row, share)} of the total)" if rows.show(row, share) else ""


def _pattern(rows: Rows, row: Row) -> str:
    parts = []
    for key in ("risk_score", "issues"):
        column = rows.column(key)
        if column is not None and rows.show(row, column):
            number = rows.number(row, column) or 0.0
            parts.append(
                f"{prose.lower(column.title)} {rows.show(row, column)}"
                if column.unit is not Unit.COUNT
                else prose.counted(number, column.title)
            )
    return ", ".join(parts)


def _top_share(rows: Rows, column: Column | None) -> list[str]:
    """Say how much the three largest hold together, where the table is whole and there are more than that."""
    if column is None or column.unit not in cells.ADDITIVE or rows.count != len(rows.table.rows) or len(rows.table.rows) <= 4:
        return []
    known = [rows.number(row, column) for row in rows.table.rows]
    values = sorted((value for value in known if value is not None), reverse=True)
    if len(values) <= 4 or values[-1] < 0 or not sum(values):
        return []
    share = rows.voice.say(sum(values[:3]) / sum(values), Unit.PERCENT)
    return [
        rows.voice.sentence(f"the three largest {prose.plural(rows.label.title)} hold {share} of the {prose.lower(column.title)} listed")
    ]


def _seen(rows: Rows, row: Row) -> list[str]:
    seen, chance, trend = rows.column("last_seen"), rows.column("probability"), rows.column("change", "trend")
    parts = []
    if rows.show(row, seen):
        parts.append(f"was last seen on {rows.show(row, seen)}")
    if chance is not None and rows.show(row, chance):
        ahead = f" in the {prose.lower(chance.title)}" if chance.title.startswith("Next ") else ""
        parts.append(f"has {prose.article(rows.show(row, chance))} chance of coming back{ahead}")
    told = prose.listing(parts)
    number = rows.number(row, trend)
    if trend is not None and trend.unit is Unit.PERCENT and number and told and rows.show(row, trend) not in ("0 %", "-0 %"):
        told += f"; the trend is {'up' if number > 0 else 'down'} {rows.voice.say(abs(number), Unit.PERCENT)}"
    return [rows.voice.sentence(f"it {told}")] if parts else []


def _states(rows: Rows, *keys: str) -> list[str]:
    """Count the rows in each state, where all rows are shown and they are in few different states."""
    column = rows.column(*(keys or ("status", "verdict", "state")))
    if column is None or len(rows.table.rows) < 2 or rows.count > len(rows.table.rows):
        return []
    found = Counter(str(cell) for cell in rows.table.column(column.key) if cell not in (None, ""))
    if not 1 < len(found) <= 4 or any(not state.replace(" ", "").isalpha() for state in found):
        return []
    parts = [f"{count} {prose.lower(state)}" for state, count in found.most_common()]
    return [rows.voice.sentence(f"by {prose.lower(column.title)}: {prose.listing(parts)}")]


def _prevented(rows: Rows) -> Told:
    voice, prevented = rows.voice, rows.column("prevented", "loops_prevented")
    if prevented is None:
        return _any(rows)
    sentences, order = [], ordered(rows, prevented)
    if prevented.unit in cells.ADDITIVE:
        total = voice.say(sum(rows.number(row, prevented) or 0.0 for row in rows.table.rows), prevented.unit)
        total = total if prevented.unit is Unit.MONEY else prose.amount(total, voice.comeback)
        followed = prose.counted(len(rows.table.rows), rows.label.title)
        many = len(rows.table.rows) > 1
        sentences.append(
            voice.sentence(f"{followed} were followed up; together they prevented {total}" if many else f"{followed} was followed up")
        )
    held = [row for row in order if not _again(rows, row)]
    sentences += [voice.sentence(_kept(rows, row, prevented)) for row in (held or order)[:2]]
    sentences += [
        voice.sentence(f"{again}, so check whether {rows.called(row)} still works") for row in order if (again := _again(rows, row))
    ][:2]
    sentences += _states(rows)
    if not order:
        return Told(tuple(sentences), sentences[0] if sentences else "", "", 0.5)
    doubted = next((row for row in order if _again(rows, row)), None)
    if doubted is not None:
        takeaway = f"check {rows.called(doubted)}: {_again(rows, doubted)}"
    else:
        takeaway = f"keep {rows.called(order[0])} in place: it prevented {prose.amount(rows.show(order[0], prevented), voice.comeback)}"
    shown = (held or order)[0]
    summary = f"among the fixes in place, {rows.called(shown)} prevented {prose.amount(rows.show(shown, prevented), voice.comeback)}"
    return Told(tuple(sentences), voice.sentence(summary), voice.sentence(takeaway), 5.0)


def _kept(rows: Rows, row: Row, prevented: Column) -> str:
    """Tell what a fix prevented: "“F” prevented 7.3 returns of “P” (7.3 expected, none came back)"."""
    expected, observed, pattern = rows.column("expected"), rows.column("observed"), rows.column("pattern")
    told = f"{rows.called(row)} prevented {prose.amount(rows.show(row, prevented), rows.voice.comeback)}"
    if pattern is not None and rows.name(row, pattern) and rows.name(row, pattern) != rows.name(row):
        told += f" of {rows.called(row, pattern)}"
    if rows.show(row, expected) and rows.show(row, observed):
        came = rows.show(row, observed) if rows.number(row, observed) else "none"
        told += f" ({rows.show(row, expected)} expected, {came} came back)"
    return told


def _again(rows: Rows, row: Row) -> str:
    """Return that the pattern of a fix was seen after the fix was put in place, where another table says so; else ""."""
    claimed, pattern = rows.cell(row, rows.column("claimed")), rows.column("pattern")
    if pattern is None or not isinstance(claimed, str) or not rows.name(row, pattern):
        return ""
    seen = last_seen(rows.voice.document, rows.cell(row, pattern))
    if seen is None or seen[:10] <= claimed[:10]:
        return ""
    return f"{rows.called(row, pattern)} was last seen on {rows.voice.say(seen[:10], Unit.DATE)}, after the fix"


def last_seen(document: Document, pattern: Cell) -> str | None:
    """Return when the tables of a Document last saw a pattern, or None."""
    days = []
    for section in document.sections:
        for block in section.blocks:
            keys = [column.key for column in block.columns] if isinstance(block, Table) else []
            if isinstance(block, Table) and {"pattern", "last_seen"} <= set(keys):
                place, when = keys.index("pattern"), keys.index("last_seen")
                days += [str(row[when]) for row in block.rows[: cells.ROWS] if row[place] == pattern and row[when]]
    return max(days, default=None)


def _gained(rows: Rows, row: Row, gain: Column | None) -> str:
    """Return "prevent 2.4 returns in 90 days" of the column that says so, or "" where the cell is empty."""
    return "" if gain is None or not rows.show(row, gain) else _brings(rows.voice, gain, rows.cell(row, gain))


def _brings(voice: Voice, gain: Column, cell: Cell) -> str:
    window, shown = collected.WINDOW.search(gain.title), voice.say(cell, gain.unit)
    shown = shown if gain.unit in (Unit.MONEY, Unit.PERCENT, Unit.TEXT) else prose.amount(shown, voice.comeback)
    return f"prevent {shown}" + (f" {window.group()}" if window else "")


def _fixes(rows: Rows) -> Told:
    voice, rank, pattern = rows.voice, rows.column("rank"), rows.column("pattern")
    gain, worth = rows.column("expected_loops_prevented", "impact"), rows.column("expected_cost_saved")
    known = [row for row in rows.rows if rows.number(row, rank) is not None]
    order = once(rows, sorted(known, key=lambda row: rows.number(row, rank) or 0.0))
    if not order:
        return _any(rows)
    sentences = []
    for place, row in enumerate(order[:3]):
        target = rows.called(row, pattern) if pattern is not None else ""
        told = f"{('start with', 'next in line is', 'after that comes')[place]} {rows.called(row)}{_effort(rows, row)}"
        does = [f"addresses {target}"] if target and rows.name(row, pattern) != rows.name(row) else []
        does += [f"should {gained}"] if (gained := _gained(rows, row, gain)) else []
        told += f", which {prose.listing(does)}" if does else ""
        told += f", worth {rows.show(row, worth)}" if place == 0 and rows.show(row, worth) else ""
        sentences.append(voice.sentence(told))
    top = order[0]
    gained, name = _gained(rows, top, gain), rows.called(top)
    value = f", worth {rows.show(top, worth)}" if rows.show(top, worth) else f", to {gained}" if gained else ""
    return Told(
        tuple(sentences),
        voice.sentence(f"the fix to make first is {name}{_effort(rows, top)}" + (f", expected to {gained}" if gained else "")),
        voice.sentence(f"do this first: {name}{value}"),
        7.0,
    )


def _effort(rows: Rows, row: Row) -> str:
    shown = rows.show(row, rows.column("effort"))
    return f" ({prose.lower(shown)} effort)" if shown else ""


def _proposals(rows: Rows) -> Told:
    """Tell a list of recommendations in all states: what the ones with the most to gain would bring."""
    voice, gain, pattern = rows.voice, rows.column("expected_loops_prevented"), rows.column("pattern")
    order = [] if gain is None else [row for row in ordered(rows, gain) if rows.number(row, gain)]
    if not order or gain is None:
        return _any(rows)
    told = []
    for row in order[:3]:
        target = f" addresses {rows.called(row, pattern)} and" if pattern is not None and rows.name(row, pattern) else ""
        told.append(f"{rows.called(row)}{_effort(rows, row)}{target} should {_gained(rows, row, gain)}")
    sentences = [voice.sentence(part) for part in told]
    top = order[0]
    decide = f"decide on {rows.called(top)}: it should {_gained(rows, top, gain)}"
    summary = f"{rows.called(top)} promises the most: it should {_gained(rows, top, gain)}"
    return Told((*sentences, *_states(rows, "verdict")), voice.sentence(summary), voice.sentence(decide), 6.0)


def _due(rows: Rows) -> Told:
    voice, chance, window = rows.voice, rows.column("probability"), rows.column("window_days")
    order = [] if chance is None else ordered(rows, chance)
    if not order or chance is None:
        return _any(rows)
    top, name, odds = order[0], rows.called(order[0]), rows.show(order[0], chance)
    within, trigger = _within(rows, top, window), _trigger(rows, top)
    sentences = [voice.sentence(f"{name} has {prose.article(odds)} chance of coming back{within}{trigger}")]
    others = []
    for place, row in enumerate(order[1:3]):
        other = _within(rows, row, window)
        follows = f"{rows.called(row)} follows at" if place == 0 else f"{rows.called(row)} at"
        others.append(f"{follows} {rows.show(row, chance)}{'' if other == within else other}")
    sentences += [voice.sentence(prose.listing(others))] if others else []
    return Told(
        tuple(sentences),
        voice.sentence(f"due next: {name}, with {prose.article(odds)} chance of coming back{within}{trigger}"),
        voice.sentence(f"be ready for {name}: a {voice.comeback}{within} is {odds} likely{trigger.replace('most likely', 'chiefly')}"),
        6.5,
    )


def _within(rows: Rows, row: Row, window: Column | None) -> str:
    return "" if rows.number(row, window) is None else f" within {rows.voice.say(rows.number(row, window), Unit.DAYS)}"


def _trigger(rows: Rows, row: Row) -> str:
    """Return ", most likely after a change of pricing" where the trigger is telling; time alone explains nothing."""
    column = rows.column("likely_trigger", "trigger")
    cell = rows.cell(row, column)
    told = "" if column is None or cell is None else cells.told(column, cell)
    if not told or told.lower().startswith(UNTOLD) or not rows.name(row, column):
        return ""
    weekday = told.lower().removesuffix("s") in lexicon.WEEKDAYS
    return f", most likely {'on' if weekday else 'after'} {told}"


def _changes(rows: Rows) -> Told:
    voice, before, now = rows.voice, rows.column(*sorted(lexicon.PREVIOUS_KEYS)), rows.column(*sorted(lexicon.CURRENT_KEYS))
    moved = [row for row in rows.rows if rows.number(row, before) is not None and rows.number(row, now) is not None]
    moved.sort(key=lambda row: -abs((rows.number(row, now) or 0.0) - (rows.number(row, before) or 0.0)))
    moved = [row for row in once(rows, moved) if rows.show(row, before) != rows.show(row, now)]
    sentences = []
    for up in (True, False):
        told = []
        for row in [row for row in moved if ((rows.number(row, now) or 0.0) > (rows.number(row, before) or 0.0)) == up][:2]:
            verb = voice.choose(rows.name(row), ("rose", "went up", "climbed") if up else ("fell", "went down", "dropped"))
            told.append(f"{rows.called(row)} {verb} from {rows.show(row, before)} to {rows.show(row, now)}")
        sentences += [voice.sentence(", and ".join(told))] if told else []
    if not sentences:
        return _any(rows)
    kind = rows.column("change")
    new = [row for row in once(rows, moved) if str(rows.cell(row, kind)).lower() == "new"] if kind is not None else []
    if new and rows.label.key != "change":
        told = [f"{rows.called(row)} ({rows.show(row, now)})" for row in new[:2]]
        sentences.append(voice.sentence(f"new in this period: {prose.listing(told)}"))
    return Told(tuple(sentences), "", _moved_most(rows, moved[0], before, now), 4.0)


def _moved_most(rows: Rows, row: Row, before: Column | None, now: Column | None) -> str:
    up = (rows.number(row, now) or 0.0) > (rows.number(row, before) or 0.0)
    return rows.voice.sentence(
        f"ask what changed for {rows.called(row)}: {'up' if up else 'down'} from {rows.show(row, before)} to {rows.show(row, now)}"
    )


def _any(rows: Rows) -> Told:
    """Any other table: the largest of its main measure, or how many rows there are where nothing is measured."""
    voice = rows.voice
    skip = cells.UNCOUNTED | lexicon.CHANGE_KEYS
    numeric = [
        column for column in rows.table.columns if column.unit not in (Unit.TEXT, Unit.FLAG, *cells.TIMES) and column.key not in skip
    ]
    if not numeric:
        count = f"the table lists {prose.counted(rows.count, rows.label.title)}"
        return Told((voice.sentence(count), *_states(rows)), "", "", 0.5)
    main = numeric[0]
    title, order = prose.lower(main.title), ordered(rows, main)
    if not order:
        known = [cell for cell in rows.table.column(main.key) if isinstance(cell, (int, float)) and not isinstance(cell, bool)]
        told = f"the highest value of {title} is {voice.say(max(known), main.unit)}" if known else ""
        return Told((voice.sentence(told),) if told else (), "", "", 0.5)
    order = once(rows, order, rows.column("pattern"))
    top, many = order[0], _plural(main)
    value = rows.show(top, main)
    rest = [f"{rows.called(row)} ({rows.show(row, main)})" for row in order[1:3]]
    head = f"{rows.called(top)} has the {'most' if many else 'highest'} {title}, {value}"
    head += f", ahead of {prose.listing(rest)}" if rest else ""
    if len({rows.number(row, main) for row in order}) == 1 and len(order) > 1:  # nothing leads, so nothing comes before the others
        verb, each = "are" if many else "is", f"the same for every other {prose.lower(rows.label.title)}"
        return Told((voice.sentence(f"{title} {verb} {value} for {rows.called(top)} and {each}"), *_states(rows)), "", "", 1.0)
    if not rest:
        head = f"the {prose.lower(rows.label.title)} listed here is {rows.called(top)}, with {f'{value} {title}' if many else f'{title} at {value}'}"
    takeaway = f"look at {rows.called(top)} before the others: its {title} {'are' if many else 'is'} {value}" if rest else ""
    summary = voice.sentence(f"by {title}, {rows.called(top)} leads with {value}") if rest else ""
    return Told((voice.sentence(head), *_top_share(rows, main), *_states(rows)), summary, voice.sentence(takeaway) if takeaway else "", 2.0)


def _plural(column: Column) -> bool:
    """Whether the title of a measure is a plural, "issues" or "returns prevented", rather than "risk" or "cost"."""
    first = column.title.split(" ", maxsplit=1)[0].lower()
    return column.unit in (Unit.COUNT, Unit.NUMBER) and first.endswith("s") and not first.endswith(("ss", "us", "is"))


WRITERS = (
    ((("expected_loops_prevented", "impact"), ("rank",), ("fix", "recommendation", "title")), _fixes),
    ((("expected_loops_prevented",), ("fix",), ("status",)), _proposals),
    ((("prevented", "loops_prevented"), ("fix", "pattern")), _prevented),
    ((("risk_score",), ("pattern", "title", "name")), _patterns),
    ((("probability",), ("pattern",), ("window_days",)), _due),
    ((("before", "previous", "prior"), ("now", "current", "after")), _changes),
)
