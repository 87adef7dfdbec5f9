"""The one entry to a narrative: by rules, by a model when one may be asked, and in another language when each claim survives."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from everfix.core import languages, llm
from everfix.core.redaction import Redactor
from everfix.documents.model import Document, Narrative
from everfix.narrative import facts as all_facts
from everfix.narrative import grounding, model, proofs, rules, translation
from everfix.narrative.facts import Facts
from everfix.narrative.grounding import Refusal


@dataclass(frozen=True, slots=True)
class How:
    """How a report wants its narrative. Without an assistant the rules write; `redactor` None sends texts as they are."""

    enabled: bool = True
    prompt: str = ""
    model: str = ""
    language: str = "en"
    assistant: llm.Assistant | None = None
    redactor: Redactor | None = field(default_factory=Redactor)
    problem: str = ""  # why a model that is configured cannot be asked


@dataclass(frozen=True, slots=True)
class Account:
    """What writing took: who wrote, which calls were made (to be kept as prompt logs), what was refused, and what a reader should know."""

    writer: str
    calls: tuple[llm.Call, ...] = ()
    refused: tuple[Refusal, ...] = ()
    note: str = ""

    @property
    def input_tokens(self) -> int:
        return sum(call.input_tokens for call in self.calls)

    @property
    def output_tokens(self) -> int:
        return sum(call.output_tokens for call in self.calls)

    @property
    def cost(self) -> Decimal | None:
        """In US dollars; None where the price of a call is not known."""
        costs = [call.cost for call in self.calls if call.outcome != "failed"]
        return None if any(cost is None for cost in costs) else sum((cost for cost in costs if cost is not None), Decimal(0))


def write(document: Document, how: How = How(), draft: Narrative | None = None) -> tuple[Narrative | None, Account]:
    """Return the narrative of `document` and the account of how it came about; None when it is switched off.

    `draft` stands in for the rules' text, where a kind of report has rules of its own. Calls the model, so no transaction may be open.
    Never fails for a model's sake: then the rules' text stands and the note says why.
    Raises Invalid for a language whose claims could not be proven.
    """
    if not how.enabled:
        return None, Account("none")
    language = languages.check(how.language)
    known = all_facts.of(document)
    made = draft or rules.write(document, known)
    grounding.require(made, document, known)
    if how.assistant is None:
        if how.problem:
            made = _noted(made, f"No language model could be asked ({how.problem}); the rules wrote this.")
        if language == "en":
            return _proven(made, document, known), Account("rules", note=made.note)
        told = _noted(made, f"{languages.LANGUAGES[language]} needs a language model, and none is configured: the rules write English.")
        return _proven(told, document, known), Account("rules", note=told.note)
    hide, show = (how.redactor.hide, how.redactor.show) if how.redactor else (str, str)
    first = len(how.assistant.calls)
    refused: tuple[Refusal, ...] = ()
    try:
        asked = model.write(document, known, made, how.assistant, addendum=how.prompt, model=how.model, hide=hide, show=show)
        made, refused = asked.narrative, asked.refused
        grounding.require(made, document, known)
        if language != "en":
            made, more = translation.write(made, known, language, how.assistant, model=how.model, hide=hide, show=show)
            refused += more
    except llm.NoAnswer as problem:
        made = _noted(made, f"The language model gave no usable answer ({problem.message}); {_stands(made, language)}.")
    return _proven(made, document, known), Account(made.writer, tuple(how.assistant.calls[first:]), refused, made.note)


def _proven(made: Narrative, document: Document, known: Facts) -> Narrative:
    """Return an English narrative with its proofs; those of a translation would point at words that are not there."""
    return made.model_copy(update={"proofs": proofs.of(made, document, known)}) if made.language == "en" else made


def _stands(made: Narrative, language: str) -> str:
    return "the rules wrote this" if made.writer == "rules" else f"it is not in {languages.LANGUAGES[language]}"


def _noted(made: Narrative, note: str) -> Narrative:
    return made.model_copy(update={"note": " ".join(part for part in (made.note, note) if part)})
