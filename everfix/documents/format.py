"""Numbers into words, in one place: a value and its unit become the text that every format and the narrative shows."""

from __future__ import annotations

import math
import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

from everfix.documents.model import Cell, Unit

SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "CHF": "CHF "}
NOTHING = "–"
MINUTE, HOUR, DAY = 60, 3600, 86400
SECOND_SHOWN = 0.9995  # from here on thousandths round to a whole second


def show(value: Cell, unit: Unit, *, currency: str = "USD", timezone: str = "UTC") -> str:
    """Return `value` as a reader sees it, e.g. (0.1234, PERCENT) → "12.3 %"; None is an en dash."""
    if value is None or value == "":
        return NOTHING
    if unit in (Unit.DATE, Unit.DATETIME):
        return _time(str(value), unit, timezone)
    if isinstance(value, bool) or unit is Unit.FLAG:
        return "yes" if value else "no"
    if isinstance(value, str) or unit is Unit.TEXT:
        return str(value)
    return _number(float(value), unit, currency)


def _number(number: float, unit: Unit, currency: str) -> str:  # noqa: PLR0911 - one return for each kind of unit
    match unit:
        case Unit.PERCENT:
            return f"{_trim(number * 100, 1)} %"
        case Unit.PROBABILITY:
            return f"{number * 100:.0f} %"
        case Unit.MONEY:
            sign = "-" if round(number) < 0 else ""
            return f"{sign}{SYMBOLS.get(currency, currency + ' ')}{abs(round(number)):,}"
        case Unit.SECONDS:
            return duration(number)
        case Unit.DAYS:
            text = _trim(number, 1)
            return f"{text} day" if text == "1" else f"{text} days"
        case Unit.COUNT | Unit.SCORE:
            return f"{round(number):,}"
        case Unit.MEASURE:
            return measure(number)
        case _:
            return _trim(number, 2)


def measure(number: float) -> str:
    """Return a number with four digits that count: 0.99534 → "0.9953", 0.0012345 → "0.001235", 1234.5 → "1,234" (never 1e-05)."""
    if abs(number) < 1e-9:
        return "≈ 0" if number else "0"  # a p-value this small is not nothing
    digits = 3 - math.floor(math.log10(abs(number)))
    return _trim(number, min(12, max(0, digits)))


def _trim(number: float, digits: int) -> str:
    text = f"{number:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def duration(seconds: float) -> str:
    """Return a duration with its two largest parts: 8040 → "2 h 14 min"; below a second 0.35 → "350 ms", never "0 s" for what took time."""
    sign = "-" if seconds < 0 else ""
    total = abs(round(seconds))
    if 0 < abs(seconds) < SECOND_SHOWN:
        thousandths = abs(seconds) * 1000
        text = _trim(thousandths, 0 if thousandths >= 10 else 1 if thousandths >= 1 else 2)
        return "≈ 0 s" if text == "0" else f"{sign}{text} ms"
    if total < MINUTE:
        return f"{sign}{total} s"
    if total < HOUR:
        parts = ((total // MINUTE, "min"), (total % MINUTE, "s"))
    elif total < DAY:
        parts = ((total // HOUR, "h"), (total % HOUR // MINUTE, "min"))
    else:
        parts = ((total // DAY, "d"), (total % DAY // HOUR, "h"))
    return sign + " ".join(f"{amount} {name}" for amount, name in parts if amount)


def _time(text: str, unit: Unit, timezone: str) -> str:
    if unit is Unit.DATE:
        return day(date.fromisoformat(text[:10]))
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        moment = moment.astimezone(ZoneInfo(timezone))
    return f"{day(moment.date())}, {moment:%H:%M}"


def day(value: date) -> str:
    """Return a calendar day as "5 Nov 2026"."""
    return f"{value.day} {value:%b %Y}"


def change(value: float | None, previous: float | None) -> float | None:
    """Return the relative change against `previous` (0.12 = up 12 %); None where there is no base to compare with."""
    if value is None or previous is None or previous == 0:
        return None
    return (value - previous) / abs(previous)


FLAT = 0.0005  # within 0.05 % of the prior value a change is shown as flat (reference, section 2.2)


def verdict(value: float | None, previous: float | None, better: str | None) -> str:
    """Return the state of a figure card: `better`, `worse`, `moved` (no good direction stated), `flat`, `new` or `none`."""
    if value is None or previous is None:
        return "none"
    if previous == 0:
        return "flat" if value == 0 else "new"
    moved = (value - previous) / abs(previous)
    if abs(moved) <= FLAT:
        return "flat"
    if better is None:
        return "moved"
    return "better" if (moved > 0) == (better == "up") else "worse"


def change_text(value: float | None, previous: float | None) -> str:
    """Return the change of a figure as its card shows it: "+12.3 %", "flat", "new", or "" without a previous value."""
    state = verdict(value, previous, None)
    if state in ("none", "flat", "new"):
        return "" if state == "none" else state
    moved = change(value, previous)
    assert moved is not None  # noqa: S101 - verdict() said that there is a base
    return f"{'+' if moved > 0 else '−'}{_trim(abs(moved) * 100, 1)} %"


# Characters that no format may carry on: controls (but tab and line feed), bidirectional overrides, which let a text reorder
# its neighbours, lone surrogates and the non-characters, which XML refuses.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def printable(text: str) -> str:
    """Return `text` with every control or direction-overriding character shown as "\ufffd": visible, and without effect."""
    if text.isprintable():  # nearly every text: Python's own word for "none of these"
        return text
    return UNPRINTABLE.sub("\ufffd", text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n"))


def short(text: str, most: int) -> str:
    """Return `text`, ended with "…" where it is longer than `most` characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
