"""The rule writer: golden prose to read aloud, soundness on any Document, speed."""

from __future__ import annotations

# ruff: noqa: S311 - seeded, so that a failure can be repeated
import random
import time
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfix.documents import format as words
from everfix.documents.model import Chart, Column, Document, Figure, Figures, Narrative, Period, Section, Table, Unit
from everfix.narrative import facts, grounding, prose, rules
from tests import document_samples as samples
from tests import narrative_anything, narrative_reports, narrative_shipped
from tests import narrative_documents as documents

GOLDEN = Path(__file__).parent / "golden"


def spoken(narrative: Narrative) -> str:
    parts = ["# Executive summary", *narrative.executive_summary]
    for section, text in narrative.sections.items():
        parts += [f"## {section}", text]
    return "\n\n".join([*parts, "# Key takeaways", *(f"- {text}" for text in narrative.key_takeaways)]) + "\n"


def short_report() -> Document:
    """Return a prediction report in another currency, with a projection, a threshold and a cut table."""
    columns = (
        Column(key="service", title="Service"),
        Column(key="cost", title="Cost", unit=Unit.MONEY),
        Column(key="error_rate", title="Error rate", unit=Unit.PERCENT),
    )
    rows = (("billing", 18250, 0.031), ("search", 9100, 0.012), ("ledger-api", 4400, 0.054))
    days = tuple((f"2026-05-{day:02}", value) for day, value in enumerate((40, 42, 41, 44, 47, 52, 58, 61, 66, 70), start=1))
    data = Table(
        key="data",
        columns=(Column(key="day", title="Day", unit=Unit.DATE), Column(key="risk_score", title="Risk score", unit=Unit.SCORE)),
        rows=days,
    )
    chart = Chart(
        key="risk", title="Risk", form="line", table=data, x="day", y=("risk_score",), split="2026-05-07", threshold=65, alt="Risk."
    )
    return Document(
        title="Prediction report",
        workspace="North",
        currency="EUR",
        generated_at="2026-05-08T06:00:00Z",
        period=Period(start=date(2026, 5, 1), end=date(2026, 5, 7), previous_start=date(2026, 4, 24), previous_end=date(2026, 4, 30)),
        sections=(
            Section(id="services", title="Services", blocks=(Table(key="services", columns=columns, rows=rows, total_rows=9),)),
            Section(id="risk_trend", title="Risk", blocks=(chart,)),
        ),
    )


REPORTS = {
    "busy": documents.busy(),
    "empty": documents.empty(),
    "short": short_report(),
    "predictions": narrative_reports.predictions(),
    "coverage": narrative_reports.coverage(),
}


@pytest.mark.parametrize(("name", "document"), REPORTS.items())
def test_golden_prose(name: str, document: Document) -> None:
    """Written anew by deleting the file; read it aloud before committing it."""
    text = spoken(rules.write(document))
    path = GOLDEN / f"narrative_{name}.md"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        pytest.fail(f"wrote {path.name}: read it, then run again")
    assert text == path.read_text(encoding="utf-8")
    assert grounding.check(rules.write(document), document) == ()
    assert rules.write(document).note == ""


@pytest.mark.parametrize("document", [document for name, document in REPORTS.items() if name != "empty"])
def test_no_sentence_is_said_twice(document: Document) -> None:
    """A reader who meets a sentence of the summary again in a section or a takeaway stops reading."""
    narrative = rules.write(document)
    known = facts.of(document)
    texts = [*narrative.executive_summary, *narrative.sections.values(), *narrative.key_takeaways]
    said = [sentence for text in texts for sentence, _, _ in grounding.paragraph(text, known)]
    assert len(said) == len(set(said))


def test_a_tie_has_no_leader_and_a_lone_row_is_called_one() -> None:
    def told(*counts: int) -> str:
        columns = (Column(key="service", title="Service"), Column(key="issues", title="Issues", unit=Unit.COUNT))
        rows = tuple((name, count) for name, count in zip(("orders", "billing", "search"), counts, strict=False))
        table = Table(key="t", title="Services", columns=columns, rows=rows)
        made = samples.document((Section(id="s", title="Services", blocks=(table,)),))
        narrative = rules.write(made)
        grounding.require(narrative, made)
        return spoken(narrative)

    assert "Issues are 4 for orders and the same for every other service." in told(4, 4, 4)
    assert "leads" not in told(4, 4, 4)
    assert "before the others" not in told(4, 4, 4)
    assert "orders leads with 5" in told(5, 4, 4)
    assert "The service listed here is orders, with 4 issues." in told(4)


def test_what_took_less_than_a_second_is_told_in_thousandths() -> None:
    shown = {
        0.0: "0 s",
        0.35: "350 ms",
        0.0042: "4.2 ms",
        0.00042: "0.42 ms",
        1e-7: "≈ 0 s",
        0.9994: "999 ms",
        0.9996: "1 s",
        -0.2: "-200 ms",
    }
    assert {seconds: words.duration(seconds) for seconds in shown} == shown
    columns = (Column(key="stage", title="Stage"), Column(key="latency", title="Latency", unit=Unit.SECONDS))
    table = Table(key="t", title="Latency", columns=columns, rows=(("fingerprint", 0.0042), ("group", 0.35)))
    made = samples.document((Section(id="s", title="Latency", blocks=(table,)),))
    assert "group has the highest latency, 350 ms, ahead of fingerprint (4.2 ms)." in spoken(rules.write(made))
    wrong = Narrative(executive_summary=("Group has the highest latency, 530 ms.",), sections={}, key_takeaways=())
    assert grounding.check(wrong, made)


def test_a_trigger_is_said_where_it_is_telling_and_never_with_its_evidence() -> None:
    text = spoken(rules.write(narrative_reports.predictions()))
    assert "most likely after a change of pricing" in text
    assert "67" not in text
    assert "time alone" not in text
    assert "none known" not in text


def test_a_long_name_is_shortened_only_while_it_stays_unique() -> None:
    shared = "Failure in the nightly load of the warehouse, step number one of many, because of "
    columns = (Column(key="pattern", title="Pattern"), Column(key="issues", title="Issues", unit=Unit.COUNT))
    table = Table(key="all", columns=columns, rows=((shared + "locks", 3), (shared + "space", 2), (shared + "locks", 1)))
    text = rules.write(documents.document((Section(id="appendix", title="All", blocks=(table,)),))).sections["appendix"]
    assert text.count("Failure in the nightly load") == len(("locks", "space"))
    assert shared + "space" in text


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**9))
def test_any_document_gets_a_sound_narrative(seed: int) -> None:
    for document in (narrative_anything.anything(random.Random(seed)), narrative_shipped.shipped(random.Random(seed))):
        sound(document)


def sound(document: Document) -> None:
    narrative = rules.write(document)
    assert grounding.check(narrative, document) == ()
    assert narrative.note == ""  # the writer itself wrote nothing that had to be left out
    assert narrative.executive_summary
    assert 3 <= len(narrative.key_takeaways) <= 5
    assert set(narrative.sections) <= {section.id for section in document.sections}


def test_writing_and_checking_an_executive_report_is_quick() -> None:
    document = documents.busy()
    rules.write(document)
    best = 1.0
    for _ in range(5):
        begun = time.process_time()
        rules.write(document)  # gathers the facts, writes, and proves every sentence
        best = min(best, time.process_time() - begun)
    assert best < 0.05


def test_a_large_table_is_bounded_and_says_so() -> None:
    columns = (Column(key="pattern", title="Pattern"), Column(key="issues", title="Issues", unit=Unit.COUNT))
    rows = tuple((f"Pattern {number} fails", number) for number in range(5000))
    document = documents.document((Section(id="appendix", title="All patterns", blocks=(Table(key="all", columns=columns, rows=rows),)),))
    known = facts.of(document)
    assert len(known.all) < 2000
    assert known.bounds == ("appendix.all: cells of the first 200 of 5,000 rows are facts; totals and counts are of all rows",)
    assert known.get("appendix.all.issues.total").value == sum(range(5000))
    assert grounding.check(rules.write(document, known), document, known) == ()


def test_facts_of_a_figure() -> None:
    figure = Figure(key="mttr", title="Mean time to resolve", value=90.0, previous=60.0, unit=Unit.SECONDS, better="down")
    known = facts.of(documents.document((Section(id="kpis", title="Key figures", blocks=(Figures(key="kpis", figures=(figure,)),)),)))
    values = {fact.id: fact.value for fact in known.all if fact.section == "kpis"}
    assert values == {
        "kpis.kpis.mttr.current": 90.0,
        "kpis.kpis.mttr.previous": 60.0,
        "kpis.kpis.mttr.change": 0.5,
        "kpis.kpis.mttr.difference": 30.0,
    }
    with pytest.raises(KeyError):
        known.get("kpis.kpis.mttr.median")


@pytest.mark.parametrize(
    ("text", "said"),
    [("8 %", "an 8 %"), ("64 %", "a 64 %"), ("11 %", "an 11 %"), ("18.4 %", "an 18.4 %"), ("110 %", "a 110 %"), ("81 %", "an 81 %")],
)
def test_articles(text: str, said: str) -> None:
    assert prose.article(text) == said


@pytest.mark.parametrize(
    ("count", "noun", "said"),
    [(1, "Issues", "1 issue"), (2, "Pattern", "2 patterns"), (1, "Fix", "1 fix"), (3, "Fix", "3 fixes"), (2, "Category", "2 categories")],
)
def test_plurals(count: int, noun: str, said: str) -> None:
    assert prose.counted(count, noun) == said


def test_what_cannot_be_proven_is_left_out_and_said() -> None:
    figure = Figure(key="kpi", title="Rose 40 fold, fell", value=3)
    document = documents.document((documents.kpis((figure, Figure(key="issues", title="Issues", value=5, previous=4))),))
    narrative = rules.write(document)
    assert grounding.check(narrative, document) == ()
    assert "left out" in narrative.note
    assert narrative.sections["kpis"]  # what can be proven stays
