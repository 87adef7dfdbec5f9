"""`/v1/settings/ai`: who may read and change it, what is never shown, the test, the logs and their retention."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from everfix.core import clock, crypto, llm, prompt_logs
from everfix.core.prompt_logs import PromptLog
from everfix.identity import ai
from everfix.settings import read
from tests import make, model_server
from tests.asking import KEY
from tests.model_server import ModelServer, Reply


@pytest.fixture(scope="module")
def llm_server() -> Iterator[ModelServer]:
    with model_server.running() as made:
        yield made


def put(api: make.Api, **body: Any) -> Any:
    return api.call("PUT", "/v1/settings/ai", json=body)


def test_at_first_nobody_is_asked(alice: make.Workspace) -> None:
    found = alice.viewer.ok("GET", "/v1/settings/ai")
    assert found["effective"] == {"source": "none", "provider": "", "model": "", "problem": ""}
    assert (found["redact"], found["key"], found["prompt_logs_days"]) == (True, {"set": False, "hint": ""}, 90)
    assert set(found["providers"]) >= {"anthropic", "openai", "google", "bedrock", "ollama", "lm_studio", "openai_compatible"}


def test_admins_change_it_and_the_key_is_sealed_and_never_shown(alice: make.Workspace, bob: make.Workspace) -> None:
    assert put(alice.analyst, provider="openai", key=KEY).status_code == 403
    answer = put(alice.admin, provider="OpenAI", key=KEY, language="de-CH")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["provider"], found["language"], found["key"]) == ("openai", "de", {"set": True, "hint": KEY[-4:]})
    assert found["effective"]["source"] == "workspace"
    assert KEY not in answer.text + alice.viewer.get("/v1/settings/ai").text
    with alice.db() as db:
        row = db.execute(select(ai.AiSettings)).scalar_one()
        assert KEY.encode() not in (row.sealed_key or b"")
        assert ai.choices(db, alice.installation.keys, alice.installation.settings)[0].key == KEY
        told = db.execute(text("SELECT details::text FROM audit_log WHERE action = 'ai.settings.changed'")).scalar_one()
        assert KEY not in told
        assert '"key": "set"' in told
    assert bob.viewer.ok("GET", "/v1/settings/ai")["key"]["set"] is False


def test_a_key_is_not_carried_to_another_server(alice: make.Workspace) -> None:
    put(alice.admin, provider="openai", key=KEY)
    moved = put(alice.admin, base_url="https://elsewhere.example/v1")
    assert moved.status_code == 422
    assert moved.json()["error"]["details"]["provider"] == "OpenAI needs an API key"
    assert put(alice.admin, base_url="https://elsewhere.example/v1", key=KEY).json()["key"]["set"] is True
    assert put(alice.admin, provider="", base_url="", key=None).json()["key"]["set"] is False


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"provider": "chatty"}, "provider"),
        ({"provider": "openai"}, "provider"),
        ({"provider": "ollama", "model": "llama3.2"}, "base_url"),
        ({"provider": "openai_compatible", "model": "m", "base_url": "ftp://x"}, "base_url"),
        ({"provider": "openai_compatible", "model": "m", "base_url": "http://u:p@x.example"}, "base_url"),
        ({"provider": "openai_compatible", "model": "m", "base_url": "http://169.254.169.254/v1"}, "base_url"),
        ({"provider": "bedrock", "key": "k", "base_url": "https://x.example"}, "base_url"),
        ({"provider": "bedrock", "key": "k", "options": {"zone": "x"}}, "options"),
        ({"provider": "bedrock", "key": "k", "options": {"auth_mode": "magic"}}, "options.auth_mode"),
        ({"language": "tlh"}, "language"),
        ({"prompt_logs_days": 0}, "prompt_logs_days"),
        ({"auto_per_hour": -1}, "auto_per_hour"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_settings_are_refused_by_name(alice: make.Workspace, body: dict[str, Any], field: str) -> None:
    answer = put(alice.admin, **body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["error"]["details"]
    assert alice.viewer.ok("GET", "/v1/settings/ai")["provider"] == ""


def test_a_key_sealed_under_another_master_key_is_said(alice: make.Workspace) -> None:
    put(alice.admin, provider="openai", key=KEY)
    with alice.db() as db:
        found = ai.effective(db, crypto.Keys(bytes(32)), alice.installation.settings)
    assert "enter it again" in found.problem


def test_the_environment_answers_where_the_workspace_chose_nothing(alice: make.Workspace) -> None:
    """D174: the workspace, then the environment, then the rules."""
    settings = read(anthropic_api_key="a")
    with alice.db() as db:
        assert ai.effective(db, alice.installation.keys, settings).source == "environment"
        assert ai.effective(db, alice.installation.keys, read(ai_provider="chatty")).problem
    put(alice.admin, provider="none")
    with alice.db() as db:
        assert ai.assistant(db, alice.installation.keys, settings) is None


def test_the_test_asks_and_is_logged(alice: make.Workspace, llm_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alice.installation.settings, "outbound_allow", ("127.0.0.1",))
    put(alice.admin, provider="openai_compatible", model="local-1", base_url=llm_server.url + "/v1")
    llm_server.says(Reply({"ready": True}))
    job = alice.admin.ok("POST", "/v1/settings/ai/test")["job_id"]
    alice.work()
    found = alice.api.ok("GET", f"/v1/jobs/{job}")
    assert found["status"] == "succeeded", found
    assert found["result"]["answered_by"] == "openai_compatible:local-1"
    assert found["result"]["cost"] is None
    assert "no list price" in found["result"]["priced_by"]
    llm_server.says(Reply(status=401, text="who are you?"))
    job = alice.admin.ok("POST", "/v1/settings/ai/test")["job_id"]
    alice.work()
    failed = alice.api.ok("GET", f"/v1/jobs/{job}")
    assert (failed["status"], "answered 401" in failed["error"]) == ("failed", True)
    logs = alice.admin.ok("GET", "/v1/prompt-logs")["data"]
    assert [(log["purpose"], log["outcome"]) for log in logs] == [("test", "failed"), ("test", "accepted")]
    assert "Are you ready?" in logs[1]["prompt"]
    assert alice.viewer.get("/v1/prompt-logs").status_code == 403
    usage = alice.viewer.ok("GET", "/v1/settings/ai")["usage"]
    assert (usage["calls"], usage["input_tokens"], usage["unpriced_calls"]) == (2, 1000, 2)


def test_without_a_model_the_test_says_so(alice: make.Workspace) -> None:
    job = alice.admin.ok("POST", "/v1/settings/ai/test")["job_id"]
    alice.work()
    assert "nothing leaves this host" in alice.api.ok("GET", f"/v1/jobs/{job}")["error"]


def test_logs_are_purged_by_their_own_retention(alice: make.Workspace, bob: make.Workspace) -> None:
    """C283."""
    for workspace in (alice, bob):
        with workspace.db() as db:
            calls = [llm.Call("test", "openai", "m", "p", clock.now() - timedelta(days=days), answer="a\x00b") for days in (1, 40, 100)]
            prompt_logs.record(db, calls)
    put(alice.admin, prompt_logs_days=30)
    for workspace in (alice, bob):
        with workspace.db() as db:
            from everfix.core import jobs

            jobs.enqueue(db, "ai.purge", {})
        workspace.work()
    with alice.db() as db:
        assert len(db.execute(select(PromptLog)).all()) == 1
    with bob.db() as db:
        assert len(db.execute(select(PromptLog)).all()) == 2


def test_who_works_here_is_hidden(alice: make.Workspace) -> None:
    with alice.db() as db:
        redactor = ai.redactor(db)
    assert redactor is not None
    assert redactor.hide("Alice Owner said so to owner@alice.example") == "[name A] said so to [e-mail A]"
    put(alice.admin, redact=False)
    with alice.db() as db:
        assert ai.redactor(db) is None
