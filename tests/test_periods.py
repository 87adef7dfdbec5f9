"""Periods: whole days of the workspace's own clock, compared with the same stretch before, over every change of the clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfix.metrics import periods

ZONES = st.sampled_from(
    ["UTC", "Europe/Paris", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Kiritimati", "Africa/Casablanca"]
)
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2099, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))  # noqa: DTZ001 - hypothesis wants it so


def test_seven_days_end_with_today() -> None:
    made = periods.last(7, datetime(2026, 3, 16, 10, 30, tzinfo=UTC), "UTC")
    assert (made.start, made.end) == (datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 16, 10, 30, tzinfo=UTC))
    assert (made.previous_start, made.previous_end) == (datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 9, 10, 30, tzinfo=UTC))
    shown = made.shown()
    assert (str(shown.start), str(shown.end), shown.label) == ("2026-03-10", "2026-03-16", "Last 7 days")
    assert (str(made.sql["first_day"]), str(made.sql["last_day"])) == ("2026-03-10", "2026-03-16")


def test_a_day_begins_at_midnight_of_the_workspace() -> None:
    made = periods.last(1, datetime(2026, 3, 16, 3, 0, tzinfo=UTC), "America/New_York")
    assert made.start == datetime(2026, 3, 15, 4, 0, tzinfo=UTC)
    assert made.shown().label == "Today"
    assert str(made.shown().end) == "2026-03-15"


def test_a_change_of_the_clock_inside() -> None:
    """The clocks of Paris went forward on 29 March 2026: seven days have 167 hours."""
    made = periods.last(7, datetime(2026, 4, 1, 21, 59, 59, tzinfo=UTC), "Europe/Paris")
    assert made.start == datetime(2026, 3, 25, 23, 0, tzinfo=UTC)
    assert made.previous_start == datetime(2026, 3, 18, 23, 0, tzinfo=UTC)
    assert made.previous_end == datetime(2026, 3, 25, 22, 59, 59, tzinfo=UTC)


@given(st.integers(1, 366), MOMENTS, ZONES)
def test_periods_are_whole_days_side_by_side(days: int, as_of: datetime, zone: str) -> None:
    made = periods.last(days, as_of, zone)
    local = ZoneInfo(zone)
    assert made.previous_start < made.start <= made.end == as_of
    assert made.previous_end <= made.start + timedelta(hours=3), "the stretch before ends with the period's begin, but for a changed clock"
    shown = made.shown()
    assert (shown.end - shown.start).days == days - 1
    assert (shown.start - shown.previous_start).days == days
    for moment in (made.start, made.previous_start):
        wall = moment.astimezone(local)
        assert (wall.hour, wall.minute) == (0, 0) or wall.utcoffset() != (wall - timedelta(hours=3)).utcoffset()


@pytest.mark.parametrize("days", [1, 7, 30, 90, 366])
def test_the_length_is_kept(days: int) -> None:
    assert periods.last(days, datetime(2026, 3, 16, tzinfo=UTC), "UTC").sql["days"] == days
