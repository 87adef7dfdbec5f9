"""A report's narrative end to end: the workspace's model writes it, its calls are kept, and its failing fails nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from everfix.core.prompt_logs import PromptLog
from everfix.documents.model import Narrative
from everfix.reports.runs import Run
from tests import make, model_server
from tests.asking import handed_in
from tests.model_server import Asked, ModelServer, Reply
from tests.test_analyses import configure


@pytest.fixture(scope="module")
def llm_server() -> Iterator[ModelServer]:
    with model_server.running() as made:
        yield made


def made(workspace: make.Workspace) -> Run:
    answer = workspace.api.ok("POST", "/v1/reports/generate", {"template": "issue_digest", "format": "html"})
    workspace.work()
    job = workspace.api.ok("GET", f"/v1/jobs/{answer['id']}")
    assert job["status"] == "succeeded", job
    with workspace.db() as db:
        return db.execute(select(Run).order_by(Run.created_at.desc()).limit(1)).scalar_one()


def as_drafted(asked: Asked) -> Reply:
    """Hand the draft back: what a model does that changes nothing."""
    data = json.loads(next(m["content"] for m in asked.body["messages"] if m["role"] == "user"))
    sections = {part["id"]: part["draft"] for part in data["sections"] if part["draft"]}
    draft = data["draft"]
    told = Narrative(executive_summary=draft["executive_summary"], sections=sections, key_takeaways=draft["key_takeaways"])
    return Reply(text=json.dumps(handed_in(told)))


def test_the_workspaces_model_writes_and_its_calls_are_kept(
    alice: make.Workspace, llm_server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice.learn(*make.failures("database", (9, 8, 3, 2, 1)))
    configure(alice, llm_server, monkeypatch, analyses=False)
    llm_server.says(as_drafted)
    run = made(alice)
    narrative: Any = (run.document or {})["narrative"]
    assert narrative["writer"] == run.written["writer"] == "openai_compatible:local-1", run.written
    assert (run.written["input_tokens"], run.written["output_tokens"], run.written["cost"]) == (1000, 200, None)
    assert narrative["proofs"]
    with alice.db() as db:
        assert [log.purpose for log in db.execute(select(PromptLog)).scalars()] == ["narrative"]
    assert "owner@alice" not in llm_server.asked[0].words


def test_a_provider_that_is_down_fails_no_report(alice: make.Workspace, llm_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """D173."""
    alice.learn(*make.failures("database", (9, 8, 3, 2, 1)))
    configure(alice, llm_server, monkeypatch, analyses=False)
    llm_server.says(Reply(status=500))
    run = made(alice)
    assert run.written["writer"] == "rules"
    assert "answered 500" in run.written["note"]
    with alice.db() as db:
        from everfix.identity.ai import AiSettings

        row = db.execute(select(AiSettings)).scalar_one()
        row.sealed_key = b"sealed under another key"
    assert "enter it again" in made(alice).written["note"]


def test_switched_off_nobody_is_asked(alice: make.Workspace, llm_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.learn(*make.failures("database", (9, 8, 3, 2, 1)))
    configure(alice, llm_server, monkeypatch, narratives=False)
    llm_server.says(as_drafted)
    assert made(alice).written["writer"] == "rules"
    assert llm_server.asked == []
