"""Sound rule-written texts pass the grounding, and texts corrupted in one place are refused: rates by kind of corruption."""

from __future__ import annotations

# ruff: noqa: S311 - seeded, so that a failure can be repeated
import random
import re
from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfix.documents.model import Document, Narrative, Table
from everfix.narrative import facts, grounding, rules
from everfix.narrative.facts import Facts
from tests import narrative_documents as documents

NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w,]*\d)")
DATE = re.compile(r"\b(\d{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4})\b")
FLIPS = {
    "rose": "fell",
    "fell": "rose",
    "climbed": "dropped",
    "dropped": "climbed",
    "went up": "went down",
    "went down": "went up",
    "came down": "went up",
    "better": "worse",
    "worse": "better",
    "rise": "fall",
    "fall": "rise",
    "right way": "wrong way",
    "wrong way": "right way",
    "above the mean": "below the mean",
}
RANKS = {
    "highest": "lowest",
    "first:": "second:",
    "first is": "third is",
    "three largest": "five largest",
    "peaked": "bottomed",
}
SEEDS = 40
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def texts(narrative: Narrative) -> list[str]:
    return [*narrative.executive_summary, *narrative.sections.values(), *narrative.key_takeaways]


def names(document: Document) -> list[str]:
    found = {}
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                for key in ("pattern", "fix", "change", "likely_trigger"):
                    if key in [column.key for column in block.columns]:
                        found.update(dict.fromkeys(str(cell) for cell in block.column(key)))
    return [name for name in found if not name.replace(".", "").replace("-", "").isdigit()]


def masked(text: str, document: Document) -> list[tuple[int, int]]:
    """Spans of names, in which a digit is no claim."""
    return [match.span() for name in names(document) for match in re.finditer(re.escape(name), text)]


def numbers(text: str, document: Document) -> list[re.Match[str]]:
    spans = masked(text, document)
    return [match for match in NUMBER.finditer(text) if not any(start <= match.start() < end for start, end in spans)]


def put(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def digit(text: str, document: Document, rng: random.Random) -> str | None:
    found = numbers(text, document)
    if not found:
        return None
    match = rng.choice(found)
    places = [place for place in range(*match.span()) if text[place].isdigit()]
    place = rng.choice(places)
    return put(text, place, place + 1, rng.choice([one for one in "123456789" if one != text[place]]))


def swap_numbers(text: str, document: Document, rng: random.Random) -> str | None:
    found = numbers(text, document)
    pairs = [(one, other) for one in found for other in found if one.start() < other.start() and one.group() != other.group()]
    return None if not pairs else swapped(text, *rng.choice(pairs))


def swapped(text: str, one: re.Match[str], other: re.Match[str]) -> str:
    return text[: one.start()] + other.group() + text[one.end() : other.start()] + one.group() + text[other.end() :]


def flip(text: str, document: Document, rng: random.Random) -> str | None:
    spans = masked(text, document)
    found = [
        match
        for word in FLIPS
        for match in re.finditer(rf"\b{word}\b", text)
        if not any(start <= match.start() < end for start, end in spans)
    ]
    if not found:
        return None
    match = rng.choice(found)
    return put(text, *match.span(), FLIPS[match.group()])


def move_date(text: str, document: Document, rng: random.Random) -> str | None:
    found = list(DATE.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    day, month, year = match.groups()
    moved = rng.choice(
        (
            f"{rng.choice([d for d in range(1, 29) if d != int(day)])} {month} {year}",
            f"{day} {rng.choice([m for m in MONTHS if m != month])} {year}",
            f"{day} {month} {int(year) - 1}",
        )
    )
    return put(text, *match.span(), moved)


def swap_names(text: str, document: Document, rng: random.Random) -> str | None:
    found = sorted((match for name in names(document) for match in re.finditer(re.escape(name), text)), key=lambda match: match.start())
    pairs = [(one, other) for one in found for other in found if one.start() < other.start() and one.group() != other.group()]
    return None if not pairs else swapped(text, *rng.choice(pairs))


def replace_name(text: str, document: Document, rng: random.Random) -> str | None:
    known = names(document)
    found = [match for name in known for match in re.finditer(re.escape(name), text)]
    if not found:
        return None
    match = rng.choice(found)
    return put(text, *match.span(), rng.choice([name for name in known if name != match.group()]))


def unit(text: str, document: Document, rng: random.Random) -> str | None:
    found = list(re.finditer(r"(\d) %|\$(\d)|(\d) (h|min|days|d)\b", text))
    if not found:
        return None
    match = rng.choice(found)
    new = {"%": match.group(1), "$": match.group(2)}.get("%" if match.group(1) else "$" if match.group(2) else "", "")
    return put(text, *match.span(), new or f"{match.group(3)} %")


def rank(text: str, document: Document, rng: random.Random) -> str | None:
    spans = masked(text, document)
    found = [
        match
        for word in RANKS
        for match in re.finditer(re.escape(word), text)
        if not any(start <= match.start() < end for start, end in spans)
    ]
    if not found:
        return None
    match = rng.choice(found)
    return put(text, *match.span(), RANKS[match.group()])


KINDS: dict[str, Callable[[str, Document, random.Random], str | None]] = {
    "digit": digit,
    "swap numbers": swap_numbers,
    "flip direction": flip,
    "move date": move_date,
    "swap names": swap_names,
    "replace name": replace_name,
    "unit": unit,
    "rank": rank,
}


def refusals(text: str, known: Facts) -> list[tuple[str, str]]:
    return [refused for _, _, found in grounding.paragraph(text, known) for refused in found]


@cache
def written(seed: int) -> tuple[Document, Facts, tuple[str, ...]]:
    """Return a random Document with its facts and the texts written about it; every kind of corruption starts from the same ones."""
    document = documents.generated(random.Random(seed))
    known = facts.of(document)
    return document, known, tuple(texts(rules.write(document, known)))


def corrupted(kind: str, seed: int) -> tuple[str, str, bool] | None:
    """Return (sound text, corrupted text, refused?) for a random Document, or None where nothing of this kind can be corrupted."""
    document, known, candidates = written(seed)
    rng = random.Random(f"{kind}{seed}")
    for text in rng.sample(candidates, len(candidates)):
        wrong = KINDS[kind](text, document, rng)
        if wrong is not None and wrong != text:
            return text, wrong, bool(refusals(wrong, known))
    return None


@pytest.mark.parametrize("kind", KINDS)
def test_a_corrupted_text_is_refused(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    tried: Counter[bool] = Counter()
    for seed in range(SEEDS):
        result = corrupted(kind, seed)
        if result is not None:
            tried[result[2]] += 1
    rate = tried[True] / max(tried.total(), 1)
    with capsys.disabled():
        print(f"\n{kind}: {tried[True]} of {tried.total()} refused ({rate:.1%})", end="")  # noqa: T201 - the rate is the result
    assert tried.total() >= 0.9 * SEEDS
    assert rate >= 0.95


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**9))
def test_a_rule_written_text_passes(seed: int) -> None:
    document = documents.generated(random.Random(seed))
    assert grounding.check(rules.write(document), document) == ()
