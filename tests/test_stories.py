"""The executive page's words: the rules' at once, the model's when it has written, never waited for, and kept for the hour."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select

from everfix.core import jobs
from everfix.core.prompt_logs import PromptLog
from everfix.reports import stories
from everfix.reports.stories import Story
from tests import make, model_server
from tests.conftest import Clock
from tests.model_server import Asked, ModelServer, Reply
from tests.test_analyses import configure
from tests.test_narrated_runs import as_drafted
from tests.test_web import Person

PAGE = "/dashboards/executive"


@pytest.fixture(scope="module")
def llm_server() -> Iterator[ModelServer]:
    with model_server.running() as made:
        yield made


@pytest.fixture
def full(alice: make.Workspace, time: Clock) -> make.Workspace:
    alice.learn(*make.failures("database", (9, 8, 3, 2, 1)))
    return alice


@pytest.fixture
def owner_page(alice: make.Workspace) -> Person:
    return Person(alice.client).enter(alice.secrets["owner"])


def told(workspace: make.Workspace) -> Story:
    with workspace.db() as db:
        return db.execute(select(Story)).scalar_one()


def asked_for(workspace: make.Workspace) -> list[jobs.Job]:
    with workspace.db() as db:
        return list(db.execute(select(jobs.Job).where(jobs.Job.kind == stories.TASK).order_by(jobs.Job.id)).scalars())


def lied(asked: Asked) -> Reply:
    """A model that puts a figure of its own into the summary."""
    reply = as_drafted(asked)
    data: dict[str, Any] = json.loads(reply.text or "")
    data["executive_summary"] = ["There were 987654 issues."]
    return Reply(text=json.dumps(data))


def test_the_page_never_waits_and_then_has_the_models_words(
    full: make.Workspace, owner_page: Person, llm_server: ModelServer, monkeypatch: pytest.MonkeyPatch, time: Clock
) -> None:
    configure(full, llm_server, monkeypatch, analyses=False)
    llm_server.says(as_drafted)
    first = owner_page.page(PAGE)
    assert "by rules" in first
    assert llm_server.asked == [], "nobody is asked while the page is made"
    owner_page.page(PAGE)
    assert len(asked_for(full)) == 1, "one look or many: one call"
    full.work()
    assert len(llm_server.asked) == 1
    assert told(full).words["writer"] == "openai_compatible:local-1"
    assert "by openai_compatible:local-1, every figure proven" in owner_page.page(PAGE)
    with full.db() as db:
        (log,) = db.execute(select(PromptLog)).scalars()
    assert log.purpose == "narrative"
    time.advance(minutes=61)
    owner_page.page(PAGE)
    assert len(asked_for(full)) == 2, "an hour later it is written anew"


def test_a_model_that_lies_or_is_down_leaves_the_rules_words(
    full: make.Workspace, owner_page: Person, llm_server: ModelServer, monkeypatch: pytest.MonkeyPatch, time: Clock
) -> None:
    configure(full, llm_server, monkeypatch, analyses=False)
    for reply, note in ((lied, ""), (Reply(status=500), "answered 500")):
        llm_server.says(reply)
        owner_page.page(PAGE)
        before = told(full).words["executive_summary"]
        full.work()
        after = told(full).words
        assert "987654" not in json.dumps(after)
        assert after["executive_summary"] == before
        assert note in after["note"]
        assert note in owner_page.page(PAGE)
        time.advance(minutes=61)


def test_words_written_anew_meanwhile_are_left_alone(
    full: make.Workspace, owner_page: Person, llm_server: ModelServer, monkeypatch: pytest.MonkeyPatch, time: Clock
) -> None:
    configure(full, llm_server, monkeypatch, analyses=False)
    llm_server.says(as_drafted)
    owner_page.page(PAGE)
    time.advance(minutes=61)
    owner_page.page(PAGE)
    asked = len(llm_server.asked)
    full.work()
    assert len(llm_server.asked) == asked + 1, "the first call is of no use any more"
    assert [job.result["writer"] for job in asked_for(full) if job.result] == ["", "openai_compatible:local-1"]


def test_without_a_model_nothing_is_queued(full: make.Workspace, owner_page: Person) -> None:
    owner_page.page(PAGE)
    assert asked_for(full) == []
