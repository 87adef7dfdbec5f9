"""The grammar of the rule writer: lists, articles, plurals, and how a movement is told."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from everfix.documents import format as show
from everfix.documents.model import Cell, Document, Figure, Unit
from everfix.narrative import tokens
from everfix.narrative.fact import SHORT, canonical, short
from everfix.narrative.facts import Facts

RATES = frozenset({Unit.PERCENT, Unit.PROBABILITY})
WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
HUGE = 3.0  # a relative change beyond this reads better as "from 4 to 40"
SMALL = 20  # and so does a count below this: "from 7 to 6"
BRIER = frozenset({"brier", "prediction_brier"})  # scores that mean little to a reader: said as better or worse forecasts
SLIGHT, CLEAR = 0.1, 0.3
PROPER = frozenset({"Brier"})


@dataclass(frozen=True)
class Voice:
    """How one Document is spoken of: its currency and zone, the names prose may use, and a fixed choice among phrasings."""

    document: Document
    facts: Facts

    def say(self, value: Cell, unit: Unit) -> str:
        return show.show(value, unit, currency=self.document.currency, timezone=self.document.period.timezone)

    def name(self, cell: Cell) -> str:
        """Return a row's name as prose shows it, or "" where a reader could not tell it from a number or a measure.

        A long name is shortened unless another name of the Document has the same short form.
        """
        text = "" if cell is None else str(cell)
        for shown in (short(text), " ".join(text.split())):
            if self.facts.names.get(tokens.lows(shown)) == canonical(text) and canonical(text) in self.facts.columns:
                return shown
        return ""

    def choose(self, key: str, options: Sequence[str]) -> str:
        """Return one of `options`, always the same for the same period and key."""
        seed = f"{self.document.period.start}{self.document.workspace}{key}"
        return options[zlib.crc32(seed.encode()) % len(options)]

    @property
    def comeback(self) -> str:
        """What the Document calls it when a pattern fails again."""
        return "return" if "returns" in self.facts.words else "recurrence"

    def sentence(self, text: str) -> str:
        """Return `text` with a capital (unless it opens with a name, which keeps its spelling) and a full stop."""
        text = text.strip()
        head, _, rest = text.partition(" ")
        if head.isdigit() and int(head) < len(WORDS) and rest[:1].islower():
            text = f"{WORDS[int(head)]} {rest}"
        text = text if self._named(text) else text[:1].upper() + text[1:]
        return text if text.endswith((".", "!", "?")) else text + "."

    def _named(self, text: str) -> bool:
        """Whether the text opens with a name, which keeps its spelling."""
        opening = tokens.lows(text[: SHORT + 2])
        return any(key == opening[: len(key)] for key in self.facts.names)


def listing(parts: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}" if parts else ""


def article(text: str) -> str:
    """Return the text with "a" or "an" as its number is spoken: "an 8 % chance", "a 64 % chance"."""
    head = text.split(" ", maxsplit=1)[0].rstrip("%").split(".")[0]
    spoken_with_vowel = head in ("11", "18") or head.startswith(("8", "11,", "18,"))
    return f"{'an' if spoken_with_vowel or text[:1].lower() in 'aeio' else 'a'} {text}"


def lower(title: str) -> str:
    """Return a title as it stands inside a sentence: abbreviations keep their capitals."""
    first = title.split(" ", maxsplit=1)[0]
    return title if first in PROPER or sum(letter.isupper() or letter.isdigit() for letter in first) > 1 else title[:1].lower() + title[1:]


def plural(noun: str) -> str:
    noun = lower(noun)
    if not noun[-1:].isalpha():
        return noun
    if noun.endswith(("s", "x", "ch", "sh")) and not noun.endswith(("issues", "fixes", "patterns")):
        return noun if noun.endswith("s") and not noun.endswith("ss") else noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun if noun.endswith("s") else noun + "s"


def amount(shown: str, noun: str) -> str:
    """Return "1 recurrence" or "11.2 recurrences" for a number already shown."""
    return f"{shown} {noun if shown == '1' else plural(noun)}"


def quoted(name: str) -> str:
    """Return a name in quotation marks where a sentence would not parse without: "“Add a cache”", but "billing"."""
    return f"“{name}”" if " " in name else name


def counted(count: float, noun: str) -> str:
    """Return "1 pattern" or "12 patterns"."""
    single = noun.removesuffix("s") if noun.endswith("s") and not noun.endswith("ss") else noun
    return f"{show.show(count, Unit.COUNT)} {lower(single) if round(count) == 1 else plural(noun)}"


def moved(voice: Voice, figure: Figure, *, key: str = "") -> str:  # noqa: PLR0911 - one return for each kind of movement
    """Tell a figure and its movement: "issues rose 12 % to 340 (from 304)"; "" where it has no value."""
    if figure.value is None:
        return ""
    if figure.key in BRIER and figure.previous is not None:
        return forecasts(figure)
    title, now = lower(figure.title), voice.say(figure.value, figure.unit)
    if figure.previous is None:
        return f"{title} stood at {now}"
    before = voice.say(figure.previous, figure.unit)
    if figure.previous == 0:
        return f"{title} stayed at {now}" if figure.value == 0 else f"{title} came to {now}, against {before} in the previous period"
    change = show.change(figure.value, figure.previous) or 0.0
    if abs(change) <= show.FLAT or before == now:
        return f"{title} held at {now}"
    verb = voice.choose(key + figure.key, ("rose", "climbed", "went up") if change > 0 else ("fell", "dropped", "came down"))
    few = figure.unit is Unit.COUNT and max(abs(figure.value), abs(figure.previous)) < SMALL
    if few or figure.unit in RATES or abs(change) > HUGE or figure.value == 0 or (figure.previous < 0) != (figure.value < 0):
        return f"{title} {verb} from {before} to {now}"
    size = show.change_text(figure.value, figure.previous).lstrip("+−")
    return f"{title} {verb} {size} to {now} (from {before})"


def brief(voice: Voice, figure: Figure) -> str:
    """Tell a figure in a list: "issues at 340 (from 304)"."""
    told = f"{lower(figure.title)} at {voice.say(figure.value, figure.unit)}"
    return told if figure.previous is None else f"{told} (from {voice.say(figure.previous, figure.unit)})"


def forecasts(figure: Figure) -> str:
    """Tell a Brier score as what it means: the mean squared error of the probabilities given, so less is better."""
    value, previous = float(figure.value or 0.0), float(figure.previous or 0.0)
    now, before = f"{value:.2f}", f"{previous:.2f}"
    change = show.change(value, previous) or 0.0
    if now == before or abs(change) <= show.FLAT:
        return f"forecasts were as good as in the previous period (Brier score {now})"
    degree = "slightly " if abs(change) < SLIGHT else "clearly " if abs(change) > CLEAR else ""
    return f"forecasts got {degree}{'better' if change < 0 else 'worse'} (Brier score {now}, from {before})"


def judged(figure: Figure) -> str:
    """Return the state of a figure: better, worse, moved, flat, new or none."""
    return show.verdict(figure.value, figure.previous, figure.better)
