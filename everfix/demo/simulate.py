"""Simulates a year of one plausible company: the failures as its tools would report them, its changes and fixes, and the truth."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from everfix.demo import changes, company, noise, planted, timeline, tools, wording
from everfix.demo.causes import Cause, Kind, Repair, Voice
from everfix.demo.truth import Truth

ONEOFFS_PER_WEEK = 13.0
MIN_DAYS, MAX_DAYS = 14, 1_500
WRAPPED = 0.25  # share of failures whose trace sits in another exception, where the cause has such a wrapper
STAYS = 0.7  # chance that a failure of a burst is reported in the words of the one before it
MINUTES_TO_ACKNOWLEDGE = {"p1": 3.5, "p2": 8.0, "p3": 35.0, "p4": 240.0}
HOURS_TO_RESOLVE: dict[Kind, dict[str, float]] = {
    "incident": {"p1": 1.1, "p2": 2.6, "p3": 9.0, "p4": 40.0},
    "defect": {"p1": 9.0, "p2": 40.0, "p3": 130.0, "p4": 330.0},
    "check": {"p1": 2.0, "p2": 3.0, "p3": 4.0, "p4": 6.0},
}
NEVER_RESOLVED = {"p1": 0.0, "p2": 0.03, "p3": 0.14, "p4": 0.3}  # of defects: nobody comes round to them


@dataclass(frozen=True, slots=True)
class Fix:
    """A fix of a planted cause. `example` is the external_id of the failure that the engineer looked at: the last one before the claim."""

    cause: str
    claimed_at: datetime
    title: str
    description: str
    type: str
    effort: str
    holds: bool
    service: str
    team: str
    author: str
    example: str
    change: str


@dataclass(frozen=True, slots=True)
class Simulation:
    """`events` in the order of arrival, `changes` and `fixes` in the order of time, and the `truth` that no event shows."""

    seed: int
    start: datetime
    now: datetime
    events: list[dict[str, Any]]
    changes: list[dict[str, Any]]
    fixes: list[Fix]
    truth: Truth


class Failure(NamedTuple):
    """One failure before it is put into words; `cause` is its truth."""

    at: datetime
    order: str
    service: str
    severity: str
    environment: str
    voice: Voice
    cause: str | None


def simulate(seed: int, now: datetime, days: int = 365) -> Simulation:
    """Simulate `days` up to `now` (with a zone); the same arguments give the same result. Raises ValueError for days outside 14 to 1500."""
    if now.tzinfo is None:
        raise ValueError(f"now: {now.isoformat()} is not allowed; allowed: a time with a zone")
    if not MIN_DAYS <= days <= MAX_DAYS:
        raise ValueError(f"days: {days} is not allowed; allowed: {MIN_DAYS} to {MAX_DAYS}")
    now = now.astimezone(UTC).replace(microsecond=0)
    period = timeline.Period(now - timedelta(days=days), days * 24)
    released = {service.name: changes.releases(seed, period, service) for service in company.SERVICES}
    failures = sorted([*_planted(seed, period, released), *_oneoffs(seed, period)], key=lambda failure: (failure.at, failure.order))
    teller = Teller(seed, period, released)
    events = [teller.event(failure) for failure in failures]
    truth = Truth({event["external_id"]: failure.cause for event, failure in zip(events, failures, strict=True)})
    changed, fixes = _changes(seed, period, released, list(zip(failures, events, strict=True)))
    return Simulation(seed, period.start, now, events, changed, fixes, truth)


def _planted(seed: int, period: timeline.Period, released: dict[str, changes.Releases]) -> Iterator[Failure]:
    for cause in planted.CAUSES:
        random = wording.stream(seed, "cause", cause.key)
        born = (
            None
            if cause.born < 0
            else _first_release(released[cause.service], period.at(cause.born)) + timedelta(minutes=random.randint(4, 90))
        )
        count = 0
        for start in timeline.windows(period, cause, born, random):
            voice = _voice(random, cause)
            for at in timeline.burst(start, cause.burst, random):
                if at >= period.end:
                    break
                voice = voice if random.random() < STAYS else _voice(random, cause)
                environment = (
                    "staging" if cause.kind == "defect" and voice.source != "jira" and random.random() < 0.06 else cause.environment
                )
                severity = _severity(random, cause.severity)
                yield Failure(
                    at.replace(microsecond=0),
                    f"{cause.key}/{count:06}",
                    voice.service or cause.service,
                    severity,
                    environment,
                    voice,
                    cause.key,
                )
                count += 1


def _oneoffs(seed: int, period: timeline.Period) -> Iterator[Failure]:
    random = wording.stream(seed, "noise")
    pace = timeline.rhythm(period, "office") + timeline.rhythm(period, "flat")
    hours = random.choices(range(period.hours), weights=pace.tolist(), k=round(ONEOFFS_PER_WEEK * period.hours / 168))
    for number, (hour, found) in enumerate(zip(hours, noise.several(random, len(hours)), strict=True)):
        at = period.start + timedelta(hours=hour, seconds=random.randint(0, 3_599))
        yield Failure(at, f"~{number:06}", found.service, found.severity, found.environment, found.voice, None)


def _first_release(found: changes.Releases, moment: datetime) -> datetime:
    """The release that brings a cause: the first after the moment, or the moment itself where none follows."""
    number = found.number(moment) + 1
    return found.at[number] if number < len(found.at) else moment


def _voice(random: Random, cause: Cause) -> Voice:
    return random.choices(cause.voices, weights=[voice.weight for voice in cause.voices])[0]


def _severity(random: Random, base: str) -> str:
    step = random.choices((-1, 0, 1), weights=(5, 88, 7))[0]
    return f"p{min(max(int(base[1]) + step, 1 if base == 'p1' else 2), 4)}"


class Teller:
    """Puts failures into the words of the tools, one after the other in the order of time."""

    def __init__(self, seed: int, period: timeline.Period, released: dict[str, changes.Releases]) -> None:
        self.seed, self.period, self.released = seed, period, released
        self.drift = wording.Drift(seed)
        self.counters = tools.Counters()

    def event(self, failure: Failure) -> dict[str, Any]:
        """The failure as a record of the ingest."""
        random = wording.stream(self.seed, "words", failure.order)
        service, team = company.SERVICE[failure.service], company.TEAM[company.SERVICE[failure.service].team]
        number = self.released[service.name].number(failure.at)
        version = self.released[service.name].versions[number]
        words = wording.Words(random, service=service.name, at=failure.at, release=number, version=version, drift=self.drift)
        words.values |= {"team": team.name, "project": team.project, "person": random.choice(team.people), "service": service.name}
        words.values["branch"] = words.fill(random.choice(tools.BRANCHES))
        voice, tool = failure.voice, tools.TOOLS[failure.voice.source]
        made = self._texts(voice, words, random)
        made["external_id"] = self.counters.id(voice.source, tools.Seen(random, service.name, made["title"], failure.at))
        made |= {"source": voice.source, "kind": tool.kind, "severity": failure.severity, "service": service.name, "team": team.name}
        made |= {"environment": failure.environment, "release": version, "source_created_at": _iso(failure.at)}
        made["external_url"] = tool.url.format(id=made["external_id"], service=service.name)
        made["metadata"] = {name: words.fill(text) for name, text in tool.metadata.items()}
        made |= self._course(failure, tool, random)
        return made

    def _texts(self, voice: Voice, words: wording.Words, random: Random) -> dict[str, Any]:
        title, trace, error = voice.title, voice.trace, voice.error
        if voice.wraps and random.random() < WRAPPED:
            trace = wording.wrapped(trace, voice.wraps)
            if voice.source == "sentry" and ": " in voice.wraps:  # its title is the outermost exception
                error, _, message = voice.wraps.partition(": ")
                title = f"{error.rpartition('.')[2]}: {message}"
        made = {"title": words.fill(title)[:300]}
        for field, text in (("body", voice.body), ("error_type", error), ("stacktrace", trace)):
            if text:
                made[field] = words.fill(text)
        return made

    def _course(self, failure: Failure, tool: tools.Tool, random: Random) -> dict[str, Any]:
        """How it went on: acknowledged, resolved, and where that leaves it at the end of the period."""
        passed = (failure.at - self.period.start) / (self.period.end - self.period.start)
        pace = 1.3 - 0.5 * passed  # the company gets better at it over the period
        night = 1.7 if failure.at.hour >= 22 or failure.at.hour < 6 else 1.0
        acknowledged: datetime | None = None
        if tool.acknowledges:
            minutes = MINUTES_TO_ACKNOWLEDGE[failure.severity] * (12.0 if failure.voice.source == "jira" else 1.0)
            acknowledged = failure.at + timedelta(minutes=random.lognormvariate(math.log(minutes * pace * night), 0.8))
        hours = HOURS_TO_RESOLVE[tool.kind][failure.severity]
        resolved: datetime | None = (acknowledged or failure.at) + timedelta(hours=random.lognormvariate(math.log(hours * pace), 0.9))
        if tool.kind == "defect" and random.random() < NEVER_RESOLVED[failure.severity]:
            resolved = None
        made: dict[str, Any] = {"status": "open"}
        updated = failure.at
        if acknowledged is not None and acknowledged < self.period.end:
            made |= {"status": "mitigating", "acknowledged_at": _iso(acknowledged)}
            updated = acknowledged
        if resolved is not None and resolved < self.period.end:
            long_ago = self.period.end - resolved > timedelta(days=14)
            made |= {"status": "closed" if long_ago and random.random() < 0.6 else "resolved", "resolved_at": _iso(resolved)}
            updated = resolved
        made["source_updated_at"] = _iso(updated)
        return made


def _changes(
    seed: int, period: timeline.Period, released: dict[str, changes.Releases], told: list[tuple[Failure, dict[str, Any]]]
) -> tuple[list[dict[str, Any]], list[Fix]]:
    made = changes.others(seed, period)
    for service in company.SERVICES:
        made.extend(changes.deploys(seed, service, released[service.name]))
    repairs: list[tuple[Cause, Repair, dict[str, Any], str]] = []
    for cause in planted.CAUSES:
        for number, (repair, at) in enumerate(zip(cause.repairs, timeline.claims(period, cause), strict=True)):
            example = next(
                (event["external_id"] for failure, event in reversed(told) if failure.cause == cause.key and failure.at <= at), None
            )
            if example is None:  # nobody fixes what has not failed yet
                continue
            author = wording.stream(seed, "fix", cause.key, str(number)).choice(company.TEAM[company.SERVICE[cause.service].team].people)
            change = changes.change("fix", cause.service, repair.title, at, author=author, fixes=cause.key)
            made.append(change)
            repairs.append((cause, repair, change, example))
    made.sort(key=lambda change: (change["occurred_at"], change["service"], change["title"]))
    for number, change in enumerate(made, 1):
        change["external_id"] = f"chg-{number:05}"
    fixes = [
        Fix(
            cause.key, change["occurred_at"], repair.title, repair.description, repair.type, repair.effort, repair.holds,
            cause.service, change["team"], change["author"], example, change["external_id"],
        )
        for cause, repair, change, example in sorted(repairs, key=lambda item: item[2]["external_id"])
    ]  # fmt: skip
    for change in made:
        change["occurred_at"] = _iso(change["occurred_at"])
    return made, fixes


def _iso(moment: datetime) -> str:
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
