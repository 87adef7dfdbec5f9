"""The narrative of an ML report from its own figures: what a reviewer needs to know, each sentence proven, none else kept."""

from __future__ import annotations

from collections.abc import Iterable

from everfix.documents.model import Document, Narrative
from everfix.narrative import facts as all_facts
from everfix.narrative import grounding
from everfix.narrative.facts import Facts
from everfix.reports.ml.work import Work

SUMMARY, TAKEAWAYS = 5, 5


def write(document: Document, work: Work) -> Narrative:
    """Return the narrative; a sentence that no fact proves as read is left out, and `note` says how many."""
    known = all_facts.of(document)
    left_out: list[str] = []
    verdicts = _verdicts(work)
    summary = _paragraph([*work.headline[:SUMMARY], *verdicts], known, left_out)
    sections = {section: text for section, sentences in _told(work).items() if (text := _paragraph(sentences, known, left_out))}
    there = {section.id for section in document.sections}
    takeaways = _sound(_takeaways(work), known, left_out)
    return Narrative(
        executive_summary=(summary,) if summary else (),
        sections={section: text for section, text in sections.items() if section in there},
        key_takeaways=tuple(dict.fromkeys(takeaways))[:TAKEAWAYS],
        writer="rules",
        version="1",
        note=f"Left out, because no fact of the report proves them as read: {len(left_out)} of the sentences." if left_out else "",
    )


def _told(work: Work) -> dict[str, list[str]]:
    found = {section: list(dict.fromkeys(sentences)) for section, sentences in work.said.items()}
    if work.options.get("llm_insights"):
        found["insights"] = _takeaways(work)
    return found


def _verdicts(work: Work) -> list[str]:
    """Name the checks that did not pass."""
    bad = [check.name for check in work.checks if check.verdict != "pass"]
    if not work.checks:
        return []
    if not bad:
        return ["Every check passed."]
    return [f"To look at: {'; '.join(bad)}."]


def _takeaways(work: Work) -> list[str]:
    spare = [f"Look at this check: {check.name}." for check in work.checks if check.verdict == "fail"]
    spare += [f"Keep an eye on this check: {check.name}." for check in work.checks if check.verdict == "warn"]
    found = [*work.advice, *spare]
    return found or ["No check asks for anything; look again when the data change."]


def _paragraph(sentences: Iterable[str], known: Facts, left_out: list[str]) -> str:
    """Return the sentences as one paragraph without those that are not proven where they stand: beside others a sentence may read otherwise."""
    kept: list[str] = []
    for sentence in sentences:
        if _proven(" ".join([*kept, sentence]), known):
            kept.append(sentence)
        else:
            left_out.append(sentence)
    return " ".join(kept)


def _sound(sentences: Iterable[str], known: Facts, left_out: list[str]) -> list[str]:
    kept = []
    for sentence in sentences:
        if _proven(sentence, known):
            kept.append(sentence)
        else:
            left_out.append(sentence)
    return kept


def _proven(text: str, known: Facts) -> bool:
    return not any(reasons for _, _, reasons in grounding.paragraph(text, known))
