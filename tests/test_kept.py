"""Kept: old runs and exports go with their files, young ones stay, and a legal hold stops it all."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from everfix import kept, worker
from everfix.core import jobs
from tests import make


def _made(workspace: make.Workspace) -> dict[str, Any]:
    workspace.api.ok("POST", "/v1/reports/generate", {"template": "blank", "sections": ["issue_kpis"], "format": "json"})
    export = workspace.api.ok("POST", "/v1/exports", {"resource": "members"})
    workspace.work()
    found: dict[str, Any] = workspace.api.ok("GET", f"/v1/exports/{export['id']}")
    return found


def _stored(workspace: make.Workspace) -> int:
    with workspace.db() as db:
        keys = db.execute(text("SELECT storage_key FROM files UNION ALL SELECT storage_key FROM export_files")).scalars().all()
    root = workspace.installation.settings.data_dir / "files"
    assert all((root / key).exists() for key in keys)
    return len(keys)


def _sweep(workspace: make.Workspace) -> None:
    with workspace.db() as db:
        jobs.enqueue(db, kept.TASK, {})
    workspace.work()


def test_what_is_old_goes_and_what_is_young_stays(alice: make.Workspace, anyone: make.Api, time: Any) -> None:
    """C239."""
    old = _made(alice)
    time.advance(days=364)
    young = _made(alice)
    _sweep(alice)
    assert _stored(alice) == 6
    before = list(alice.installation.storage.keys(alice.id, "exports"))
    time.advance(days=2)
    _sweep(alice)
    assert _stored(alice) == 3
    assert len(list(alice.installation.storage.keys(alice.id, "exports"))) == len(before) - 2
    assert alice.api.get(f"/v1/exports/{old['id']}").status_code == 404
    assert alice.api.ok("GET", f"/v1/exports/{young['id']}")["download_url"]
    assert len(alice.api.ok("GET", "/v1/reports/jobs")["data"]) >= 1
    with alice.db() as db:
        said = db.execute(text("SELECT details FROM audit_log WHERE action = 'files.swept' ORDER BY number")).scalars().all()
    assert [(one["kind"], one["removed"], one["older_than_days"]) for one in said] == [("report_runs", 1, 365), ("exports", 1, 365)]


def test_the_workspace_says_how_long(alice: make.Workspace, bob: make.Workspace, time: Any) -> None:
    """C239."""
    assert alice.api.ok("GET", "/v1/workspace/files") == {"days": 365, "legal_hold": False}
    assert alice.api.ok("PATCH", "/v1/workspace/files", {"days": 7}) == {"days": 7, "legal_hold": False}
    _made(alice)
    _made(bob)
    time.advance(days=8)
    _sweep(alice)
    _sweep(bob)
    assert (_stored(alice), _stored(bob)) == (0, 3)


def test_a_legal_hold_keeps_everything(alice: make.Workspace, time: Any) -> None:
    _made(alice)
    alice.api.ok("PATCH", "/v1/workspace/files", {"days": 1, "legal_hold": True})
    time.advance(days=900)
    _sweep(alice)
    assert _stored(alice) == 3
    alice.api.ok("PATCH", "/v1/workspace/files", {"legal_hold": False})
    _sweep(alice)
    assert _stored(alice) == 0


def test_what_is_still_worked_on_stays(alice: make.Workspace, time: Any) -> None:
    export = alice.api.ok("POST", "/v1/exports", {"resource": "members"})
    time.advance(days=400)
    with alice.db() as db:
        job = jobs.enqueue(db, kept.TASK, {})
    worker._one(worker.TASKS[kept.TASK], alice.installation, alice.id, job)
    assert alice.api.ok("GET", f"/v1/exports/{export['id']}")["status"] == "queued"


@pytest.mark.parametrize("body", [{"days": 0}, {"days": 4000}, {"days": "x"}, {"years": 1}])
def test_bad_rules_are_refused(alice: make.Workspace, body: dict[str, Any]) -> None:
    assert alice.api.patch("/v1/workspace/files", body).status_code == 422


def test_the_clock_queues_a_sweep_once_an_hour(alice: make.Workspace) -> None:
    _made(alice)
    for _ in range(3):
        worker.tick(alice.installation)
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM jobs WHERE kind = 'files.sweep'")).scalar_one() == 1
