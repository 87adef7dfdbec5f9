"""Proofs shown: each number of a narrative is a button that opens where it comes from; no script, so it works in a file, too.

A page makes one `Marks`, asks it for the paragraphs of each place, and prints its `notes` once at the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from markupsafe import Markup, escape

from everfix.documents import cells
from everfix.documents import format as words
from everfix.documents.model import Narrative, Proof, Source

LONGEST = 120  # characters of a name in a note
ASPECTS = {
    "cell": "as stated", "change": "change against the period before", "current": "this period", "difference": "difference",
    "half": "half of the period", "maximum": "highest point", "mean": "average", "minimum": "lowest point", "period": "the report's period",
    "previous": "the period before", "projected": "projected", "rank": "place in the order", "rows": "number of rows", "share": "share of the total",
    "state": "as stated", "threshold": "threshold", "top share": "share of the largest together", "total": "total", "zscore": "standard deviations from the mean",
}  # fmt: skip


@dataclass
class Marks:
    """The proofs of one narrative while a page is written; `used` are the addresses within the page that notes point at."""

    narrative: Narrative
    used: set[str] = field(default_factory=set)
    _notes: dict[tuple[Source, ...], str] = field(default_factory=dict)

    def paragraphs(self, place: str, text: str) -> list[Markup]:
        """Return the paragraphs of the text at `place`, its numbers marked."""
        found = [proof for proof in self.narrative.proofs if proof.place == place and any(map(str.isdigit, text[proof.start : proof.end]))]
        if not found or cells.paragraphs(text) != [text]:
            return [escape(cells.held(part)) for part in cells.paragraphs(text)]
        return [self._marked(cells.held(text), found)]

    def _marked(self, text: str, found: list[Proof]) -> Markup:
        parts, at = [], 0
        for proof in sorted(found, key=lambda one: one.start):
            if proof.start < at or proof.end > len(text):
                continue
            note = self._note(proof.sources)
            parts += [escape(text[at : proof.start]), BUTTON.format(note, text[proof.start : proof.end])]
            at = proof.end
        return Markup("").join([*parts, escape(text[at:])])

    def _note(self, sources: tuple[Source, ...]) -> str:
        if sources not in self._notes:
            self._notes[sources] = f"p{len(self._notes) + 1}"
            self.used.update(target(source) for source in sources)
        return self._notes[sources]

    @property
    def notes(self) -> list[Markup]:
        """The notes that the buttons open."""
        return [NOTE.format(name, Markup("").join(map(_source, sources))) for sources, name in self._notes.items()]


BUTTON = Markup('<button type="button" class="proof" popovertarget="{}">{}</button>')
NOTE = Markup('<div popover id="{}" class="source" role="note" aria-label="Where this number comes from">{}</div>')
PAIR = Markup("<div><dt>{}</dt><dd>{}</dd></div>")
CARD = Markup('<dl>{}</dl><p><a href="#{}">Show it in the report</a></p>')


def _source(source: Source) -> Markup:
    raw = f"{source.raw:.12g}" if isinstance(source.raw, float) else source.raw
    pairs = (
        ("Section", source.title),
        ("Row", source.row),
        ("Column", source.column),
        ("Value", source.shown),
        ("Stored as", raw if raw != source.shown else ""),
        ("What it is", ASPECTS.get(source.aspect, source.aspect)),
    )
    told = Markup("").join(PAIR.format(name, words.short(words.printable(text), LONGEST)) for name, text in pairs if text)
    return CARD.format(told, target(source))


def target(source: Source) -> str:
    """Return the place within the page that shows a source: its figure, its row, else its section, else the page's head."""
    parts = source.fact.split(".")
    if source.aspect in ("current", "previous", "change", "difference") and len(parts) == 4 and source.row == "":
        return f"k-{source.section}-{source.block}-{parts[2]}"
    if source.aspect == "cell" and len(parts) == 4 and parts[2].isdigit():
        return f"r-{source.section}-{source.block}-{parts[2]}"
    return f"s-{source.section}" if source.section else "content"
