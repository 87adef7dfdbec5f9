"""Evidence: what the workspace knows that may tell why an issue happened, gathered for a batch at once: a fixed number of queries.

Kinds: change (what was changed before the onset), habit (how often the pattern follows changes, against chance), upstream (another
pattern that fails before it, with how often), attribute (what its failures share, against all failures), kind (what its words speak
of), place (where its stack ends), recurrence (how often and when it came), fix (what was tried, and whether it held).
Every item says its counts, and `strength` is how much it alone would let one believe in it as the cause: 0 for what only describes.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix.core.db import Json
from everfix.documents import format as show
from everfix.failures import fixes, playbook
from everfix.failures.patterns import Pattern
from everfix.ingest.events import Issue

BEFORE = timedelta(hours=24)  # how long before the onset a change is looked for
SOON = 6.0  # hours after a change within which a failing day counts as following it
HISTORY = timedelta(days=90)
SAMPLE = 20_000  # newest failures of the workspace that stand for all
MEMBERS = 500  # newest failures of a pattern that stand for it
PAIRS = 300  # pairs of patterns that are counted for one batch
LIFT, SHARE, LEAST = 1.5, 0.6, 3  # an attribute is told from this lift, this share of the members, and this many of them
TOGETHER, TOGETHER_LIFT = 3, 3.0  # hours in company, and their lift, from which another pattern is told
ATTRIBUTES = {"release": 0.75, "environment": 0.6, "error_type": 0.35, "service": 0.3, "team": 0.15}  # how near each is to a cause
SAID = {"error_type": "error type"}


@dataclass(frozen=True, slots=True)
class Item:
    """One piece of evidence: `text` is a whole sentence, `subject` the cause it points at, as a noun."""

    id: str
    kind: str
    text: str
    subject: str
    strength: float
    figures: Json = field(default_factory=dict)

    def plain(self) -> Json:
        return asdict(self)


@dataclass
class Found:
    """Sentences of one issue while they are gathered."""

    issue: Issue
    pattern: Pattern | None
    items: list[Item] = field(default_factory=list)

    def add(self, kind: str, text_: str, subject: str = "", strength: float = 0.0, **figures: Any) -> None:  # noqa: ANN401 - counts
        self.items.append(Item(f"e{len(self.items) + 1}", kind, text_, subject, round(min(max(strength, 0.0), 0.95), 3), figures))


def gather(db: Session, issues: Sequence[Issue]) -> dict[UUID, Found]:
    """Return the evidence of each issue."""
    wanted = {issue.pattern_id for issue in issues if issue.pattern_id is not None}
    patterns = {row.id: row for row in db.execute(select(Pattern).where(Pattern.id.in_(wanted))).scalars()}
    found = {issue.id: Found(issue, patterns.get(issue.pattern_id) if issue.pattern_id else None) for issue in issues}
    _changes(db, found)
    _habits(db, found)
    _upstream(db, found)
    _attributes(db, found)
    for one in found.values():
        _words(one)
        _recurrence(one)
    _fixes(db, found)
    return found


def quoted(name: str, most: int = 90) -> str:
    return f"“{show.short(' '.join(name.split()), most)}”"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def _rows(found: Iterable[Found]) -> dict[str, list[Any]]:
    known = list(found)
    return {
        "ids": [one.issue.id for one in known],
        "patterns": [one.issue.pattern_id for one in known],
        "services": [one.issue.service for one in known],
        "ats": [one.issue.occurred_at for one in known],
    }


_CHANGES = """
SELECT i.id AS issue, c.kind, c.title, c.service, c.occurred_at
FROM unnest(cast(:ids AS uuid[]), cast(:services AS text[]), cast(:ats AS timestamptz[])) AS i(id, service, at)
CROSS JOIN LATERAL (
    SELECT kind, title, service, occurred_at FROM changes
    WHERE service = i.service AND kind <> 'fix' AND occurred_at <= i.at AND occurred_at > i.at - cast(:before AS interval)
    ORDER BY occurred_at DESC LIMIT 3
) c ORDER BY i.id, c.occurred_at DESC
"""


def _changes(db: Session, found: Mapping[UUID, Found]) -> None:
    given = _rows(found.values())
    for row in db.execute(text(_CHANGES), {**given, "before": BEFORE}):
        one = found[row.issue]
        minutes = (one.issue.occurred_at - row.occurred_at).total_seconds() / 60
        ago = show.duration(minutes * 60)
        subject = f"the {row.kind} {quoted(row.title)} of {row.service}"
        one.add(
            "change",
            f"It began {ago} after {subject}.",
            subject,
            0.45 * math.exp(-minutes / (SOON * 60)),
            minutes_before=round(minutes, 1),
            change_kind=row.kind,
        )


_HABITS = """
SELECT d.pattern_id, d.service, count(*) AS days,
    count(*) FILTER (WHERE EXISTS (
        SELECT FROM changes c WHERE c.service = d.service AND c.kind <> 'fix'
        AND c.occurred_at < d.first + interval '1 hour' AND c.occurred_at > d.first - make_interval(hours => :soon)
    )) AS after,
    (SELECT count(*) FROM changes c WHERE c.service = d.service AND c.kind <> 'fix' AND c.occurred_at > :since) AS changes
FROM (
    SELECT h.pattern_id, p.service, min(h.hour) AS first FROM pattern_hours h JOIN patterns p ON p.id = h.pattern_id
    WHERE h.pattern_id = ANY(:patterns) AND h.hour > :since AND p.service IS NOT NULL GROUP BY h.pattern_id, p.service, date_trunc('day', h.hour)
) d GROUP BY d.pattern_id, d.service
"""


def _patterns(found: Mapping[UUID, Found]) -> dict[UUID, list[Found]]:
    by: dict[UUID, list[Found]] = defaultdict(list)
    for one in found.values():
        if one.pattern is not None:
            by[one.pattern.id].append(one)
    return by


def _since(found: Mapping[UUID, Found]) -> datetime:
    return max(one.issue.occurred_at for one in found.values()) - HISTORY


def _habits(db: Session, found: Mapping[UUID, Found]) -> None:
    by = _patterns(found)
    for row in db.execute(text(_HABITS), {"patterns": list(by), "since": _since(found), "soon": int(SOON)}):
        chance = min(1.0, row.changes * (SOON + 1) / (HISTORY.days * 24))
        share = row.after / row.days
        lift = share / chance if chance else 0.0
        if row.after < 2 or lift < 2.0:
            continue
        told = (
            f"{row.after} of its {_count(row.days, 'failing day')} began within {SOON:.0f} hours of a change of {row.service}; "
            f"by chance it would be {row.days * chance:.1f}."
        )
        strength = 0.3 + 0.6 * share * row.days / (row.days + 3)
        for one in by[row.pattern_id]:
            one.add("habit", told, f"changes of {row.service}", strength, days=row.days, after=row.after, by_chance=round(row.days * chance, 1), lift=round(lift, 1))  # fmt: skip


_NEAR = """
SELECT i.pattern, o.pattern_id AS other, i.id AS issue, min(o.occurred_at) AS first
FROM unnest(cast(:ids AS uuid[]), cast(:patterns AS uuid[]), cast(:ats AS timestamptz[])) AS i(id, pattern, at)
CROSS JOIN LATERAL (
    SELECT pattern_id, occurred_at FROM issues
    WHERE occurred_at BETWEEN i.at - interval '1 hour' AND i.at AND pattern_id IS NOT NULL AND pattern_id <> i.pattern
    ORDER BY occurred_at DESC LIMIT 30
) o WHERE i.pattern IS NOT NULL GROUP BY i.pattern, o.pattern_id, i.id
"""
_TOGETHER = """
SELECT q.mine, q.other, p.name, p.service,
    (SELECT count(*) FROM pattern_hours h WHERE h.pattern_id = q.mine AND h.hour > :since) AS hours,
    (SELECT count(*) FROM pattern_hours h WHERE h.pattern_id = q.other AND h.hour > :since) AS others,
    (SELECT count(*) FROM pattern_hours h WHERE h.pattern_id = q.mine AND h.hour > :since AND EXISTS (
        SELECT FROM pattern_hours b WHERE b.pattern_id = q.other AND b.hour IN (h.hour, h.hour - interval '1 hour'))) AS together
FROM unnest(cast(:mine AS uuid[]), cast(:other AS uuid[])) AS q(mine, other) JOIN patterns p ON p.id = q.other
"""


def _upstream(db: Session, found: Mapping[UUID, Found]) -> None:
    near: dict[tuple[UUID, UUID], list[tuple[UUID, datetime]]] = defaultdict(list)
    for row in db.execute(text(_NEAR), _rows(found.values())):
        near[row.pattern, row.other].append((row.issue, row.first))
    pairs = sorted(near, key=lambda pair: -len(near[pair]))[:PAIRS]
    if not pairs:
        return
    given = {"mine": [mine for mine, _ in pairs], "other": [other for _, other in pairs], "since": _since(found)}
    for row in db.execute(text(_TOGETHER), given):
        chance = min(1.0, 2 * row.others / (HISTORY.days * 24))
        lift = row.together / row.hours / chance if row.hours and chance else 0.0
        if row.together < TOGETHER or lift < TOGETHER_LIFT:
            continue
        where = f" of {row.service}" if row.service else ""
        for issue, first in near[row.mine, row.other]:
            one = found[issue]
            ahead = show.duration((one.issue.occurred_at - first).total_seconds())
            told = (
                f"{quoted(row.name)}{where} failed {ahead} before it, and did so at {row.together} of the {_count(row.hours, 'hour')} in which it "
                f"failed; by chance it would be {row.hours * chance:.1f}."
            )
            strength = 0.25 + 0.6 * row.together / row.hours * row.together / (row.together + 3)
            one.add(
                "upstream", told, f"{quoted(row.name)}{where}", strength,
                hours=row.hours, together=row.together, by_chance=round(row.hours * chance, 1), lift=round(lift, 1), pattern=str(row.other),
            )  # fmt: skip


_SETS = ", ".join(f"({name})" for name in ATTRIBUTES)
_VALUE = "CASE " + " ".join(f"WHEN grouping({name}) = 0 THEN '{name}'" for name in ATTRIBUTES) + " END"
_ALL = f"""
SELECT {_VALUE} AS name, coalesce({", ".join(ATTRIBUTES)}) AS value, count(*) AS n FROM (
    SELECT {", ".join(ATTRIBUTES)} FROM issues ORDER BY occurred_at DESC, id DESC LIMIT {SAMPLE}
) recent GROUP BY GROUPING SETS ({_SETS})
"""  # noqa: S608 - built from the constants above
_MEMBERS = f"""
SELECT m.pattern_id, {_VALUE} AS name, coalesce({", ".join(ATTRIBUTES)}) AS value, count(*) AS n FROM (
    SELECT p.id AS pattern_id, i.* FROM unnest(cast(:patterns AS uuid[])) AS p(id) CROSS JOIN LATERAL (
        SELECT {", ".join(ATTRIBUTES)} FROM issues WHERE pattern_id = p.id ORDER BY occurred_at DESC LIMIT {MEMBERS}
    ) i
) m GROUP BY GROUPING SETS ({", ".join(f"(m.pattern_id, {name})" for name in ATTRIBUTES)})
"""  # noqa: S608 - built from the constants above


def _attributes(db: Session, found: Mapping[UUID, Found]) -> None:
    by = _patterns(found)
    background: dict[tuple[str, str | None], int] = {(row.name, row.value): row.n for row in db.execute(text(_ALL))}
    everything = sum(n for (name, _), n in background.items() if name == "service")
    members: dict[UUID, dict[tuple[str, str | None], int]] = defaultdict(dict)
    for row in db.execute(text(_MEMBERS), {"patterns": list(by)}):
        members[row.pattern_id][row.name, row.value] = row.n
    for pattern, counts in members.items():
        total = sum(n for (name, _), n in counts.items() if name == "service")
        for (name, value), n in sorted(counts.items(), key=lambda pair: -pair[1]):
            usual = background.get((name, value), 0) / everything if everything else 0.0
            lift = n / total / usual if usual else 0.0
            if value is not None and n >= LEAST and n / total >= SHARE and lift >= LIFT:
                _shared(by[pattern], name, value, n, total, usual, lift)


def _shared(ones: Sequence[Found], name: str, value: str, n: int, total: int, usual: float, lift: float) -> None:
    said = SAID.get(name, name)
    told = (
        f"{n:,} of its {_count(total, 'failure')} have the {said} {quoted(value)}, against {usual:.0%} of all failures (lift {lift:.1f})."
    )
    strength = ATTRIBUTES[name] * (n / total) * (1 - 1 / lift) * n / (n + 4)
    for one in ones:
        if getattr(one.issue, name) == value:
            one.add("attribute", told, f"the {said} {quoted(value)}", strength, attribute=name, value=value, count=n, of=total, background=round(usual, 4), lift=round(lift, 2))  # fmt: skip


def _words(one: Found) -> None:
    """What the failure's own words and stack say."""
    facts = fixes.PatternFacts(str(one.issue.pattern_id), one.issue.title, f"{one.issue.error_type or ''} {one.issue.body[:2000]}")
    kind, share, why = fixes.causes_of(facts)[0]
    if kind != playbook.UNKNOWN:
        title = playbook.CAUSES[kind].title
        one.add("kind", f"Its words speak of {title}: {why}.", title, 0.4 * share, cause=kind, share=round(share, 2))
    why_ = (one.issue.assignment or {}).get("why") or {}
    frames = why_.get("frames") if isinstance(why_, dict) else None
    if isinstance(frames, list) and frames:
        one.add("place", f"Its stack ends in {quoted(str(frames[0]))}.", quoted(str(frames[0])), 0.2)


def _recurrence(one: Found) -> None:
    pattern = one.pattern
    if pattern is None or pattern.first_seen_at is None or pattern.last_seen_at is None:
        return
    if pattern.issue_count < 2:
        one.add("recurrence", "It has been seen once so far.", failures=pattern.issue_count)
        return
    days = max(1, (pattern.last_seen_at - pattern.first_seen_at).days)
    first = show.day(pattern.first_seen_at.date())
    one.add("recurrence", f"It has failed {pattern.issue_count:,} times since {first}, over {_count(days, 'day')}.", failures=pattern.issue_count, days=days)  # fmt: skip


_FIXES = """
SELECT v.pattern_id, r.title, v.verdict, v.claimed_at, v.expected, v.observed FROM verifications v
JOIN recommendations r ON r.id = v.recommendation_id WHERE v.pattern_id = ANY(:patterns) ORDER BY v.claimed_at DESC
"""


def _fixes(db: Session, found: Mapping[UUID, Found]) -> None:
    by = _patterns(found)
    told: set[UUID] = set()
    for row in db.execute(text(_FIXES), {"patterns": list(by)}):
        if row.pattern_id in told:
            continue
        told.add(row.pattern_id)
        end = {"failed": "and did not hold", "held": "and held"}.get(row.verdict, "and is being watched")
        said = f"The fix {quoted(row.title)} was put in place on {show.day(row.claimed_at.date())} {end}: {row.expected:.1f} were expected, {row.observed} came."
        for one in by[row.pattern_id]:
            one.add("fix", said, verdict=row.verdict, expected=round(row.expected, 1), observed=row.observed)
    for pattern, ones in by.items():
        if pattern not in told:
            for one in ones:
                one.add("fix", "No fix of it has been put in place yet.", verdict="none")
