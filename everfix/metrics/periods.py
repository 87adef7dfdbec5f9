"""Periods: the days a figure is about, in the workspace's time zone, and the equal stretch before them."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from everfix.documents import model


@dataclasses.dataclass(frozen=True, slots=True)
class Period:
    """`start` to `end` as instants, `end` excluded. The period begins at local midnight and ends at `end`; the previous one is
    the same stretch of the wall clock, one period earlier, so that a half day is compared with a half day.
    """

    start: datetime
    end: datetime
    previous_start: datetime
    previous_end: datetime
    days: int
    timezone: str
    label: str = ""

    @property
    def sql(self) -> dict[str, object]:
        """Return the parameters that every source's query may use."""
        return {
            "start": self.start,
            "end": self.end,
            "previous_start": self.previous_start,
            "previous_end": self.previous_end,
            "days": self.days,
            "timezone": self.timezone,
            "first_day": self._day(self.start),
            "last_day": self._day(self.end),
        }

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.timezone)).date()

    def shown(self) -> model.Period:
        """Return the period as a Document prints it."""
        return model.Period(
            start=self._day(self.start),
            end=self._day(self.end),
            previous_start=self._day(self.previous_start),
            previous_end=self._day(self.previous_end),
            label=self.label or (f"Last {self.days} days" if self.days != 1 else "Today"),
            timezone=self.timezone,
        )


def last(days: int, as_of: datetime, timezone: str) -> Period:
    """Return the `days` calendar days that end with the day of `as_of`."""
    zone = ZoneInfo(timezone)
    local = as_of.astimezone(zone)
    first = local.date() - timedelta(days=days - 1)
    before = first - timedelta(days=days)
    end_before = local.replace(tzinfo=None) - timedelta(days=days)
    return Period(
        start=_instant(datetime.combine(first, time()), zone),
        end=as_of,
        previous_start=_instant(datetime.combine(before, time()), zone),
        previous_end=_instant(end_before, zone),
        days=days,
        timezone=timezone,
    )


def hours(period: Period, length: int) -> Period:
    """Return the `length` hours that end where the period ends, and as many before them."""
    start = period.end - timedelta(hours=length)
    return dataclasses.replace(
        period, start=start, previous_start=start - timedelta(hours=length), previous_end=start, days=max(1, length // 24)
    )


def against(period: Period, days: int) -> Period:
    """Return the period with the `days` days right before it to be compared with."""
    zone = ZoneInfo(period.timezone)
    first = period.start.astimezone(zone).replace(tzinfo=None) - timedelta(days=days)
    return dataclasses.replace(period, previous_start=_instant(first, zone), previous_end=period.start)


def between(first: date, last: date, timezone: str) -> Period:
    """Return the calendar days from `first` to `last`, both included; it ends with the last microsecond of the last."""
    zone, days, moment = ZoneInfo(timezone), (last - first).days + 1, timedelta(microseconds=1)
    starts = [_instant(datetime.combine(day, time()), zone) for day in (first - timedelta(days=days), first, last + timedelta(days=1))]
    label = f"{first.day} {first:%b %Y}" + ("" if days == 1 else f" to {last.day} {last:%b %Y}")
    return Period(
        start=starts[1],
        end=starts[2] - moment,
        previous_start=starts[0],
        previous_end=starts[1] - moment,
        days=days,
        timezone=timezone,
        label=label,
    )


def _instant(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)
