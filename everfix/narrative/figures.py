"""Words about headline figures: what moved for the better, what for the worse, what stood still."""

from __future__ import annotations

from everfix.documents import format as show
from everfix.documents.model import Figure, Figures, Section
from everfix.narrative import prose
from everfix.narrative.prose import Voice
from everfix.narrative.told import Told

BREATH = 3


def tell(voice: Voice, section: Section, block: Figures) -> Told:
    """Return the paragraph of a row of figures, and the largest movement as its takeaway."""
    known = [figure for figure in block.figures if figure.value is not None]
    if not known:
        return Told(("These figures could not be worked out for this period.",))
    groups: dict[str, list[Figure]] = {}
    for figure in known:
        groups.setdefault(prose.judged(figure), []).append(figure)
    sentences: list[str] = []
    if "better" in groups:
        sentences += _group(voice, groups["better"], section.id, "moving the right way, ")
    if "worse" in groups:
        sentences += _group(voice, groups["worse"], section.id, "moving the wrong way, ")
    for state in ("new", "moved", "flat", "none"):
        if state in groups:
            sentences += _group(voice, groups[state], section.id, "")
    missing = [prose.lower(figure.title) for figure in block.figures if figure.value is None]
    if missing:
        sentences.append(voice.sentence(f"{prose.listing(missing)} could not be worked out for this period"))
    mover = _mover(groups.get("worse", [])) or _mover(groups.get("better", []))
    return Told(tuple(sentences), takeaway=_takeaway(voice, mover), weight=9.0 if mover else 0.0)


def _group(voice: Voice, figures: list[Figure], key: str, opening: str) -> list[str]:
    """Return one sentence for each three figures: more in one are not read to the end."""
    told = [prose.moved(voice, figure, key=key) for figure in figures]
    parts = [told[place : place + BREATH] for place in range(0, len(told), BREATH)]
    openings = [opening, *(["likewise, " if opening else ""] * len(parts))]
    return [voice.sentence(start + prose.listing(part)) for start, part in zip(openings, parts, strict=False)]


def _mover(figures: list[Figure]) -> Figure | None:
    return max(figures, key=lambda figure: abs(show.change(figure.value, figure.previous) or 0.0), default=None)


def _takeaway(voice: Voice, figure: Figure | None) -> str:
    if figure is None:
        return ""
    verdict = "worse" if prose.judged(figure) == "worse" else "better"
    return voice.sentence(f"{prose.moved(voice, figure, key='takeaway')}, a change for the {verdict}")
