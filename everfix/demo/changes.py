"""What the company changes: deploys with versions that count up, flags, configuration, and the roll-outs of fixes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from everfix.demo import company, timeline, wording

SUBJECTS = (
    "Show unit prices in the {page}",
    "Remove the old {page} banner",
    "Bump dependencies",
    "Tidy up logging",
    "Faster first paint of the {page}",
    "Read {noun} from the replica",
    "Add metrics for {noun}",
    "Translate the {page}",
    "Rename {noun} to {noun2}",
    "Delete dead {noun} code",
    "New wording in the {page}",
    "Paginate {noun}",
    "Cache {noun} for a minute",
    "Allow two {noun} per household",
    "Refactor {noun} client",
    "Validate {noun} on input",
    "Experiment: shorter {page}",
    "Update base image",
    "Move {noun} to the new schema",
    "Log less in {noun}",
)
NOUNS = (
    "vouchers",
    "slots",
    "addresses",
    "substitutes",
    "receipts",
    "recipes",
    "crates",
    "refunds",
    "stock levels",
    "tariffs",
    "routes",
    "households",
)
FLAGS = (
    "new-basket",
    "slot-ranking-v2",
    "express-checkout",
    "recipe-kits",
    "dark-mode",
    "bulk-picking",
    "price-per-unit",
    "smart-substitutes",
)
SETTINGS = (
    "Raise replicas of {service} from {3-5} to {6-9}",
    "Lower log level of {service}",
    "New node type for {region}",
    "Rotate credentials of {service}",
    "CPU limit of {service} to {2-4}",
    "Upgrade cluster of {region} to 1.{30-34}",
    "Connection limit of {service} to {100-400}",
)


@dataclass(slots=True)
class Releases:
    """The releases of one service in order: when, and which version runs from then on."""

    at: list[datetime] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)

    def number(self, moment: datetime) -> int:
        """How many releases were out at this moment, the one before the period included."""
        return bisect_right(self.at, moment) - 1


def working_hour(random: Random, day: datetime) -> datetime:
    """A moment of a working day, most often in the late morning or the early afternoon."""
    minutes = int(random.triangular(7.5 * 60, 17 * 60, 11 * 60))
    return day.replace(hour=minutes // 60, minute=minutes % 60, second=random.randint(0, 59), microsecond=0)


def releases(seed: int, period: timeline.Period, service: company.Service) -> Releases:
    """Give a service its releases: none at weekends, few on Fridays."""
    random = wording.stream(seed, "releases", service.name)
    major, minor, patch = service.major, service.minor, 0
    found = Releases([period.start - timedelta(days=3)], [f"{major}.{minor}.{patch}"])
    for number in range(period.hours // 24 + 1):
        day = period.start + timedelta(days=number)
        chance = service.releases / 4.4 * (0.4 if day.weekday() == 4 else 1.0)
        moment = working_hour(random, day)
        if day.weekday() >= 5 or timeline.holiday(day) or random.random() >= chance or not period.start < moment < period.end:
            continue
        minor, patch = (minor + 1, 0) if random.random() < 0.3 else (minor, patch + 1)
        found.at.append(moment)
        found.versions.append(f"{major}.{minor}.{patch}")
    return found


def deploys(seed: int, service: company.Service, found: Releases) -> list[dict[str, Any]]:
    """The releases of a service as changes."""
    random = wording.stream(seed, "deploys", service.name)
    people = company.TEAM[service.team].people
    return [
        change(
            "release" if version.endswith(".0") else "deploy",
            service.name,
            f"{service.name} {version}: {_subject(random)}",
            at,
            author=random.choice(people),
            version=version,
        )
        for at, version in zip(found.at[1:], found.versions[1:], strict=True)
    ]


def others(seed: int, period: timeline.Period) -> list[dict[str, Any]]:
    """Flags and configuration, about three a week."""
    random = wording.stream(seed, "others")
    made = []
    for number in range(period.hours // 24 + 1):
        at = working_hour(random, period.start + timedelta(days=number))
        if at.weekday() >= 5 or timeline.holiday(at) or random.random() > 0.6 or not period.start < at < period.end:
            continue
        flag = random.random() < 0.45
        text = (
            f"Flag {random.choice(FLAGS)} at {random.choice((1, 5, 10, 25, 50, 100))}% in {{service}}" if flag else random.choice(SETTINGS)
        )
        service = random.choice(company.SERVICES) if "{service}" in text else company.SERVICE["edge-gateway"]  # the cluster is Platform's
        words = wording.Words(random, service=service.name, at=at, release=0, version="", drift=wording.Drift(seed))
        words.values["service"] = service.name
        author = random.choice(company.TEAM[service.team].people)
        made.append(change("flag" if flag else "config", service.name, words.fill(text), at, author=author))
    return made


def change(
    kind: str, service: str, title: str, at: datetime, *, author: str, version: str = "", fixes: str | None = None
) -> dict[str, Any]:
    """One change as a record; `fixes` is the truth and belongs to no event. Its id is given when all are in order."""
    owner = company.SERVICE[service].team
    return {
        "kind": kind,
        "service": service,
        "team": owner,
        "title": title,
        "occurred_at": at,
        "author": author,
        "version": version,
        "fixes": fixes,
    }


def _subject(random: Random) -> str:
    noun, other = random.sample(NOUNS, 2)
    return random.choice(SUBJECTS).replace("{noun}", noun).replace("{noun2}", other).replace("{page}", random.choice(company.PAGES))
