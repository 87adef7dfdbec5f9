"""The writer that needs no model: an executive summary, a paragraph for each section and three to five takeaways, from facts alone."""

from __future__ import annotations

from dataclasses import dataclass

from everfix.documents import format as show
from everfix.documents.format import day
from everfix.documents.model import Chart, Document, Figure, Figures, Narrative, Section, Table, Text, Unit
from everfix.narrative import facts as all_facts
from everfix.narrative import figures, grounding, lines, prose, series, tables
from everfix.narrative.facts import Facts
from everfix.narrative.prose import Voice
from everfix.narrative.told import Told

MOST = 5
LEAST = 3


@dataclass(frozen=True)
class Story:
    """What the sections yielded: paragraphs by section id, and one sentence each for what a summary asks about."""

    paragraphs: dict[str, str]
    told: tuple[tuple[str, Told], ...]
    headline: tuple[Figure, ...]

    def first(self, *sections: str) -> str:
        """Return the summary sentence of the first of these sections that has one."""
        return next((told.summary for wanted in sections for section, told in self.told if section == wanted and told.summary), "")

    def takeaways(self) -> list[str]:
        return [told.takeaway for _, told in sorted(self.told, key=lambda pair: -pair[1].weight) if told.takeaway]


def write(document: Document, facts: Facts | None = None) -> Narrative:
    """Return the narrative of `document`, each claim of it bound to a fact.

    What cannot be proven is left out rather than said, and `note` tells how many sentences that were (none, unless names or titles of
    the Document read like claims themselves).
    """
    voice = Voice(document, facts or all_facts.of(document))
    story = _story(voice)
    left_out: list[str] = []
    summary = [_proven(voice, text, left_out) for text in _summary(voice, story)]
    sections = {section: _proven(voice, text, left_out) for section, text in story.paragraphs.items()}
    takeaways = [_proven(voice, text, left_out) for text in _takeaways(story)]
    return Narrative(
        executive_summary=tuple(text for text in summary if text),
        sections={section: text for section, text in sections.items() if text},
        key_takeaways=tuple(text for text in takeaways if text),
        writer="rules",
        version="1",
        note=f"{len(left_out)} sentences were left out: no fact of the report proves them as read." if left_out else "",
    )


def _proven(voice: Voice, text: str, left_out: list[str]) -> str:
    """Return `text` without the sentences that `grounding` refuses; usually that is `text` itself."""
    read = list(grounding.paragraph(text, voice.facts))
    if not any(refused for _, _, refused in read):
        return text
    left_out += [sentence for sentence, _, refused in read if refused]
    return _proven(voice, " ".join(sentence for sentence, _, refused in read if not refused), left_out)


def _story(voice: Voice) -> Story:
    paragraphs: dict[str, str] = {}
    told: list[tuple[str, Told]] = []
    headline: list[Figure] = []
    for section in voice.document.sections:
        parts = [_block(voice, section, block) for block in section.blocks]
        for block in section.blocks:
            if isinstance(block, Figures):
                headline += [figure for figure in block.figures if figure.value is not None]
        sentences = [sentence for part in parts for sentence in part.sentences]
        if sentences:
            paragraphs[section.id] = " ".join(dict.fromkeys(sentences))
        told += [(section.id, part) for part in parts]
    return Story(paragraphs, tuple(told), tuple(headline))


def _block(voice: Voice, section: Section, block: Figures | Table | Chart | Text) -> Told:
    match block:
        case Figures():
            return figures.tell(voice, section, block)
        case Chart() if series.time_column(block.table, block.x) is not None:
            return lines.tell(voice, block)
        case Chart() if block.form in ("heatmap", "matrix", "scatter"):
            return Told()  # read with the eye: a sentence about one cell of many says little
        case Chart():
            timed = series.time_column(block.table, block.x) is not None
            return lines.tell(voice, block) if timed else tables.tell(voice, block.table)
        case Table():
            return lines.tell(voice, block) if series.told_over_time(block) else tables.tell(voice, block)
        case _:
            return Told()


def _period(voice: Voice) -> str:
    period = voice.document.period
    if period.start == period.end:
        return f"on {day(period.start)}"
    return f"from {day(period.start)} to {day(period.end)}"


def _summary(voice: Voice, story: Story) -> list[str]:
    opening = _opening(voice, story)
    second = [
        story.first("top_patterns", "patterns", "issues"),
        story.first("loops_prevented", "verifications", "coverage"),
        story.first("predictions_due", "predictions"),
        story.first("recommended_fixes", "recommendations"),
    ]
    known = {
        "top_patterns",
        "patterns",
        "issues",
        "loops_prevented",
        "verifications",
        "coverage",
        "predictions_due",
        "predictions",
        "recommended_fixes",
        "recommendations",
    }
    others = [told.summary for section, told in story.told if section not in known and told.summary]
    second = [sentence for sentence in second if sentence]
    second += others[: max(0, 3 - len(second))]
    return [" ".join(opening), *([" ".join(dict.fromkeys(second))] if second else [])]


def _opening(voice: Voice, story: Story) -> list[str]:
    """The first paragraph: the period, the headline figure, what else moved, or that nothing happened."""
    when = _period(voice)
    figures_ = list(story.headline)
    if not figures_ or (all(not figure.value for figure in figures_) and all(not figure.previous for figure in figures_)):
        return _quiet(voice, story, when)
    first = figures_[0]
    lead = voice.sentence(f"{when}, {prose.moved(voice, first, key='lead')}")
    judged = {"better": ", a change for the better", "worse": ", a change for the worse"}.get(prose.judged(first), "")
    sentences = [lead[:-1] + judged + "."]
    rest = [figure for figure in figures_[1:] if prose.judged(figure) in ("better", "worse", "moved", "new")]
    rest.sort(key=lambda figure: -abs(show.change(figure.value, figure.previous) or 0.0))
    good = [figure for figure in rest if prose.judged(figure) == "better"][:2]
    bad = [figure for figure in rest if prose.judged(figure) == "worse"][:2]
    if good:
        sentences.append(voice.sentence("On the good side, " + prose.listing([prose.moved(voice, figure, key="good") for figure in good])))
    if bad:
        sentences.append(
            voice.sentence(
                f"{'Against that' if good else 'Of concern'}, " + prose.listing([prose.moved(voice, one, key="bad") for one in bad])
            )
        )
    if not good and not bad and len(figures_) > 1:
        sentences.append(voice.sentence(prose.listing([prose.moved(voice, figure, key="rest") for figure in figures_[1:3]])))
    if all(figure.previous is None for figure in figures_):
        sentences.append(
            "There is no previous period to compare with yet, so these figures show where things stand, not where they are heading."
        )
    return sentences


def _quiet(voice: Voice, story: Story, when: str) -> list[str]:
    if story.headline:
        zero = [f"no {prose.lower(figure.title)}" for figure in story.headline if figure.unit is Unit.COUNT][:2]
        told = f"there was nothing to report: {prose.listing(zero)}" if zero else "there was nothing to report"
        return [voice.sentence(f"{when}, {told}"), "With so little data there is no trend to describe and no recurrence to predict yet."]
    if any(told.sentences for _, told in story.told):
        return [voice.sentence(f"This report covers {voice.document.workspace} {when}")]
    return [voice.sentence(f"This report covers {voice.document.workspace} {when}"), "It holds too little data to say more."]


def _takeaways(story: Story) -> list[str]:
    found = list(dict.fromkeys(story.takeaways()))[:MOST]
    empty = not any(told.weight > 0 for _, told in story.told)
    zero = next((figure for figure in story.headline if figure.unit is Unit.COUNT and not figure.value), None) if empty else None
    if zero is not None:
        found.insert(0, f"There were no {prose.lower(zero.title)} in this period.")
    spare = [
        "There is too little data in this period to draw conclusions."
        if empty
        else "Read the sections below for the figures behind this summary.",
        "Connect a source or widen the period to give the next report something to work with."
        if empty
        else "Every number in this text stands in the report.",
        "Figures will be compared as soon as a second period holds data."
        if empty
        else "The next report will show whether these movements last.",
    ]
    return found + spare[: max(0, LEAST - len(found))]
