"""When a cause fails: bursts whose gaps are Weibull in a time that runs with the company's week, the cause's life and its fixes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

import numpy as np
from numpy.typing import NDArray

from everfix.demo.causes import Cause, Rhythm

SHAPE = 0.6  # of the gaps in warped time; with the spells and the week, gaps in calendar time fit a Weibull of 0.7 to 0.8, as real sets do
SPELL_DAYS, SPELL_SIZE = 11.0, 1.15  # bad weeks and good ones: how long they last, and how much they matter (log scale)
QUIET_DAYS = (8.0, 22.0)  # how long a fix that does not hold looks as if it did
STRAGGLER_HOURS = 9.0  # a roll-out reaches the last instance this long after the claim
Hours = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Period:
    """The simulated time: `hours` whole hours from `start`."""

    start: datetime
    hours: int

    @property
    def end(self) -> datetime:
        return self.start + timedelta(hours=self.hours)

    def at(self, share: float) -> datetime:
        """The moment after this share of the period."""
        return self.start + timedelta(hours=self.hours * share)


def rhythm(period: Period, name: Rhythm) -> Hours:
    """Relative frequency of each hour of the period; its mean is 1."""
    first = period.start.replace(minute=0, second=0, microsecond=0)
    days = [first + timedelta(hours=24 * number) for number in range(period.hours // 24 + 2)]
    index = np.arange(period.hours) + first.hour
    hour, day = index % 24, index // 24
    weekday = np.array([date.weekday() for date in days])[day]
    number = np.array([date.day for date in days])[day]
    month = np.array([date.month for date in days])[day]
    closed = ((month == 12) & (number >= 24) & (number <= 26)) | ((month == 1) & (number == 1))
    if name == "office":
        factor = (
            np.where((weekday < 5) & (hour >= 7) & (hour < 18), 1.0, 0.1) * np.where(weekday >= 5, 0.4, 1.0) * np.where(closed, 0.2, 1.0)
        )
    elif name == "load":  # people order groceries in the evening, and most on Sunday
        curve = np.array([0.25] * 6 + [0.5, 0.8, 1.0, 1.0, 1.1, 1.2, 1.1, 1.0, 1.0, 1.2, 1.5, 1.9, 2.1, 2.0, 1.6, 1.1, 0.7, 0.4])
        factor = curve[hour] * np.where(weekday == 6, 1.35, np.where(weekday == 5, 0.8, 1.0)) * np.where(month == 12, 1.35, 1.0)
    elif name == "night":
        factor = np.where((hour >= 1) & (hour < 6), 1.0, 0.05)
    elif name == "month_end":
        factor = np.where((number >= 28) | (number <= 2), 1.0, 0.06) * np.where((hour >= 2) & (hour < 10), 2.0, 0.7)
    else:
        factor = np.ones(period.hours)
    return np.asarray(factor / factor.mean(), dtype=np.float64)


def holiday(day: datetime) -> bool:
    """Tell whether nobody works: Christmas and New Year's Day."""
    return (day.month, day.day) in {(12, 24), (12, 25), (12, 26), (1, 1)}


def claims(period: Period, cause: Cause) -> list[datetime]:
    """When each of the cause's fixes is claimed: in working hours of the first working day from its share of the period."""
    found = []
    for number, repair in enumerate(cause.repairs):
        at = period.at(repair.at).replace(second=0, microsecond=0)
        if at.hour >= 17:
            at += timedelta(days=1)
        while at.weekday() >= 5 or holiday(at):
            at += timedelta(days=1)
        found.append(min(at.replace(hour=9 + (len(repair.title) + number) % 7, minute=len(cause.key) * 7 % 60), period.end))
    return found


def life(period: Period, cause: Cause, born: datetime | None, random: Random) -> Hours:
    """How alive the cause is in each hour: born, growing or shrinking, gone by itself, quieted or ended by its fixes."""
    share = (np.arange(period.hours) + 0.5) / period.hours
    begin = 0.0 if born is None else (born - period.start).total_seconds() / 3600 / period.hours
    span = max(min(cause.ends, 1.0) - begin, 1e-9)
    alive = np.power(cause.grows, np.clip((share - begin) / span, 0.0, 1.0) - 0.5)
    alive[share < begin] = 0.0
    fading = 0.04  # of the period: nothing stops from one day to the next
    alive *= np.clip((cause.ends + fading - share) / fading, 0.0, 1.0)
    for repair, claimed in zip(cause.repairs, claims(period, cause), strict=True):
        since = share - (claimed - period.start).total_seconds() / 3600 / period.hours
        straggling = (since > 0) & (since * period.hours < STRAGGLER_HOURS)
        if repair.holds:
            alive[since > 0] *= straggling[since > 0] * 0.5
            continue
        quiet = random.uniform(*QUIET_DAYS) * 24 / period.hours
        back = np.clip((since - quiet) / max(quiet, 1e-9), 0.0, 1.0)
        alive *= np.where(since > 0, np.where(straggling, 0.5, 0.03 + 0.97 * back), 1.0)
    return np.asarray(alive, dtype=np.float64)


def spells(period: Period, random: Random) -> Hours:
    """Bad stretches and good ones: a log-normal walk that forgets within days."""
    keep = math.exp(-1 / SPELL_DAYS)
    level = random.gauss(0, 1)
    levels = [level]
    for _ in range(period.hours // 24 + 1):
        level = keep * level + math.sqrt(1 - keep * keep) * random.gauss(0, 1)
        levels.append(level)
    smooth = np.interp(np.arange(period.hours) / 24, np.arange(len(levels)), levels)
    return np.asarray(np.exp(SPELL_SIZE * smooth), dtype=np.float64)


def windows(period: Period, cause: Cause, born: datetime | None, random: Random) -> list[datetime]:
    """The beginnings of the cause's bursts."""
    alive = rhythm(period, cause.rhythm) * life(period, cause, born, random) * cause.weekly / 168
    pace = alive * spells(period, random)
    pace *= alive.sum() / max(pace.sum(), 1e-9)  # spells move failures in time and leave their number as it is
    warped = np.concatenate([[0.0], np.cumsum(pace)])
    scale = 1 / math.gamma(1 + 1 / SHAPE)
    at = random.random() * random.weibullvariate(scale, SHAPE)
    moments: list[float] = []
    while at < warped[-1]:
        moments.append(at)
        at += random.weibullvariate(scale, SHAPE)
    found = np.interp(moments, warped, np.arange(period.hours + 1)) if moments else np.empty(0)
    return [period.start + timedelta(hours=float(hour)) for hour in found]


def burst(start: datetime, mean: float, random: Random) -> list[datetime]:
    """The failures of one window: geometric in number, minutes to hours apart."""
    moments = [start]
    go_on = 1 - 1 / max(mean, 1.0)
    while random.random() < go_on and len(moments) < 40:
        moments.append(moments[-1] + timedelta(minutes=min(random.lognormvariate(math.log(14), 1.3), 600)))
    return moments
