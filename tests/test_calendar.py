"""When schedules fire: every zone, every change of the clock, nothing missed and nothing doubled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfix.errors import Invalid
from everfix.reports import calendar

START, END = datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)


def changes(name: str) -> Iterator[datetime]:
    """Yield the instants from 2024 to 2030 at which a zone's clock changes, to the minute."""
    place = ZoneInfo(name)
    at, step = START, timedelta(days=3)
    while at < END:
        if at.astimezone(place).utcoffset() != (at + step).astimezone(place).utcoffset():
            low, high = at, at + step
            while high - low > timedelta(minutes=1):
                middle = low + timedelta(minutes=(high - low) // timedelta(minutes=2))
                if middle.astimezone(place).utcoffset() == low.astimezone(place).utcoffset():
                    low = middle
                else:
                    high = middle
            yield high
        at += step


def offset(name: str, at: datetime) -> timedelta:
    return at.astimezone(ZoneInfo(name)).utcoffset() or timedelta()


def distinct() -> list[tuple[str, list[datetime]]]:
    """Return each set of changes once, with a zone that has it."""
    seen: dict[tuple[object, ...], tuple[str, list[datetime]]] = {}
    for name in sorted(available_timezones() - {"localtime"}):
        found = list(changes(name))
        offsets = tuple(at.astimezone(ZoneInfo(name)).utcoffset() for at in (START, *found))
        seen.setdefault((*found, *offsets), (name, found))
    return list(seen.values())


ZONES = distinct()
TRANSITIONS = [(name, at) for name, found in ZONES for at in found]


def minutes(name: str, start: datetime, end: datetime) -> list[datetime]:
    """Return every minute as the wall clock of a zone shows it."""
    place = ZoneInfo(name)
    return [(start + timedelta(minutes=n)).astimezone(place) for n in range(int((end - start) / timedelta(minutes=1)))]


def test_there_are_zones_and_changes() -> None:
    assert len(available_timezones()) > 400
    assert len(ZONES) > 60
    assert len(TRANSITIONS) > 300


def by_definition(name: str, start: datetime, end: datetime, hour: int, minute: int) -> list[datetime]:
    """Walk the real wall clock minute by minute: each day's time fires at the first minute that is at it or past it."""
    walk = [(local.astimezone(UTC), local.replace(tzinfo=None)) for local in minutes(name, start, end)]
    first, last = walk[0][1].date(), walk[-1][1].date()
    wanted = [datetime.combine(first + timedelta(days=n), time(hour, minute)) for n in range((last - first).days + 1)]
    found = [next((at for at, wall in walk if wall >= want), None) for want in wanted]
    return sorted({at for at in found if at is not None and at > start})


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=st.sampled_from(TRANSITIONS), hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_daily_time_fires_once_a_day_over_every_change(case: tuple[str, datetime], hour: int, minute: int) -> None:
    name, at = case
    start, end = at - timedelta(hours=30), at + timedelta(hours=30)
    found = [fire.at for fire in islice(calendar.fires(f"{minute} {hour} * * *", name, start), 8) if fire.at < end]
    assert found == by_definition(name, start, end, hour, minute), (name, at)


@pytest.mark.parametrize("minute", [0, 15, 30, 59])
def test_every_transition_of_every_zone_at_the_very_hour(minute: int) -> None:
    """The times that the clock skips or repeats, for each transition there is: 0 missed, 0 doubled."""
    for name, at in TRANSITIONS:
        place = ZoneInfo(name)
        for local in {(at - timedelta(minutes=60)).astimezone(place), (at + timedelta(minutes=1)).astimezone(place)}:
            for hour in {local.hour, (local.hour + 1) % 24, (local.hour - 1) % 24}:
                found = [fire.at for fire in calendar.next_fires(f"{minute} {hour} * * *", name, at - timedelta(days=2), 4)]
                gaps = [later - earlier for earlier, later in pairwise(found)]
                assert near(found[-1] - found[0], 3), (name, at, hour, found)
                assert all(near(gap, 1) for gap in gaps), (name, at, hour, found)


def near(gap: timedelta, days: int) -> bool:
    """Tell whether a gap is so many days long, give or take a change of the clock by up to two hours."""
    return abs(gap - timedelta(days=days)) <= timedelta(hours=2)


def test_an_hourly_schedule_goes_by_elapsed_time() -> None:
    for name, at in TRANSITIONS:
        found = calendar.next_fires("0 * * * *", name, at - timedelta(hours=5), 10)
        gaps = {later.at - earlier.at for earlier, later in pairwise(found)}
        shift = abs(offset(name, at + timedelta(hours=1)) - offset(name, at - timedelta(hours=1)))
        whole = shift % timedelta(hours=1) == timedelta() and at.astimezone(ZoneInfo(name)).minute == 0
        assert max(gaps) <= timedelta(hours=1, minutes=30), (name, at, found)
        assert min(gaps) > timedelta(), (name, at)
        if whole:
            assert gaps == {timedelta(hours=1)}, (name, at, found)


@settings(max_examples=120, deadline=None)
@given(
    case=st.sampled_from(TRANSITIONS),
    cron=st.sampled_from(["*/30 1-3 * * *", "15 2-3 * * *", "0 */2 * * *", "*/15 * * * *", "0 0 * * *", "59 23 * * *", "0,30 0-2 * * *"]),
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=12),
)
def test_wherever_one_starts_the_firings_are_the_same(case: tuple[str, datetime], cron: str, steps: list[int]) -> None:
    """A tick computes the next firing from any moment: jumping through them meets each of the long list, none twice."""
    name, at = case
    start = at - timedelta(hours=30)
    whole = [fire.at for fire in islice(calendar.fires(cron, name, start), 300)]
    assert whole == sorted(set(whole))
    moment = start
    for step in steps:
        moment += timedelta(minutes=step)
        expected = next(fire for fire in whole if fire > moment)
        assert calendar.next_fires(cron, name, moment, 1)[0].at == expected, (name, moment, cron)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 9 * * MON", "America/New_York", "2026-03-04T00:00:00+00:00", ["2026-03-09T13:00:00+00:00", "2026-03-16T13:00:00+00:00"]),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00:00+00:00", ["2026-03-08T07:00:00+00:00", "2026-03-09T06:30:00+00:00"]),
        ("30 1 * * *", "America/New_York", "2026-10-31T12:00:00+00:00", ["2026-11-01T05:30:00+00:00", "2026-11-02T06:30:00+00:00"]),
        ("30 1 * * *", "America/New_York", "2026-11-01T06:10:00+00:00", ["2026-11-02T06:30:00+00:00"]),
        ("*/30 2 * * *", "America/New_York", "2026-03-08T00:00:00+00:00", ["2026-03-08T07:00:00+00:00", "2026-03-09T06:00:00+00:00"]),
        ("0 9 L * *", "UTC", "2026-02-01T00:00:00+00:00", ["2026-02-28T09:00:00+00:00", "2026-03-31T09:00:00+00:00"]),
        ("0 9 * * MON#1", "UTC", "2026-03-03T00:00:00+00:00", ["2026-04-06T09:00:00+00:00"]),
        ("0 9 * * 5L", "UTC", "2026-03-03T00:00:00+00:00", ["2026-03-27T09:00:00+00:00"]),
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+00:00", ["2026-10-03T15:30:00+00:00", "2026-10-04T15:15:00+00:00"]),
        ("0 0 29 2 *", "UTC", "2026-03-01T00:00:00+00:00", ["2028-02-29T00:00:00+00:00"]),
        ("Weekly Mon 8am", "Europe/Berlin", "2026-11-25T00:00:00+00:00", ["2026-11-30T07:00:00+00:00"]),
    ],
)
def test_known_firings(cron: str, zone: str, after: str, expected: list[str]) -> None:
    found = calendar.next_fires(cron, zone, datetime.fromisoformat(after), len(expected))
    assert [fire.at.isoformat() for fire in found] == expected


def test_a_change_of_the_clock_is_said() -> None:
    found = calendar.next_fires("0 9 * * *", "Europe/Berlin", datetime(2026, 10, 23, 12, tzinfo=UTC), 3)
    assert [fire.note for fire in found] == ["", "the clock goes back by 1 h on this day", ""]
    assert [fire.local.hour for fire in found] == [9, 9, 9]
    assert [fire.at.hour for fire in found] == [7, 8, 8]
    assert calendar.next_fires("0 9 * * *", "Australia/Lord_Howe", datetime(2026, 10, 3, 0, tzinfo=UTC), 1)[0].note.endswith(
        "30 min on this day"
    )


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("", "five fields"),
        ("0 9 * *", "five fields"),
        ("0 0 9 * * *", "five fields"),
        ("@daily", "five fields"),
        ("61 9 * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 9 32 * *", "bad day-of-month"),
        ("0 9 * 13 *", "bad month"),
        ("0 9 * * 8", "bad day-of-week"),
        ("0 9 * * MON#6", "bad day-of-week"),
        ("0 9 * * L", "bad day-of-week"),
        ("0 9 30 2 *", "bad day-of-month"),
        ("0 9-5 * * *", "bad hour"),
        ("*/0 9 * * *", "bad minute"),
        ("0 9 L/x * *", "bad"),
        ("0 9 L-3 * *", "bad"),
        ("0 9 MON#1/2 * *", "bad"),
        ("0 9 * * MON#1/2", "cron"),
        ("0 9 * * 5L/2", "cron"),
        ("٣ 9 * * *", "bad minute"),
    ],
)
def test_a_wrong_expression_is_refused_in_words(cron: str, words: str) -> None:
    with pytest.raises(Invalid, match=words) as caught:
        calendar.check(cron)
    assert "five fields" in caught.value.details["cron"]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="0123456789*/-,#LWMONFRIJA ", max_size=24) | st.text(max_size=30))
def test_any_text_is_read_or_refused(cron: str) -> None:
    try:
        found = calendar.next_fires(cron, "Europe/Paris", START, 2)
    except Invalid:
        return
    assert found[0].at > START


@pytest.mark.parametrize("name", ["", "Mars/Base", "utc ", "Europe/../Paris", "localtime\x00", "x" * 300])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(Invalid, match="no IANA time zone"):
        calendar.next_fires("0 9 * * *", name, START)


def test_business_days_and_holidays() -> None:
    weekdays = calendar.workdays({"business_days": True})
    found = calendar.next_fires("0 9 * * *", "UTC", datetime(2026, 11, 26, 12, tzinfo=UTC), 3, weekdays)
    assert [fire.at.day for fire in found] == [27, 30, 1]
    german = calendar.workdays({"business_days": True, "country": "de", "subdivision": "BY", "dates": ["2026-12-24"]})
    found = calendar.next_fires("0 9 * * *", "Europe/Berlin", datetime(2026, 12, 22, 12, tzinfo=UTC), 3, german)
    assert [fire.local.date() for fire in found] == [date(2026, 12, 23), date(2026, 12, 28), date(2026, 12, 29)]
    moved = calendar.workdays({"business_days": True, "country": "US", "otherwise": "next"})
    found = calendar.next_fires("0 9 1 * *", "America/New_York", datetime(2026, 10, 15, tzinfo=UTC), 4, moved)
    assert [fire.local.date().isoformat() for fire in found] == ["2026-11-02", "2026-12-01", "2027-01-04", "2027-02-01"]
    assert calendar.next_fires("0 9 1 * *", "America/New_York", datetime(2027, 1, 2, tzinfo=UTC), 1, moved)[0].local.date() == date(
        2027, 1, 4
    )


def test_several_days_moved_to_one_fire_once_each_time() -> None:
    moved = calendar.workdays({"business_days": True, "otherwise": "next"})
    found = calendar.next_fires("0 8,17 * * *", "UTC", datetime(2026, 11, 27, 18, tzinfo=UTC), 4, moved)
    assert [(fire.at.day, fire.at.hour) for fire in found] == [(30, 8), (30, 17), (1, 8), (1, 17)]


def test_what_never_fires_is_refused() -> None:
    with pytest.raises(Invalid, match="never fires"):
        calendar.next_fires("* * * * SAT", "UTC", START, 1, calendar.workdays({"business_days": True}))


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"business_days": "yes"}, "business_days"),
        ({"country": "XX"}, "country"),
        ({"country": 4}, "country"),
        ({"subdivision": "BY"}, "country"),
        ({"country": "DE", "subdivision": "ZZ"}, "subdivision"),
        ({"dates": ["soon"]}, "dates"),
        ({"dates": "2026-01-01"}, "dates"),
        ({"otherwise": "previous"}, "otherwise"),
        ({"hollidays": 1}, "hollidays"),
    ],
)
def test_a_wrong_calendar_is_refused(given_: dict[str, object], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        calendar.workdays(given_)
