"""Corruptions of a narrative: one number, date, direction, rank, name, unit, sign or period is made wrong, and nothing else."""

from __future__ import annotations

# ruff: noqa: S311 - seeded, so that a failure can be repeated
import random
import re
from collections.abc import Callable, Iterator
from functools import cache

from everfix.documents.model import Document, Table
from everfix.narrative import facts, grounding, rules
from everfix.narrative.facts import Facts
from tests import narrative_documents as documents
from tests import narrative_prose as prose
from tests import narrative_reports as reports
from tests import narrative_shipped as shipped

NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w,]*\d)")
DATE = re.compile(r"\b(\d{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4})\b")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FLIPS = {
    "rose": "fell", "fell": "rose", "climbed": "dropped", "dropped": "climbed", "increased": "decreased", "decreased": "increased",
    "grew": "declined", "declined": "grew", "went up": "went down", "went down": "went up", "came down": "went up", "improved": "worsened",
    "worsened": "improved", "better": "worse", "worse": "better", "rise": "fall", "fall": "rise", "increase": "decrease", "drop": "rise",
    "decline": "increase", "right way": "wrong way", "wrong way": "right way", "above the mean": "below the mean",
    "is up": "is down", "is down": "is up", ", up": ", down", ", down": ", up", "higher": "lower",
}  # fmt: skip
RANKS = {
    "highest": "lowest", "first:": "second:", "first is": "third is", "three largest": "five largest", "peaked": "bottomed",
    "riskiest pattern": "third riskiest pattern", "ranks first": "ranks third", "second highest": "fourth highest",
    "busiest": "quietest", "quietest": "busiest", "should come first": "should come last, as the lowest", "two riskiest": "three riskiest",
}  # fmt: skip
PERIODS = {
    "in the previous period": "in this period", "on the previous period": "on this period", "(from ": "(to ",
    "of the period": "of the previous period", "compared with": "rising to", "from the previous": "to the previous",
}  # fmt: skip
Mutation = Callable[[str, Document, random.Random], str | None]


def names(document: Document) -> list[str]:
    found = {}
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Table):
                for key in ("pattern", "fix", "change", "likely_trigger"):
                    if key in [column.key for column in block.columns]:
                        found.update(dict.fromkeys(str(cell) for cell in block.column(key) if cell))
    return [name for name in found if not name.replace(".", "").replace("-", "").isdigit()]


def masked(text: str, document: Document) -> list[tuple[int, int]]:
    """Spans of names, in which a digit is no claim."""
    return [match.span() for name in names(document) for match in re.finditer(re.escape(name), text)]


def _free(found: Iterator[re.Match[str]], text: str, document: Document) -> list[re.Match[str]]:
    spans = masked(text, document)
    return [match for match in found if not any(start <= match.start() < end for start, end in spans)]


def numbers(text: str, document: Document) -> list[re.Match[str]]:
    return _free(NUMBER.finditer(text), text, document)


def put(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def digit(text: str, document: Document, rng: random.Random) -> str | None:
    found = numbers(text, document)
    if not found:
        return None
    match = rng.choice(found)
    place = rng.choice([place for place in range(*match.span()) if text[place].isdigit()])
    return put(text, place, place + 1, rng.choice([one for one in "123456789" if one != text[place]]))


def swap_numbers(text: str, document: Document, rng: random.Random) -> str | None:
    found = numbers(text, document)
    pairs = [(one, other) for one in found for other in found if one.start() < other.start() and one.group() != other.group()]
    return None if not pairs else swapped(text, *rng.choice(pairs))


def swapped(text: str, one: re.Match[str], other: re.Match[str]) -> str:
    return text[: one.start()] + other.group() + text[one.end() : other.start()] + one.group() + text[other.end() :]


def _worded(table: dict[str, str]) -> Mutation:
    def change(text: str, document: Document, rng: random.Random) -> str | None:
        found = _free((m for word in table for m in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", text)), text, document)
        if not found:
            return None
        match = rng.choice(found)
        return put(text, *match.span(), table[match.group()])

    return change


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
    if not found or len(known) < 2:
        return None
    match = rng.choice(found)
    return put(text, *match.span(), rng.choice([name for name in known if name != match.group()]))


def unit(text: str, document: Document, rng: random.Random) -> str | None:
    found = _free(re.finditer(r"(\d) %|\$(\d)|(\d) (h|min|days|d)\b", text), text, document)
    if not found:
        return None
    match = rng.choice(found)
    new = {"%": match.group(1), "$": match.group(2)}.get("%" if match.group(1) else "$" if match.group(2) else "", "")
    return put(text, *match.span(), new or f"{match.group(3)} %")


def sign(text: str, document: Document, rng: random.Random) -> str | None:
    found = [match for match in numbers(text, document) if text[: match.start()].endswith(" ") and match.group() != "0"]
    found = [
        match
        for match in found
        if not DATE.match(text, match.start()) and not DATE.search(text, max(0, match.start() - 12), match.end() + 1)
    ]
    if not found:
        return None
    match = rng.choice(found)
    return put(text, *match.span(), f"-{match.group()}")


KINDS: dict[str, Mutation] = {
    "digit": digit,
    "swap numbers": swap_numbers,
    "flip direction": _worded(FLIPS),
    "move date": move_date,
    "swap names": swap_names,
    "replace name": replace_name,
    "unit": unit,
    "rank": _worded(RANKS),
    "sign": sign,
    "period": _worded(PERIODS),
}


def document(seed: int) -> Document:
    """Return one of the shapes of Document there are, the same for the same seed."""
    rng = random.Random(seed)
    makers = (
        lambda: prose.consistent(documents.generated(rng)),
        lambda: prose.consistent(shipped.shipped(rng)),
        documents.busy,
        reports.predictions,
        reports.coverage,
    )
    return makers[(0, 1, 0, 1, 0, 1, 0, 2, 3, 4)[seed % 10]]()


@cache
def written(seed: int) -> tuple[Document, Facts, tuple[str, ...]]:
    """Return a Document with its facts and sound texts about it: what the rules wrote, and sentences as a model words them."""
    made = document(seed)
    known = facts.of(made)
    told = rules.write(made, known)
    return made, known, (*told.executive_summary, *told.sections.values(), *told.key_takeaways, *prose.sentences(made, random.Random(seed)))


def refusals(text: str, known: Facts) -> list[tuple[str, str]]:
    return [refused for _, _, found in grounding.paragraph(text, known) for refused in found]


def corrupted(kind: str, seed: int, turn: int = 0) -> tuple[str, str, bool] | None:
    """Return (sound text, corrupted text, refused?) of one seed, or None where nothing of this kind can be corrupted."""
    made, known, candidates = written(seed)
    rng = random.Random(f"{kind}{seed}.{turn}")
    for text in rng.sample(candidates, len(candidates)):
        wrong = KINDS[kind](text, made, rng)
        if wrong is not None and wrong != text:
            return text, wrong, bool(refusals(wrong, known))
    return None
