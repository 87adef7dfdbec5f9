"""Words about headline figures: the two that stand out in full, the others grouped by whether they are better or worse."""

from __future__ import annotations

from everfix.documents import format as show
from everfix.documents.model import Figure, Figures, Unit
from everfix.narrative import prose
from everfix.narrative.prose import Voice
from everfix.narrative.told import Told

PREDICTIONS = frozenset({"total", "above_threshold", "settled"})  # the cards of a prediction report, told as one story


def tell(voice: Voice, block: Figures) -> Told:
    """Return the paragraph of a row of figures, and the movement to follow up as its takeaway."""
    known = [figure for figure in block.figures if figure.value is not None]
    if not known:
        return Told(("These figures could not be worked out for this period.",))
    if {figure.key for figure in known} >= PREDICTIONS:
        return _predictions(voice, {figure.key: figure for figure in known})
    groups: dict[str, list[Figure]] = {}
    for figure in known:
        groups.setdefault("brier" if figure.key in prose.BRIER else prose.judged(figure), []).append(figure)
    worst, best = mover(groups.get("worse", [])), mover(groups.get("better", []))
    stands_out = [figure for figure in (worst, best) if figure is not None]
    sentences = [voice.sentence("what stands out: " + ", while ".join(prose.moved(voice, one, key="kpi") for one in stands_out))]
    sentences = sentences if stands_out else []
    for state in ("worse", "better"):
        others = [prose.brief(voice, figure) for figure in groups.get(state, []) if figure not in stands_out]
        sentences += [voice.sentence(f"also {state}: {prose.listing(others)}")] if others else []
    for state in ("new", "moved", "flat", "none", "brier"):
        told = [prose.moved(voice, figure, key="kpi") for figure in groups.get(state, [])]
        sentences += [voice.sentence(prose.listing(told))] if told else []
    missing = [prose.lower(figure.title) for figure in block.figures if figure.value is None]
    if missing:
        sentences.append(voice.sentence(f"{prose.listing(missing)} could not be worked out for this period"))
    return Told(tuple(sentences), takeaway=_takeaway(voice, worst, best), weight=9.0 if worst else 4.5 if best else 0.0)


def mover(figures: list[Figure]) -> Figure | None:
    """Return the figure that changed most against its previous value."""
    return max(figures, key=lambda figure: abs(show.change(figure.value, figure.previous) or 0.0), default=None)


def _takeaway(voice: Voice, worst: Figure | None, best: Figure | None) -> str:
    figure = worst or best
    if figure is None:
        return ""
    now, before = voice.say(figure.value, figure.unit), voice.say(figure.previous, figure.unit)
    rose, title = (show.change(figure.value, figure.previous) or 0.0) > 0, prose.lower(figure.title)
    if worst:
        return voice.sentence(f"find out why {title} {'rose' if rose else 'fell'} from {before} to {now}")
    return voice.sentence(f"keep doing what brought {title} {'up' if rose else 'down'} from {before} to {now}")


def _predictions(voice: Voice, cards: dict[str, Figure]) -> Told:
    """Tell how many predictions are open, how likely they are, and how right the settled ones were."""
    shown = {key: voice.say(figure.value, figure.unit) for key, figure in cards.items()}
    alerting = f"{_none(cards['above_threshold'], shown)} above the alert threshold"
    sentences = [voice.sentence(f"of {shown['total']} open predictions, {alerting}")]
    parts = [f"{_none(cards['high'], shown)} {prose.lower(cards['high'].title)}"] if "high" in cards else []
    parts += [f"the {prose.lower(cards['average'].title)} is {shown['average']}"] if "average" in cards else []
    sentences += [voice.sentence("; ".join(parts))] if parts else []
    further = "a further " if (cards["settled"].value or 0) > 1 else ""
    settled = f"{further}{_none(cards['settled'], shown)} settled in the period"
    brier, base = cards.get("brier"), cards.get("brier_base")
    takeaway = ""
    if brier is not None and base is not None:
        score = f"{float(brier.value or 0.0):.2f}"
        settled += f", with a Brier score of {score}; lower is better, and guessing the average would give {shown['brier_base']}"
        trust = "plan by the forecasts" if (brier.value or 0.0) < (base.value or 0.0) else "do not plan by the forecasts yet"
        takeaway = voice.sentence(f"{trust}: their Brier score is {score}, and guessing the average would give {shown['brier_base']}")
    above = cards["above_threshold"]
    review = (
        voice.sentence(f"among open predictions, review the {shown['above_threshold']} above the alert threshold") if above.value else ""
    )
    sentences.append(voice.sentence(settled))
    return Told(tuple(sentences), takeaway=takeaway, more=review, weight=5.5)


def _none(figure: Figure, shown: dict[str, str]) -> str:
    """Return "none are", "1 is" or "4 are"; a settled prediction "was"."""
    tense = ("was", "were") if figure.key == "settled" else ("is", "are")
    return (
        f"none {tense[1]}"
        if not figure.value
        else f"{shown[figure.key]} {tense[0] if figure.value == 1 and figure.unit is Unit.COUNT else tense[1]}"
    )
