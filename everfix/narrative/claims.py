"""Prose into claims: sentences of items (names, dates, quantities, words) cut into segments, the smallest stretch that has one subject."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

from everfix.narrative import lexicon, tokens
from everfix.narrative.facts import Facts
from everfix.narrative.tokens import Token


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number as written: `step` is what its last digit is worth, `parts` > 1 marks a duration such as "2 h 14 min"."""

    kind: str  # plain, percent, points, money, duration, ordinal, fraction
    value: float
    step: float = 1.0
    parts: int = 1
    signed: bool = False
    written: bool = False  # in letters
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Day:
    """A date as written; what was not written is None. `weekday` counts from Monday = 0."""

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    time: str = ""

    def means(self, iso: str) -> bool:
        """Return whether an ISO date agrees with every part that was written."""
        other = date.fromisoformat(iso[:10])
        return (
            self.year in (None, other.year)
            and self.month in (None, other.month)
            and self.day in (None, other.day)
            and self.weekday in (None, other.weekday())
        )


@dataclass(slots=True)
class Item:
    """A piece of a sentence; `value` is the name, the Day, the Quantity or a title's concepts. `segment` counts from 0 in its sentence."""

    kind: str  # name, date, quantity, word, mark
    text: str
    low: str
    start: int
    end: int
    value: str | Day | Quantity | frozenset[str] | None = None
    segment: int = 0


@dataclass(slots=True)
class Measure:
    """A stretch of items that names a measure."""

    first: int
    last: int
    segment: int
    concepts: frozenset[str]


@dataclass(slots=True)
class Sentence:
    text: str
    items: list[Item]
    measures: list[Measure] = field(default_factory=list)
    states: list[tuple[int, str]] = field(default_factory=list)

    def around(self, index: int, step: int, *, skip: frozenset[str] = frozenset(), reach: int = 1) -> list[str]:
        """Return up to `reach` lower-case words beside an item, nearest first, passing over `skip`."""
        found: list[str] = []
        place = index + step
        while 0 <= place < len(self.items) and len(found) < reach:
            low = self.items[place].low
            if low not in skip:
                found.append(low)
            place += step
        return found


def sentences(text: str, facts: Facts) -> list[Sentence]:
    """Return the sentences of a paragraph, read against the names and phrases of the Document."""
    cleaned = tokens.plain(text)
    items = _unquoted(list(_items(tokens.split(cleaned), facts)))
    found: list[Sentence] = []
    begin = 0
    for index, item in enumerate(items):
        last = index == len(items) - 1
        if last or (item.low in ".!?" and item.kind == "mark" and _ends(items, index)):
            part = items[begin : index + 1]
            found.append(Sentence(cleaned[part[0].start : part[-1].end], part))
            begin = index + 1
    for sentence in found:
        _segments(sentence)
        sentence.measures = list(_measures(sentence, facts))
        sentence.states = list(_states(sentence, facts))
    return found


def _unquoted(items: list[Item]) -> list[Item]:
    """Drop quotation marks around a known name: quoted or not, it is the same name."""
    bare = [
        place
        for place, item in enumerate(items)
        if item.low == '"'
        and ((_is_name(items, place + 1) and _is_mark(items, place + 2)) or (_is_name(items, place - 1) and _is_mark(items, place - 2)))
    ]
    return [item for place, item in enumerate(items) if place not in bare]


def _is_name(items: list[Item], place: int) -> bool:
    return 0 <= place < len(items) and items[place].kind == "name"


def _is_mark(items: list[Item], place: int) -> bool:
    return 0 <= place < len(items) and items[place].low == '"'


def _ends(items: list[Item], index: int) -> bool:
    following = items[index + 1]
    if following.start == items[index].end:
        return following.low == '"'
    if index and items[index - 1].low in ("no", "e.g", "i.e", "vs", "approx", "cf"):
        return False
    return following.kind in ("name", "date", "quantity") or not following.text[0].islower()


def _items(found: list[Token], facts: Facts) -> Iterator[Item]:
    place = 0
    while place < len(found):
        for reader in (_name, _title, _date, _quantity):
            read = reader(found, place, facts)
            if read is not None:
                kind, value, size = read
                first, last = found[place], found[place + size - 1]
                low = " ".join(token.low for token in found[place : place + size])
                yield Item(kind, " ".join(token.text for token in found[place : place + size]), low, first.start, last.end, value)
                place += size
                break
        else:
            token = found[place]
            yield Item("mark" if token.kind == "mark" else "word", token.text, token.low, token.start, token.end)
            place += 1


Read = tuple[str, str | Day | Quantity | frozenset[str], int] | None


def _name(found: list[Token], place: int, facts: Facts) -> Read:
    for low in {found[place].low, found[place].low.removesuffix("'s")}:
        for key in facts.starts.get(low, ()):
            seen = [token.low for token in found[place : place + len(key)]]
            if seen and (*seen[:-1], seen[-1] if seen[-1] == key[-1] else seen[-1].removesuffix("'s")) == key:
                return "name", facts.names[key], len(key)
    return None


def _title(found: list[Token], place: int, facts: Facts) -> Read:
    """Read the title of a measure that holds a number, "7-day mean": the number is part of its name."""
    for key, concepts in facts.titles.get(found[place].low, ()):
        if tuple(token.low for token in found[place : place + len(key)]) == key:
            return "word", concepts, len(key)
    return None


def _number(token: Token) -> int | None:
    return int(token.low) if token.kind == "number" and token.low.isdigit() else None


def _ordinal(token: Token) -> int | None:
    if token.kind == "mixed" and token.low[:-2].isdigit() and token.low[-2:] in ("st", "nd", "rd", "th"):
        return int(token.low[:-2])
    return None


def _date(found: list[Token], place: int, _facts: Facts) -> Read:
    token = found[place]
    if token.kind == "iso":
        day = date.fromisoformat(token.low[:10])
        return "date", Day(day.year, day.month, day.day, time=token.low[11:16]), 1
    window = [*found[place : place + 9], *[Token("mark", "", "", -1, -1)] * 9]
    if (token.low in lexicon.WEEKDAYS and (token.text[0].isupper()) and token.low not in ("sun", "sat", "wed")) or token.text in (
        "Sun",
        "Sat",
        "Wed",
    ):
        skip = 1 + (window[1].low == ",")
        inner = _calendar(window[skip:])
        weekday = lexicon.WEEKDAYS[token.low]
        if inner is not None and inner[0].day is not None:
            return "date", Day(inner[0].year, inner[0].month, inner[0].day, weekday, inner[0].time), skip + inner[1]
        return "date", Day(weekday=weekday), 1
    read = _calendar(window)
    return None if read is None else ("date", read[0], read[1])


def _calendar(window: list[Token]) -> tuple[Day, int] | None:
    """Read "5 Nov 2026", "5th of November", "Nov 5, 2026", "November 2026" or "November" at the start of `window`."""
    number = _number(window[0]) or _ordinal(window[0])
    if number is not None and 1 <= number <= 31:
        size = 1 + (window[1].low == "of")
        month = lexicon.MONTHS.get(window[size].low) if window[size].text[:1].isupper() else None
        return None if month is None else _year(window, size + 1, month, number)
    month = lexicon.MONTHS.get(window[0].low) if window[0].text[:1].isupper() else None
    if month is None:
        return None
    number = _number(window[1]) or _ordinal(window[1])
    if number is not None and 1 <= number <= 31:
        return _year(window, 2, month, number)
    if window[0].low == "may" and window[1].kind == "word":
        return None  # the verb at the start of a sentence
    return _year(window, 1, month, None)


def _year(window: list[Token], size: int, month: int, day: int | None) -> tuple[Day, int]:
    year = None
    skip = size + (window[size].low == "," and day is not None)
    number = _number(window[skip])
    if number is not None and 1970 <= number <= 2200:
        year, size = number, skip + 1
    skip = size + (window[size].low in (",", "at"))
    if day is not None and window[skip].kind == "time":
        return Day(year, month, day, time=window[skip].low.zfill(5)), skip + 1
    return Day(year, month, day), size


def _quantity(found: list[Token], place: int, facts: Facts) -> Read:
    sign = 0
    begin = place
    window = [*found[place : place + 12], *[Token("mark", "", "", -1, -1)] * 6]
    if window[0].low in ("+", "-", "±") and window[1].start == window[0].end:
        if place and found[place - 1].end == window[0].start and found[place - 1].kind != "mark":
            return None  # a hyphen
        sign = -1 if window[0].low == "-" else 1
        window, place = window[1:], place + 1
    currency = lexicon.CURRENCIES.get(window[0].low, "") if window[0].kind == "mark" else ""
    if window[0].kind == "word" and window[0].text == facts.document.currency and window[1].kind == "number":
        currency = window[0].text
    if currency:
        window, place = window[1:], place + 1
    if window[0].kind == "mixed" and not currency:
        mixed = _mixed(window)
        if mixed is not None:
            return "quantity", mixed[0], place - begin + mixed[1]
    halves = place > 0 and found[place - 1].low in ("first", "second", "other")
    read = (None if halves else _fraction(window)) or _amount(window)
    if read is None:
        return None
    value, step, size, written = read
    if step == 0:
        return "quantity", Quantity("fraction", value, 0.06, written=True), place - begin + size
    quantity, more = _united(value, step, written, window[size:], currency)
    if sign:
        quantity = Quantity(quantity.kind, sign * quantity.value, quantity.step, quantity.parts, True, written, quantity.currency)
    return "quantity", quantity, place - begin + size + more


def _amount(window: list[Token]) -> tuple[float, float, int, bool] | None:
    """Read digits or words: value, what the last digit is worth, tokens used, whether in letters."""
    head = window[0]
    scale = lexicon.SCALES.get(window[1].low, 1.0) if window[1].low not in ("m", "k", "bn") else 1.0
    if head.kind == "number":
        digits = head.low.replace(",", "")
        places = len(digits.split(".")[1]) if "." in digits else 0
        return float(digits) * scale, scale * 10.0**-places, 1 + (scale != 1), False
    if head.kind == "mixed":  # after a currency sign: $12k
        mixed = _mixed(window)
        return None if mixed is None or mixed[0].kind != "plain" else (mixed[0].value, mixed[0].step, 1, False)
    words = head.low.split("-")
    if head.kind == "word" and all(word in lexicon.SMALL for word in words) and words:
        return float(sum(lexicon.SMALL[word] for word in words)) * scale, scale, 1 + (scale != 1), True
    return None


def _fraction(window: list[Token]) -> tuple[float, float, int, bool] | None:
    """Read "half of", "a third of", "two thirds of"; the step 0 marks a fraction."""
    if window[0].low in lexicon.FRACTIONS and window[1].low in ("of", "the"):
        return lexicon.FRACTIONS[window[0].low], 0.0, 1, True
    words = window[0].low.split("-")
    if len(words) == 2 and words[0] in lexicon.SMALL and words[1] in lexicon.FRACTIONS:
        return lexicon.SMALL[words[0]] * lexicon.FRACTIONS[words[1]], 0.0, 1, True
    if window[0].low in lexicon.SMALL and window[1].low in ("thirds", "quarters", "fifths"):
        return lexicon.SMALL[window[0].low] * lexicon.FRACTIONS[window[1].low], 0.0, 2, True
    return None


def _mixed(window: list[Token]) -> tuple[Quantity, int] | None:
    """Read "3rd", "2h", "12k", "4pp": a number with letters grown on."""
    head = window[0].low
    digits = head.rstrip("abcdefghijklmnopqrstuvwxyz")
    letters = head[len(digits) :]
    bare = digits.replace(",", "")
    if not bare.replace(".", "", 1).isdigit():
        return None
    value, step = float(bare), 10.0 ** -(len(bare.split(".")[1]) if "." in bare else 0)
    if letters in ("st", "nd", "rd", "th"):
        return Quantity("ordinal", value), 1
    if letters in lexicon.SCALES:
        return Quantity("plain", value * lexicon.SCALES[letters], step * lexicon.SCALES[letters]), 1
    if letters == "pp":
        return Quantity("points", value / 100, step / 100), 1
    if letters in lexicon.SECONDS:
        quantity, more = _duration(value, step, False, [Token("word", letters, letters, 0, 0), *window[1:]])
        return quantity, more
    return None


def _united(value: float, step: float, written: bool, rest: list[Token], currency: str) -> tuple[Quantity, int]:
    """Read the unit that follows a number, and how many tokens it takes."""
    one, two = rest[0].low, rest[1].low
    named = "" if currency or rest[0].kind == "mark" else lexicon.CURRENCIES.get(one, "")
    if currency or named:
        return Quantity("money", value, step, written=written, currency=currency or named), int(bool(named))
    if one in ("%", "percent") or (one, two) == ("per", "cent"):
        return Quantity("percent", value / 100, step / 100, written=written), 1 + (one == "per")
    if one in ("percentage-point", "pp") or (one == "percentage" and two in ("point", "points")):
        return Quantity("points", value / 100, step / 100, written=written), 1 + (one == "percentage")
    if one in lexicon.SECONDS:
        return _duration(value, step, written, rest)
    if one == "-" and two in lexicon.SECONDS and rest[0].end == rest[1].start:
        unit = lexicon.SECONDS[two]
        return Quantity("duration", value * unit, step * unit, written=written), 2
    return Quantity("plain", value, step, written=written), 0


def _duration(value: float, step: float, written: bool, rest: list[Token]) -> tuple[Quantity, int]:
    unit = lexicon.SECONDS[rest[0].low]
    total, smallest, parts, used = value * unit, step * unit, 1, 1
    while used + 1 < len(rest):
        skip = used + (rest[used].low == "and")
        if skip + 1 >= len(rest) or rest[skip].kind != "number" or lexicon.SECONDS.get(rest[skip + 1].low, unit) >= unit:
            break
        unit = lexicon.SECONDS[rest[skip + 1].low]
        total, smallest, parts, used = total + float(rest[skip].low.replace(",", "")) * unit, float(unit), parts + 1, skip + 2
    return Quantity("duration", total, smallest, parts, written=written), used


def _segments(sentence: Sentence) -> None:
    number = 0
    for item in sentence.items:
        breaks = item.low in (",", ";", ":", "(", ")", "–") if item.kind == "mark" else item.kind == "word" and item.low in lexicon.BREAKS
        number += breaks
        item.segment = number


def _measures(sentence: Sentence, facts: Facts) -> Iterator[Measure]:
    words = [tokens.stem(item.low) if item.kind == "word" else "" for item in sentence.items]
    longest = max((len(phrase) for phrase in facts.phrases), default=0)
    place = 0
    while place < len(words):
        titled = sentence.items[place].value
        if isinstance(titled, frozenset):
            yield Measure(place, place, sentence.items[place].segment, titled)
            place += 1
            continue
        for size in range(min(longest, len(words) - place), 0, -1):
            phrase = tuple(words[place : place + size])
            if phrase[0] and phrase in facts.phrases:
                yield Measure(place, place + size - 1, sentence.items[place].segment, facts.phrases[phrase])
                place += size - 1
                break
        place += 1


def _states(sentence: Sentence, facts: Facts) -> Iterator[tuple[int, str]]:
    lows = [item.low if item.kind in ("word", "mark") else "" for item in sentence.items]
    for key, state in facts.states.items():
        for place in range(len(lows) - len(key) + 1):
            if tuple(lows[place : place + len(key)]) == key:
                yield place, state
