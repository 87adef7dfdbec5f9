"""The page of the AI settings and the card of an issue's root cause: who sees and changes what, and what never shows."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from everfix.failures import analyses
from tests import make, model_server
from tests.asking import KEY
from tests.model_server import ModelServer, Reply
from tests.test_analyses import issue_of, run, story
from tests.test_web import CSRF, PART, Person


@pytest.fixture(scope="module")
def llm_server() -> Iterator[ModelServer]:
    with model_server.running() as made:
        yield made


def person(workspace: make.Workspace, role: str) -> Person:
    return Person(workspace.client).enter(workspace.secrets[role])


def csrf(who: Person) -> str:
    found = CSRF.search(who.page("/settings/ai"))
    assert found
    return found[1]


FORM = {
    "provider": "openai",
    "key": KEY,
    "language": "de",
    "prompt_logs_days": "60",
    "auto_per_hour": "5",
    "redact": "true",
    "narratives": "true",
}


def test_an_admin_settles_it_and_the_key_never_shows(alice: make.Workspace) -> None:
    who = person(alice, "admin")
    kept = who.post("/settings/ai", {"csrf": csrf(who), **FORM})
    assert kept.status_code == 303, kept.text
    page = who.page("/settings/ai?kept=1")
    assert "The settings were kept." in page
    assert KEY not in page
    assert f"ends in {KEY[-4:]}" in page
    assert "<b>OpenAI</b>" in page
    found = alice.viewer.ok("GET", "/v1/settings/ai")
    assert (found["language"], found["prompt_logs_days"], found["analyses"], found["narratives"]) == ("de", 60, False, True)
    who.post("/settings/ai", {"csrf": csrf(who), **FORM, "key": ""})
    assert alice.viewer.ok("GET", "/v1/settings/ai")["key"]["set"] is True, "an empty field keeps the key"
    who.post("/settings/ai", {"csrf": csrf(who), **FORM, "key": "", "provider": "", "forget": "true"})
    assert alice.viewer.ok("GET", "/v1/settings/ai")["key"]["set"] is False


def test_what_is_wrong_is_said_and_nothing_changes(alice: make.Workspace) -> None:
    who = person(alice, "owner")
    wrong = who.post("/settings/ai", {"csrf": csrf(who), **FORM, "provider": "ollama", "key": "", "model": "llama3.2"})
    assert wrong.status_code == 422
    assert "EVERFIX_OUTBOUND_ALLOW=localhost" in wrong.text
    assert 'value="llama3.2"' in wrong.text, "what was typed stays"
    assert alice.viewer.ok("GET", "/v1/settings/ai")["provider"] == ""


def test_a_viewer_sees_and_cannot_change(alice: make.Workspace) -> None:
    who = person(alice, "viewer")
    page = who.page("/settings/ai")
    assert "Only admins change this." in page
    assert "<fieldset" in page
    assert "disabled" in page
    assert who.post("/settings/ai", {"csrf": person_csrf(who), **FORM}).status_code == 403


def person_csrf(who: Person) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', who.page("/settings/ai"))
    assert found
    return found[1]


def test_the_test_button_follows_its_job(alice: make.Workspace, llm_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alice.installation.settings, "outbound_allow", ("127.0.0.1",))
    who = person(alice, "admin")
    form = {**FORM, "provider": "lm_studio", "model": "qwen", "base_url": llm_server.url + "/v1"}
    assert who.post("/settings/ai", {"csrf": csrf(who), **form}).status_code == 303
    llm_server.says(Reply({"ready": True}))
    asked = who.post("/settings/ai/test", {"csrf": csrf(who)}, **PART)
    assert "Asking…" in asked.text
    follow = re.search(r'hx-get="([^"]+)"', asked.text)
    assert follow
    alice.work()
    told = who.get(follow[1], **PART).text
    assert "lm_studio:qwen" in told
    assert "LM Studio has no list price" in told
    assert who.get("/settings/ai/test/job_01J00000000000000000000000", **PART).status_code == 404
    assert "of these calls is not known" in who.page("/settings/ai")


def test_the_root_cause_shows_on_the_issue(alice: make.Workspace, bob: make.Workspace) -> None:
    story(alice)
    issue = issue_of(alice, "TimeoutError")
    who = person(alice, "analyst")
    assert "It has not been analysed yet." in who.page(f"/issues/{issue.id}")
    run(alice)
    page = who.page(f"/issues/{issue.id}")
    assert "<b>Changes of checkout</b>" in page
    assert page.count('class="dot"') >= 2
    assert 'class="ring"' in page
    assert set(re.findall(r'class="cite" href="#(e\d+)"', page)) <= set(re.findall(r'<li id="(e\d+)"', page))
    assert "written by the rules" in page
    again = who.post(f"/issues/{issue.id}/reanalyze", {"csrf": csrf(who), "tier": "deep"})
    assert again.status_code == 303
    assert "analyzing" in who.page(f"/issues/{issue.id}")
    assert 'hx-trigger="every 2s"' in who.get(f"/issues/{issue.id}/analysis", **PART).text
    alice.work()
    assert "Version 2" in who.get(f"/issues/{issue.id}/analysis", **PART).text
    assert person(bob, "owner").get(f"/issues/{issue.id}/analysis", **PART).status_code == 404
    assert who.post(f"/issues/{issue.id}/reanalyze", {"csrf": csrf(who), "tier": "magic"}).status_code == 422
    viewer = person(alice, "viewer")
    assert "Re-analyze" not in viewer.page(f"/issues/{issue.id}")
    with alice.db() as db:
        assert analyses.newest(db, issue.id) is not None
