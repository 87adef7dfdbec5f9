"""Calendar: when a schedule fires. Pure: a cron expression, an IANA zone and a rule for business days become instants.

The rule at clock changes: a time that the clock skips fires at the first minute that exists; a time that it shows twice fires once,
at the first. Only a schedule for every hour of the day goes by elapsed time and fires in both.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, islice
from zoneinfo import ZoneInfo, available_timezones

import holidays
from cronsim import CronSim, CronSimError

from everfix.core.db import Json
from everfix.errors import Invalid

PRESETS = {"Daily 8am": "0 8 * * *", "Weekly Mon 8am": "0 8 * * MON", "Monthly 1st 8am": "0 8 1 * *"}
CRON_ALLOWED = (
    "five fields: minute 0-59, hour 0-23, day of month 1-31 or L, month 1-12 or JAN-DEC, weekday 0-7 or SUN-SAT, also MON#1 and 5L;"
    " each with *, lists, ranges and steps"
)
ZONE_ALLOWED = "an IANA name like Europe/Paris"
LONGEST_CRON = 200
HORIZON = timedelta(days=366 * 9)  # 29 February can be eight years away
EVERY_HOUR = set(range(24))
ROLLS = ("skip", "next")
WEEKEND = (5, 6)
MOST_DATES = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Fire:
    """One firing: the instant, and what to know about the clock on that day ("" on an ordinary day)."""

    at: datetime
    local: datetime
    note: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Workdays:
    """Which days count, and what becomes of a firing on another: dropped (`skip`), or moved to the `next` day that counts."""

    business: bool = False
    country: str | None = None
    subdivision: str | None = None
    dates: frozenset[date] = frozenset()
    roll: str = "skip"

    def open(self, day: date) -> bool:
        """Tell whether a schedule may fire on `day`."""
        if day in self.dates:
            return False
        if self.country is not None:
            known = _holidays(self.country, self.subdivision)
            return day not in known and not (self.business and known.is_weekend(day))
        return not (self.business and day.weekday() in WEEKEND)

    @property
    def bound(self) -> bool:
        return self.business or self.country is not None or bool(self.dates)


@functools.lru_cache(maxsize=64)
def _holidays(country: str, subdivision: str | None) -> holidays.HolidayBase:
    return holidays.country_holidays(country, subdiv=subdivision)


EVERY_DAY = Workdays()


def workdays(given: Json) -> Workdays:
    """Read `{"business_days", "country", "subdivision", "dates", "otherwise"}`; raises Invalid naming the field."""
    unknown = sorted(set(given) - {"business_days", "country", "subdivision", "dates", "otherwise"})
    if unknown:
        raise Invalid(
            f"calendar has no field {unknown[0][:40]!r}", details={"calendar": "business_days, country, subdivision, dates, otherwise"}
        )
    business, country, subdivision = given.get("business_days", False), given.get("country"), given.get("subdivision")
    roll = given.get("otherwise", "skip")
    if not isinstance(business, bool):
        raise Invalid("calendar.business_days must be true or false", details={"calendar.business_days": "true or false"})
    if roll not in ROLLS:
        raise Invalid(f"calendar.otherwise: {str(roll)[:40]!r} is not allowed", details={"calendar.otherwise": "skip or next"})
    return Workdays(business, *_place(country, subdivision), _dates(given.get("dates") or []), roll)


def _place(country: object, subdivision: object) -> tuple[str | None, str | None]:
    if country is None:
        if subdivision is not None:
            raise Invalid("calendar.subdivision needs a country", details={"calendar.country": "an ISO 3166 code like DE"})
        return None, None
    known = holidays.list_supported_countries(include_aliases=False)
    if not isinstance(country, str) or country.upper() not in known:
        raise Invalid(
            f"calendar.country: {str(country)[:40]!r} is not known", details={"calendar.country": "an ISO 3166 code like DE, US or JP"}
        )
    parts = known[country.upper()]
    if subdivision is not None and subdivision not in parts:
        allowed = ", ".join(parts[:20]) or "none"
        raise Invalid(
            f"calendar.subdivision: {str(subdivision)[:40]!r} is not known", details={"calendar.subdivision": f"one of {allowed}"}
        )
    return country.upper(), str(subdivision) if subdivision is not None else None


def _dates(given: object) -> frozenset[date]:
    allowed = {"calendar.dates": f"at most {MOST_DATES} days like 2026-12-24"}
    if not isinstance(given, list) or len(given) > MOST_DATES:
        raise Invalid("calendar.dates must be a list of days", details=allowed)
    try:
        return frozenset(date.fromisoformat(str(item)) for item in given)
    except ValueError as problem:
        raise Invalid(f"calendar.dates: {problem}", details=allowed) from problem


def zone(name: str) -> ZoneInfo:
    """Return the zone of that name; raises Invalid."""
    if name not in _zones():
        raise Invalid(f"{name[:60]!r} is no IANA time zone", details={"timezone": ZONE_ALLOWED})
    return ZoneInfo(name)


@functools.lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def check(cron: str) -> str:
    """Return the expression in upper case with single spaces; raises Invalid naming the field that is wrong."""
    plain = " ".join(cron.upper().split())
    named = PRESETS.get(cron.strip())
    if named is not None:
        return named
    if len(plain) > LONGEST_CRON or len(plain.split(" ")) != 5:
        raise Invalid(f"cron {cron[:60]!r} does not have five fields", details={"cron": CRON_ALLOWED})
    _parsed(plain, datetime(2024, 1, 1))  # noqa: DTZ001 - wall-clock time
    return plain


def _parsed(cron: str, start: datetime) -> CronSim:
    try:
        return CronSim(cron, start)
    except CronSimError as problem:
        raise Invalid(f"cron {cron[:60]!r}: {str(problem).lower()}", details={"cron": CRON_ALLOWED}) from problem
    except (ValueError, AssertionError, IndexError, TypeError) as problem:  # the library meets these on odd mixtures such as L-3
        raise Invalid(f"cron {cron[:60]!r} cannot be read", details={"cron": CRON_ALLOWED}) from problem


def fires(cron: str, timezone: str, after: datetime, days: Workdays = EVERY_DAY) -> Iterator[Fire]:
    """Yield every firing after the instant `after`, in order, each instant once; ends when none comes within nine years.

    1. The library counts through wall-clock times, without a zone.
    2. The calendar drops or moves days.
    3. Each wall-clock time becomes one instant (two, where an hour that the clock repeats belongs to a schedule for every hour).
    """
    place = zone(timezone)
    expression = check(cron)
    twice = _parsed(expression, datetime(2024, 1, 1)).hours == EVERY_HOUR  # noqa: DTZ001 - wall-clock time
    start = _start(after, place, days)
    last = after
    held: list[datetime] = []
    for _, walls in groupby(_walls(expression, start, days), key=lambda wall: wall.date()):
        found = {instant for wall in walls for instant in instants(wall, place, twice=twice)}
        ready, held = [at for at in held if not found or at <= min(found)], [at for at in held if found and at > min(found)]
        for at in ready:
            if at > last:
                last = at
                yield _fire(at, place)
        held = sorted({*held, *found})
    for at in held:
        if at > last:
            yield _fire(at, place)


def _walls(cron: str, start: datetime, days: Workdays) -> Iterator[datetime]:
    sim, until = _parsed(cron, start), start + HORIZON
    while (wall := next(sim, None)) is not None and wall <= until:
        day = wall.date()
        if days.bound and not days.open(day):
            if days.roll == "skip":
                sim = _parsed(cron, datetime.combine(day, time(23, 59, 59)))
                continue
            while not days.open(day) and day <= until.date():
                day += timedelta(days=1)
        yield datetime.combine(day, wall.time())


def _start(after: datetime, place: ZoneInfo, days: Workdays) -> datetime:
    """Return a wall-clock time before which nothing can still become a firing after `after`."""
    back = after.astimezone(place).utcoffset(), (after + timedelta(days=1)).astimezone(place).utcoffset()
    repeated = max(timedelta(), (back[0] or timedelta()) - (back[1] or timedelta()))  # the clock is about to go back so far
    wall = after.astimezone(place).replace(tzinfo=None, fold=0) - repeated
    if days.bound and days.roll == "next":
        day, first = wall.date() - timedelta(days=1), wall.date() - timedelta(days=366)
        while not days.open(day) and day > first:
            day -= timedelta(days=1)
        return datetime.combine(day, time())
    return wall


def instants(wall: datetime, place: ZoneInfo, *, twice: bool = False) -> list[datetime]:
    """Return the instants at which a wall-clock time is to fire, by the rule at the top of this file."""
    first, second = (wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(place).replace(tzinfo=None) != wall:  # the clock skips it: fold 1 reads it by the offset after the gap
        return [_end_of_gap(second, first, place)]
    return [first, second] if twice and second > first else [first]


def _end_of_gap(low: datetime, high: datetime, place: ZoneInfo) -> datetime:
    """Return the first minute after the change of the clock between two instants."""
    before = low.astimezone(place).utcoffset()
    while high - low > timedelta(minutes=1):
        middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
        if middle.astimezone(place).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def _fire(at: datetime, place: ZoneInfo) -> Fire:
    local = at.astimezone(place)
    return Fire(at, local, _note(local, place))


def _note(local: datetime, place: ZoneInfo) -> str:
    """Say what the clock does on this local day."""
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    before = (midnight.astimezone(UTC) - timedelta(seconds=1)).astimezone(place).utcoffset() or timedelta()
    tomorrow = datetime.combine(local.date() + timedelta(days=1), time(), tzinfo=place)
    after = tomorrow.astimezone(UTC).astimezone(place).utcoffset() or timedelta()
    if before == after:
        return ""
    way, by = ("forward", after - before) if after > before else ("back", before - after)
    minutes = int(by.total_seconds() // 60)
    length = f"{minutes // 60} h" if minutes % 60 == 0 else f"{minutes} min"
    return f"the clock goes {way} by {length} on this day"


def next_fires(cron: str, timezone: str, after: datetime, n: int = 10, days: Workdays = EVERY_DAY) -> list[Fire]:
    """Return the next `n` firings after `after`; raises Invalid naming the field that is wrong, and when it would never fire."""
    found = list(islice(fires(cron, timezone, after, days), n))
    if not found:
        raise Invalid(f"cron {cron[:60]!r} never fires", details={"cron": "an expression that fires within nine years"})
    return found


def described(fires_: Sequence[Fire]) -> list[Json]:
    """Return firings as the API shows them."""
    return [{"utc": fire.at.isoformat(), "local": fire.local.isoformat(), "note": fire.note} for fire in fires_]
