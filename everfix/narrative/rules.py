"""The writer that needs no model: an executive summary, a paragraph for each section and three to five takeaways, from facts alone."""

from __future__ import annotations

from dataclasses import dataclass

from everfix.documents import format as show
from everfix.documents.format import day
from everfix.documents.model import Chart, Document, Figure, Figures, Narrative, Table, Text, Unit
from everfix.narrative import facts as all_facts
from everfix.narrative import figures, grounding, lines, prose, series, tables
from everfix.narrative.facts import Facts
from everfix.narrative.prose import Voice
from everfix.narrative.told import Told

MOST = 5
LEAST = 3
SEEN = frozenset({"confusion", "curve", "diverging", "heatmap", "learning", "matrix", "multiples", "scatter"})  # forms read with the eye
ASKED = 3  # sentences of the second paragraph: what recurs, what is due, what to do first


@dataclass(frozen=True)
class Story:
    """What the sections yielded: paragraphs by section id, and one sentence each for what a summary asks about."""

    paragraphs: dict[str, list[str]]
    told: tuple[tuple[str, Told], ...]
    headline: tuple[Figure, ...]

    def first(self, *sections: str) -> str:
        """Return the summary sentence of the first of these sections that has one."""
        return next((told.summary for wanted in sections for section, told in self.told if section == wanted and told.summary), "")

    def takeaways(self) -> list[str]:
        ordered = sorted(self.told, key=lambda pair: -pair[1].weight)
        return [text for _, told in ordered for text in (told.takeaway, told.more) if text]


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
    takeaways = [_proven(voice, [text], left_out) for text in _takeaways(story)]
    return Narrative(
        executive_summary=tuple(text for text in summary if text),
        sections={section: text for section, text in sections.items() if text},
        key_takeaways=tuple(text for text in takeaways if text),
        writer="rules",
        version="1",
        note=f"{len(left_out)} sentences were left out: no fact of the report proves them as read." if left_out else "",
    )


def _proven(voice: Voice, sentences: list[str], left_out: list[str]) -> str:
    """Return the paragraph of `sentences` without those that `grounding` refuses; usually that is all of them."""
    text = " ".join(sentences)
    refused = {sentence for sentence, _, reasons in grounding.paragraph(text, voice.facts) if reasons}
    if not refused:
        return text
    sound = [one for one in sentences if refused.isdisjoint(sentence for sentence, _, _ in grounding.paragraph(one, voice.facts))]
    if len(sound) == len(sentences):
        sound = []  # the sentences cannot be told apart as read
    left_out += [one for one in sentences if one not in sound]
    return _proven(voice, sound, left_out) if sound else ""


def _story(voice: Voice) -> Story:
    paragraphs: dict[str, list[str]] = {}
    told: list[tuple[str, Told]] = []
    headline: list[Figure] = []
    for section in voice.document.sections:
        parts = [_block(voice, block) for block in section.blocks]
        for block in section.blocks:
            if isinstance(block, Figures):
                headline += [figure for figure in block.figures if figure.value is not None]
        sentences = [sentence for part in parts for sentence in part.sentences]
        if sentences:
            paragraphs[section.id] = list(dict.fromkeys(sentences))
        told += [(section.id, part) for part in parts]
    return Story(paragraphs, tuple(told), tuple(headline))


def _block(voice: Voice, block: Figures | Table | Chart | Text) -> Told:
    match block:
        case Figures():
            return figures.tell(voice, block)
        case Chart() if series.time_column(block.table, block.x) is not None:
            return lines.tell(voice, block)
        case Chart() if block.form in SEEN:
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


RECURS = ("top_patterns", "patterns", "pattern_list", "issues", "issue_list")
DUE = ("predictions_due", "predictions")
FIXES = ("recommended_fixes", "recommendations", "recommendation_list")
HELD = ("loops_prevented", "verifications", "coverage")
PREVENTION = frozenset({"prevented", "loops_prevented", "prevention_rate"})  # told by what they saved, where that is known
SAVED = "exposure_avoided"


def _summary(voice: Voice, story: Story) -> list[list[str]]:
    """Two paragraphs: what happened and what it cost or saved; then what recurs, what is due, what to do first."""
    second = [story.first(*sections) for sections in (RECURS, DUE, FIXES)]
    second = [sentence for sentence in second if sentence]
    spare = [story.first(*HELD)] if len(second) < ASKED else []
    spare += [told.summary for section, told in story.told if section not in {*RECURS, *DUE, *FIXES, *HELD} and told.summary]
    opening = _opening(voice, story)
    second += [sentence for sentence in spare if sentence and sentence not in opening][: max(0, ASKED - len(second))]
    return [opening, list(dict.fromkeys(second))]


def _opening(voice: Voice, story: Story) -> list[str]:
    """The first paragraph, a sentence each: what happened, whether it is better or worse, what it cost or saved."""
    when = _period(voice)
    shown = list(story.headline)
    if not shown or (all(not figure.value for figure in shown) and all(not figure.previous for figure in shown)):
        return _quiet(voice, story, when)
    if {figure.key for figure in shown} >= figures.PREDICTIONS:
        return _forecasting(voice, shown, when)
    first, rest = shown[0], shown[1:]
    sentences = [voice.sentence(f"{when}, {prose.moved(voice, first, key='lead')}")]
    saved = next((figure for figure in rest if figure.key == SAVED and figure.previous), None)
    told = PREVENTION | {SAVED} if saved is not None else frozenset[str]()
    sentences += _balance(voice, prose.judged(first), [figure for figure in rest if figure.key not in told])
    if saved is not None:
        sentences.append(_saving(voice, saved))
    if all(figure.previous is None for figure in shown):
        sentences.append(
            "There is no previous period to compare with yet, so these figures show where things stand, not where they are heading."
        )
    return sentences


def _balance(voice: Voice, lead: str, rest: list[Figure]) -> list[str]:
    """Say what got better and what got worse beside the leading figure: the largest movement of each kind."""
    good = figures.mover([figure for figure in rest if prose.judged(figure) == "better"])
    bad = figures.mover([figure for figure in rest if prose.judged(figure) == "worse"])
    if good is not None and bad is not None:
        return [voice.sentence(f"the picture is mixed: {prose.moved(voice, good, key='mix')}, but {prose.moved(voice, bad, key='mix')}")]
    one = good or bad
    if one is not None:
        against = lead == ("worse" if one is good else "better")
        return [voice.sentence(f"{'against that' if against else 'along with it'}, {prose.moved(voice, one, key='mix')}")]
    told = [prose.moved(voice, figure, key="rest") for figure in rest[:2]]
    return [voice.sentence(prose.listing(told))] if told else []


def _saving(voice: Voice, saved: Figure) -> str:
    """Say what the fixes in place saved: "fixes in place avoided $41,600 of exposure, up 36.8 % from $30,400"."""
    now, before = voice.say(saved.value, saved.unit), voice.say(saved.previous, saved.unit)
    change = show.change(saved.value, saved.previous) or 0.0
    if now == before or not saved.value or abs(change) > prose.HUGE:
        return voice.sentence(prose.moved(voice, saved, key="saved"))
    size = show.change_text(saved.value, saved.previous).lstrip("+−")
    return voice.sentence(f"fixes in place avoided {now} of exposure, {'up' if change > 0 else 'down'} {size} from {before}")


def _forecasting(voice: Voice, shown: list[Figure], when: str) -> list[str]:
    """The first paragraph of a prediction report: how right the forecasts were, and what they say now."""
    cards = {figure.key: figure for figure in shown}
    settled = voice.say(cards["settled"].value, Unit.COUNT)
    sentences = [voice.sentence(f"{when}, {settled} {'prediction' if settled == '1' else 'predictions'} came to an end")]
    brier = cards.get("brier")
    if brier is not None and brier.previous is not None:
        sentences.append(voice.sentence(prose.forecasts(brier)))
    above, total = cards["above_threshold"], cards["total"]
    alerting = f"{voice.say(above.value, Unit.COUNT) if above.value else 'none'} above the alert threshold"
    opened = f"{prose.counted(float(total.value or 0.0), 'predictions')} {'is' if total.value == 1 else 'are'} open now"
    sentences.append(voice.sentence(f"{opened}, {alerting}"))
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
        else "Act on the points above before the next report, and let it show whether they helped.",
        "Connect a source or widen the period to give the next report something to work with."
        if empty
        else "Share the sections below with the people who own what they name.",
        "Figures will be compared as soon as a second period holds data."
        if empty
        else "Treat small movements with care: a single period says little.",
    ]
    return found + spare[: max(0, LEAST - len(found))]
