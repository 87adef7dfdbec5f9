"""Runs: a Document is kept as it was made; rendering again computes nothing again; the same state gives the same Document."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from datetime import timedelta
from typing import Any
from uuid import UUID

import pypdf
import pytest
from sqlalchemy import select, text

from everfix import documents
from everfix.core import ids, jobs
from everfix.documents.model import Document
from everfix.errors import Invalid, NotFound
from everfix.metrics.sources import Source
from everfix.narrative import grounding
from everfix.reports import build, runs, templates
from everfix.reports.runs import File, Run
from tests import make

NAMED = [key for key in templates.TEMPLATES if key != "blank"]


def request(workspace: make.Workspace, **wishes: Any) -> tuple[UUID, UUID]:
    with workspace.db() as db:
        given = {"template": "issue_digest", "window": "30d", "formats": ["json"], "as_of": make.NOW, **wishes}
        return runs.request(db, workspace.principal, **given)


def run(workspace: make.Workspace, run_id: UUID) -> Run:
    with workspace.db() as db:
        return runs.get(db, run_id)


def files(workspace: make.Workspace, run_id: UUID) -> list[File]:
    with workspace.db() as db:
        return runs.files(db, [run_id])[run_id]


def test_a_run_keeps_its_inputs(alice: make.Workspace) -> None:
    run_id, job_id = request(alice, window="7D", formats=["PDF", "pdf", "csv"], name="Mine", sections=["issue_kpis"], template="blank")
    found = run(alice, run_id)
    assert (found.job_id, found.name, found.template, found.sections, found.window, found.formats) == (
        job_id,
        "Mine",
        "blank",
        [{"id": "issue_kpis", "section": "issue_kpis"}],
        "7d",
        ["pdf", "csv"],
    )
    assert (found.as_of, found.requested_by, found.document) == (make.NOW, "Alice Owner", None)


def test_a_document_is_kept_and_never_computed_again(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)))
    run_id, job_id = request(alice)
    alice.work()
    before = run(alice, run_id).document
    assert before is not None
    alice.learn(*make.failures("login", (8, 3, 1)))

    def forbidden(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(build, "figures", forbidden)
    with alice.db() as db:
        db.execute(text("DELETE FROM files"))
        db.execute(text("UPDATE jobs SET status = 'queued'"))
        db.execute(text("UPDATE report_runs SET status = 'running', formats = '{json,csv,markdown}'"))
    alice.work()
    assert run(alice, run_id).document == before
    assert [file.format for file in files(alice, run_id)] == ["csv", "json", "markdown"]
    with alice.db() as db:
        assert jobs.get(db, job_id).status == "succeeded"


@pytest.mark.parametrize("template", NAMED)
def test_the_same_state_and_moment_give_an_equal_document(alice: make.Workspace, template: str) -> None:
    alice.learn(
        *make.failures("database", (80, 60, 40, 20, 15, 9, 5, 2)), *make.failures("payments", (50, 12, 6)), *make.failures("login", (45, 4))
    )
    chosen = templates.get(template)
    made = []
    for _ in range(2):
        with alice.db() as db:
            made.append(build.document(db, "Twice", template, chosen.sections, "90d", {}, make.NOW, "http://x"))
    assert made[0] == made[1]
    for format_ in ("json", "markdown", "csv", "xlsx"):
        assert documents.render(made[0], format_) == documents.render(made[1], format_), format_


@pytest.mark.parametrize("template", NAMED)
def test_every_narrative_is_grounded(alice: make.Workspace, template: str) -> None:
    """D170, D177: an executive summary, a paragraph for each section that has something to say, 3 to 5 takeaways; every number is a figure."""
    alice.learn(
        *make.failures("database", (80, 60, 40, 20, 15, 9, 5, 2)), *make.failures("payments", (50, 12, 6)), *make.failures("login", (45, 4))
    )
    with alice.db() as db:
        for window in ("7d", "30d", "90d"):
            made = build.document(db, "Grounded", template, templates.get(template).sections, window, {}, make.NOW, "http://x")
            assert made.narrative is not None
            grounding.require(made.narrative, made)
            assert made.narrative.executive_summary
            assert 3 <= len(made.narrative.key_takeaways) <= 5
            assert set(made.narrative.sections) <= {section.id for section in made.sections}
            assert len(made.narrative.sections) >= 1


@pytest.mark.parametrize("template", NAMED)
def test_a_quarter_of_use_is_told_and_grounded(alice: make.Workspace, template: str) -> None:
    """Settled forecasts, a fix that held, one that failed and one still watched: every section has something to say."""
    make.with_history(alice)
    with alice.db() as db:
        assert db.execute(text("SELECT count(DISTINCT outcome) FROM predictions WHERE outcome IS NOT NULL")).scalar_one() >= 2
        assert set(db.execute(text("SELECT verdict FROM verifications")).scalars()) >= {"held", "failed"}
        for window in ("7d", "30d", "90d", "366d"):
            made = build.document(db, "Quarter", template, templates.get(template).sections, window, {}, make.NOW, "http://x")
            assert made.narrative is not None
            grounding.require(made.narrative, made)
    for format_ in documents.RENDERERS:
        assert documents.render(made, format_)


def test_a_document_reads_the_past_as_it_was(alice: make.Workspace) -> None:
    """`as_of` bounds what is counted."""
    alice.learn(*make.failures("database", (9, 5, 2)))
    with alice.db() as db:
        made = build.document(db, "Past", "blank", ["issue_kpis"], "30d", {}, make.NOW - timedelta(days=4), "http://x")
    assert _figure(made, "issues") == 2


def _figure(document: Document, key: str) -> object:
    return next(
        figure.value for block in document.sections[0].blocks if hasattr(block, "figures") for figure in block.figures if figure.key == key
    )


def test_files_carry_their_hash(alice: make.Workspace) -> None:
    run_id, _ = request(alice, formats=["json", "csv"])
    alice.work()
    for file in files(alice, run_id):
        body = alice.installation.storage.read(file.storage_key)
        assert (len(body), hashlib.sha256(body).hexdigest()) == (file.size, file.sha256)
        assert file.storage_key.startswith(f"{alice.id}/")


def test_files_say_with_whose_rights_they_were_made(alice: make.Workspace) -> None:
    run_id, _ = request(alice, formats=["pdf", "html", "markdown", "xlsx", "json"], template="blank", sections=["issue_kpis"])
    alice.work()
    bodies = {file.format: alice.installation.storage.read(file.storage_key) for file in files(alice, run_id)}
    pages = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(bodies["pdf"])).pages)
    assert re.search(r"with the rights of\s+Alice\s+Owner", pages, re.IGNORECASE), pages[:600]
    assert re.search(r"With the rights of.{0,80}Alice Owner", bodies["html"].decode(), re.DOTALL)
    assert "with the rights of Alice Owner" in bodies["markdown"].decode()
    with zipfile.ZipFile(io.BytesIO(bodies["xlsx"])) as book:
        assert any(b"Alice Owner" in book.read(name) for name in book.namelist() if "worksheets" in name)
    assert json.loads(bodies["json"])["rights"] == "Alice Owner"


def test_a_second_try_goes_on_where_the_first_stopped(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, job_id = request(alice, formats=["json", "csv", "markdown"])
    real, calls = documents.render, []

    def flaky(document: Document, format_: str) -> bytes:
        calls.append(format_)
        if len(calls) == 2:
            raise OSError("disk full")
        return real(document, format_)

    monkeypatch.setattr(documents, "render", flaky)
    alice.work_once()
    assert [file.format for file in files(alice, run_id)] == ["json"]
    alice.work_once()
    assert calls == ["json", "csv", "csv", "markdown"]
    with alice.db() as db:
        found = jobs.get(db, job_id)
    assert (found.status, found.attempts, found.error) == ("succeeded", 2, None)


def test_a_cancelled_report_stops_between_files(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id, job_id = request(alice, formats=["json", "csv", "markdown"])
    real = documents.render

    def cancelling(document: Document, format_: str) -> bytes:
        with alice.db() as db:
            jobs.cancel(db, job_id)
        return real(document, format_)

    monkeypatch.setattr(documents, "render", cancelling)
    alice.work()
    assert [file.format for file in files(alice, run_id)] == ["json"]
    with alice.db() as db:
        assert jobs.get(db, job_id).status == "cancelled"


def test_a_failing_report_says_why(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> bytes:
        raise ValueError("no glyph for \ue000")

    monkeypatch.setattr(documents, "render", broken)
    _, job_id = request(alice)
    alice.work()
    told = alice.api.ok("GET", f"/v1/reports/jobs/{ids.show(ids.Prefix.JOB, job_id)}")
    assert (told["status"], told["download_url"], told["files"]) == ("failed", None, [])
    assert told["error"].startswith("ValueError: no glyph")


def test_a_removed_job_leaves_its_run(alice: make.Workspace) -> None:
    run_id, _ = request(alice)
    with alice.db() as db:
        db.execute(text("DELETE FROM jobs"))
    assert run(alice, run_id).job_id is None


def test_what_is_not_there(alice: make.Workspace, bob: make.Workspace) -> None:
    run_id, _ = request(alice)
    with pytest.raises(NotFound), bob.db() as db:
        runs.get(db, run_id)
    with bob.db() as db:
        assert runs.files(db, [run_id]) == {run_id: []}
        assert db.execute(select(Run)).all() == []


@pytest.mark.parametrize(
    "wishes",
    [{"template": "x"}, {"window": "x"}, {"formats": ["x"]}, {"sections": ["x"]}, {"template": "blank"}, {"filters": {"a": 1}}],
)
def test_wrong_wishes_queue_nothing(alice: make.Workspace, wishes: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        request(alice, **wishes)
    with alice.db() as db:
        assert jobs.backlog(db)[0] == 0
        assert db.execute(text("SELECT count(*) FROM report_runs")).scalar_one() == 0


def test_a_source_is_frozen() -> None:
    assert Source.__dataclass_params__.frozen  # type: ignore[attr-defined]
