"""A translation cannot change a claim: numbers, dates and names are put in by us, directions, ranks and negations are held to the English."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from everfix import narrative
from everfix.core.languages import LANGUAGES
from everfix.narrative import facts, rules, translation
from everfix.narrative.tongues import SENSES, TONGUES
from everfix.narrative.translation import Template
from tests import model_server
from tests import narrative_documents as documents
from tests.asking import assistant, handed_in
from tests.model_server import Asked, ModelServer, Reply

BUSY = documents.busy()
KNOWN = facts.of(BUSY)
DRAFT = rules.write(BUSY)
GERMAN = TONGUES["de"]

# What a sound translator makes of words that carry a claim, by language; everything else stays as it is, which the check does not mind.
WORDS = {
    "de": {
        "up": "gestiegen", "down": "gesunken", "better": "besser", "worse": "schlechter", "flat": "unverändert", "first": "größte",
        "last": "kleinste", "doubled": "verdoppelt", "halved": "halbiert", "tripled": "verdreifacht", "no": "nicht",
    },
    "fr": {
        "up": "augmenté", "down": "baissé", "better": "meilleur", "worse": "pire", "flat": "stable", "first": "principal",
        "last": "minimum", "doubled": "doublé", "halved": "divisé par deux", "tripled": "triplé", "no": "pas",
    },
    "es": {
        "up": "aumentó", "down": "bajó", "better": "mejor", "worse": "peor", "flat": "estable", "first": "principal",
        "last": "mínimo", "doubled": "duplicó", "halved": "se redujo a la mitad", "tripled": "triplicó", "no": "no",
    },
    "it": {
        "up": "aumentato", "down": "diminuito", "better": "migliore", "worse": "peggiore", "flat": "stabile", "first": "principale",
        "last": "minimo", "doubled": "raddoppiato", "halved": "dimezzato", "tripled": "triplicato", "no": "non",
    },
    "nl": {
        "up": "gestegen", "down": "gedaald", "better": "beter", "worse": "slechter", "flat": "onveranderd", "first": "grootste",
        "last": "kleinste", "doubled": "verdubbeld", "halved": "gehalveerd", "tripled": "verdrievoudigd", "no": "niet",
    },
    "pt": {
        "up": "aumentou", "down": "diminuiu", "better": "melhor", "worse": "pior", "flat": "estável", "first": "principal",
        "last": "mínimo", "doubled": "duplicou", "halved": "caiu pela metade", "tripled": "triplicou", "no": "não",
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def llm_server() -> Iterator[ModelServer]:
    with model_server.running() as made:
        yield made


def said(template: Template, language: str) -> str:
    """Return a translation that is sound: the place-holders in order, a word for each sense, a negation where there is one."""
    words = [WORDS[language][sense] for sense in template.senses] + ([WORDS[language]["no"]] if template.negated else [])
    return " ".join([*translation.HOLDER.findall(template.text), *words]) + "."


def sentences(language: str, text: str) -> list[Template]:
    return translation.templates("place", text, KNOWN, TONGUES[language])


def test_every_language_has_its_words_and_every_word_its_sense() -> None:
    assert set(TONGUES) == set(LANGUAGES) - {"en"}
    for language, tongue in TONGUES.items():
        assert set(tongue.words) == set(SENSES)
        for sense in SENSES:
            found = {one for _, one in translation._senses(WORDS[language][sense], tongue)}
            assert sense in found, (language, sense)
        assert tongue.negation.search(WORDS[language]["no"])


@pytest.mark.parametrize("language", TONGUES)
def test_a_whole_narrative_is_translated_and_every_figure_is_there(llm_server: ModelServer, language: str) -> None:
    every = [t for text in (*DRAFT.executive_summary, *DRAFT.sections.values(), *DRAFT.key_takeaways) for t in sentences(language, text)]

    def answers(asked: Asked) -> Reply:
        if "Translate sentences" not in asked.words:
            return Reply(handed_in(DRAFT))
        told = json.loads(next(m["content"] for m in asked.body["messages"] if m["role"] == "user"))
        assert not any(letter.isdigit() for letter in "".join(told)), "no figure leaves with the translation"
        return Reply({"sentences": [said(template, language) for template in every]})

    llm_server.says(answers)
    made, account = narrative.write(BUSY, narrative.How(assistant=assistant(llm_server), language=language))
    assert made is not None
    assert (made.language, made.writer, made.note) == (language, "openai:gpt-4o", "")
    assert [call.purpose for call in account.calls] == ["narrative", "translation"]
    assert set(made.sections) == set(DRAFT.sections)
    summary = " ".join(made.executive_summary)
    for shown in ("412", "368", "Payment gateway timeouts", TONGUES[language].months[9]):
        assert shown in summary
    assert made.proofs == ()


@pytest.mark.parametrize(
    ("language", "shown"),
    [
        ("de", ["22. November 2026", "20,2 %", "41.600 $", "2 h 14 min", "11,2"]),
        ("fr", ["22 novembre 2026", "20,2 %", "41\u202f600 $", "2 h 14 min", "11,2"]),
        ("es", ["22 de noviembre de 2026", "20,2 %", "41.600 $"]),
        ("nl", ["22 november 2026", "20,2 %", "$ 41.600", "2 u 14 min"]),
        ("it", ["22 novembre 2026", "20,2 %", "41.600 $"]),
        ("pt", ["22 de novembro de 2026", "20,2 %", "$ 41.600"]),
    ],
)
def test_figures_are_written_as_the_language_writes_them(language: str, shown: list[str]) -> None:
    fills = {fill for text in DRAFT.executive_summary for template in sentences(language, text) for fill in template.fills}
    assert set(shown) <= fills


WRONG = {
    "{A} ist um {B} auf {C} gesunken (von {D}).": "must say up",
    "{A} ist um {B} auf {D} gestiegen (von {C}).": "in this order",
    "{A} ist um {B} auf {C} gestiegen.": "once each",
    "{A} ist um {B} auf {C} gestiegen (von {D}), also um 13 %.": "digits",
    "{A} ist nicht um {B} auf {C} gestiegen (von {D}).": "was added",
    "{A} ist um {B} auf {C} gestiegen (von {D}), siehe http://boese.example": "address",
    "{A} ist um {B} auf {C} gestiegen (von {D}) und besser geworden.": "must say up",
    "{A} liegt bei {B}, {C}, {D}.": "must say up",
}


@pytest.mark.parametrize(("text", "reason"), WRONG.items())
def test_a_changed_claim_is_refused(text: str, reason: str) -> None:
    template = sentences("de", "Issues rose 12 % to 412 (from 368).")[0]
    assert template.text == "{A} rose {B} to {C} (from {D})."
    assert translation._reason(template, "{A} ist um {B} auf {C} gestiegen (von {D}).", GERMAN) == ""
    assert reason in translation._reason(template, text, GERMAN)


def test_a_lost_negation_is_refused() -> None:
    template = sentences("de", "There were no critical alerts of this kind.")[0]
    assert template.negated
    assert "was lost" in translation._reason(template, "Es gab kritische Alarme dieser Art.", GERMAN)
    assert translation._reason(template, "Es gab keine kritischen Alarme dieser Art.", GERMAN) == ""


def test_what_is_refused_twice_is_left_out_and_said(llm_server: ModelServer) -> None:
    every = [t for text in (*DRAFT.executive_summary, *DRAFT.sections.values(), *DRAFT.key_takeaways) for t in sentences("de", text)]
    wrong = [said(template, "de") for template in every]
    wrong[1] = wrong[1].replace("gesunken", "gestiegen")
    llm_server.says(lambda asked: Reply({"sentences": wrong} if "Translate sentences" in asked.words else handed_in(DRAFT)))
    made, account = narrative.write(BUSY, narrative.How(assistant=assistant(llm_server), language="de"))
    assert made is not None
    assert made.language == "de"
    assert "1 sentences were left out" in made.note
    assert "must say down" in account.refused[0].reason
    assert "2 h 14 min" not in made.executive_summary[0]


@pytest.mark.parametrize("answer", [{"sentences": []}, {"sentences": ["{A}"] * 200}])
def test_a_translation_that_cannot_be_used_leaves_the_english(llm_server: ModelServer, answer: dict[str, Any]) -> None:
    llm_server.says(lambda asked: Reply(answer if "Translate sentences" in asked.words else handed_in(DRAFT)))
    made, account = narrative.write(BUSY, narrative.How(assistant=assistant(llm_server), language="de"))
    assert made is not None
    assert (made.language, made.executive_summary) == ("en", DRAFT.executive_summary)
    assert "it is not in Deutsch" in account.note
    assert made.proofs


def test_a_place_holder_never_stands_in_a_text() -> None:
    for language in TONGUES:
        for text in DRAFT.executive_summary:
            for template in sentences(language, text):
                assert not re.search(r"\{|\}", translation._filled(said(template, language), template))
