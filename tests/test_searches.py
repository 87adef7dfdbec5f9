"""Searches: through the words or along the list, the same issues are found; nobody finds another workspace's; every count is answered by an index."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, cast, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.sql import visitors

from everfix.api.v1 import issues as listed
from everfix.core import ids
from everfix.core.db import Database
from everfix.failures import filters, issues, searches
from everfix.ingest.events import Issue
from everfix.installation import Installation
from tests import make

WORDS = ("pool", "pool exhausted", "exh", "POOL", "orders_db", "zürich", "checkout-api", "12", "timeout pool", "nowhere", "a b c", "of")
TITLES = (
    "Connection pool of orders_db exhausted", "Pool exhausted in Zürich", "checkout-api: timeout after 12 s", "Timeout of the pool", "Disk full",
    "a b c", "A b", "orders-db pool 12345",
)  # fmt: skip


@pytest.fixture
def filled(alice: make.Workspace, bob: make.Workspace, owner: Database) -> make.Workspace:
    """Issues of two workspaces, so often that some words are common, and what the planner knows of them."""
    for workspace in (alice, bob):
        workspace.ingest(*(make.event(title=title, body=f"number {place}") for place in range(6) for title in TITLES))
    with owner.transaction() as db:
        db.execute(text("ANALYZE issues"))
    return alice


def _through(workspace: make.Workspace, wanted: filters.IssueFilter) -> set[str]:
    with workspace.db() as db:
        query, _ = searches.quick(db, wanted, select(Issue.id))
        return {str(one) for one in db.execute(wanted.narrow(select(Issue.id)) if query is None else query).scalars()}


@pytest.mark.parametrize("common", [False, True], ids=["no word is common", "as counted"])
@pytest.mark.parametrize("said", WORDS)
def test_through_the_words_the_same_is_found(filled: make.Workspace, owner: Database, said: str, common: bool) -> None:
    if not common:
        with owner.transaction() as db:
            db.execute(text("DELETE FROM pg_statistic WHERE starelid = 'ix_issues_search'::regclass"))
    for more in ({}, {"severity": "p3"}, {"severity": "p1"}):
        wanted = filters.IssueFilter(q=said, **more)
        with filled.db() as db:
            expected = {str(one) for one in db.execute(wanted.narrow(select(Issue.id))).scalars()}
        assert _through(filled, wanted) == expected


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("node-api/test_threadsafe_function/test fails", "test_threadsafe_function"),
        ("node-api/test_threadsafe_function/test fails", "node-api/test_threadsafe_function/test"),
        ("node-api/test_threadsafe_function/test fails", "threadsafe"),
        ("GET https://shop.example/v2/orders?id=12 answers 500", "orders"),
        ("GET https://shop.example/v2/orders?id=12 answers 500", "shop.example"),
        ("org.acme.billing.InvoiceService failed", "InvoiceServ"),
        (r"C:\builds\agent-7\out.log is full", "agent-7"),
        ("mail to ops@shop.example bounced", "ops@shop.example"),
        ("version 1.24.3 cannot start", "1.24.3"),
        ("It's down, isn't it", "isn't"),
    ],
)
def test_words_inside_paths_names_and_addresses(alice: make.Workspace, title: str, said: str) -> None:
    [wanted, _] = alice.ingest(make.event(title=title), make.event(title="Disk full"))
    found = alice.viewer.ok("GET", "/v1/issues", q=said)["data"]
    assert [row["id"] for row in found] == [ids.show(ids.Prefix.ISSUE, wanted)]


def test_common_words_are_common(filled: make.Workspace) -> None:
    """Else the test above would try one way twice."""
    with filled.db() as db:
        assert searches.quick(db, filters.IssueFilter(q="pool"), select(Issue.id))[0] is None
        assert searches.quick(db, filters.IssueFilter(q="pool nowhere"), select(Issue.id))[0] is not None


def _held(workspace: make.Workspace, *words: str) -> list[object]:
    with workspace.db() as db:
        return list(db.execute(select(func.everfix_issues_holding(cast(list(words), ARRAY(TEXT)), 100))).scalars())


def test_no_other_workspace_is_searched(alice: make.Workspace, bob: make.Workspace, installation: Installation) -> None:
    alice.ingest(make.event(title=f"secret of {bob.id} and of {alice.id}"))
    assert len(_held(alice, "secret")) == 1
    assert _held(bob, "secret") == []
    assert _held(bob, "secret", str(bob.id).split("-", maxsplit=1)[0]) == []
    assert bob.api.ok("GET", "/v1/issues", q="secret")["data"] == []
    with installation.database.transaction() as db:  # no workspace at all
        assert db.execute(text("SELECT * FROM everfix_issues_holding(ARRAY['secret'], 100)")).all() == []


def test_words_cannot_reach_around(alice: make.Workspace, bob: make.Workspace) -> None:
    """What is passed as a word is a word: no operator in it leaves the workspace."""
    alice.ingest(make.event(title="secret"))
    for word in ("secret | x", "!nothing", "x:* | secret", "!x:* | !secret"):
        with bob.db() as db:
            found = db.execute(text("SELECT * FROM everfix_issues_holding(ARRAY[:word], 100)"), {"word": word}).scalars().all()
        assert [one for one in found if one is not None] == []
    with pytest.raises(ProgrammingError, match="tsquery"):
        _held(bob, "secret' | '")


def test_the_function_reads_the_index(filled: make.Workspace, owner: Database) -> None:
    with owner.transaction() as db:
        source = str(db.execute(text("SELECT prosrc FROM pg_proc WHERE proname = 'everfix_issues_holding'")).scalar_one())
        inner = source.split("FROM (")[1].split(" OFFSET 0", maxsplit=1)[0].replace("$1", "to_tsquery('simple', 'zebra')")
        db.execute(text("SET LOCAL enable_seqscan = off"))
        assert "ix_issues_search" in "\n".join(db.execute(text(f"EXPLAIN {inner}")).scalars())


def test_a_cursor_holds_when_words_become_many(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.ingest(*(make.event(title=f"zebra {number}") for number in range(6)))
    first = alice.api.ok("GET", "/v1/issues", q="zebra", limit=2)
    monkeypatch.setattr(searches, "FEW", 3)
    second = alice.api.ok("GET", "/v1/issues", q="zebra", limit=4, cursor=first["page"]["next_cursor"])
    assert len({row["id"] for row in first["data"] + second["data"]}) == 6
    assert first["page"]["total"] == second["page"]["total"] == 6


@pytest.mark.parametrize("more", [{}, {"severity": "p3"}])
def test_totals(filled: make.Workspace, monkeypatch: pytest.MonkeyPatch, more: dict[str, str]) -> None:
    """Exact up to EXACT, whichever way; above, an estimate that says more."""
    for said in ("zürich", "12345", "pool", "timeout"):
        true = len(_through(filled, filters.IssueFilter(q=said, **more)))
        for few in (0, 4_000):
            monkeypatch.setattr(searches, "FEW", few)
            assert filled.api.ok("GET", "/v1/issues", q=said, **more)["page"]["total"] == true
    monkeypatch.setattr(searches, "EXACT", 2)
    monkeypatch.setattr(searches, "ENOUGH", 1)
    monkeypatch.setattr(searches, "FEW", 1)
    assert filled.api.ok("GET", "/v1/issues", q="pool")["page"]["total"] == 24  # the whole of a small table is its sample
    assert filled.api.ok("GET", "/v1/issues", q="12345")["page"]["total"] == 6


def test_every_filter_is_checked_in_the_index_of_the_usual_order() -> None:
    """So a count, and a walk past what does not fit, need not fetch a row; row-level security asks for no other column (see test_rls)."""
    index = next(one for one in Issue.__table__.indexes if one.name == "ix_issues_created")  # type: ignore[attr-defined]
    held = {column.name for column in index.columns}
    words = {
        "status": "open",
        "severity": "p1",
        "kind": "check",
        "analysis_status": "done",
        "source": "x",
        "team": "x",
        "service": "x",
        "linked": True,
    }
    words |= {"risk_min": 1, "risk_max": 2, "date_from": "2026-01-01T00:00:00Z", "date_to": "2026-01-02T00:00:00Z"}
    words |= dict.fromkeys(("pattern_id", "assignee_id"), "01900000-0000-7000-8000-000000000000")
    asked = filters.IssueFilter(**words)
    assert asked.model_fields_set == set(filters.IssueFilter.model_fields) - {"q"}, "a new filter: add it here, and to events.FILTERED"
    used = {part.name for condition in asked.conditions() for part in visitors.iterate(condition) if isinstance(part, Column)}
    assert used <= held
    assert len(used) >= 11


def test_lists_leave_out_what_they_do_not_show() -> None:
    shown = set(listed.IssueOut.model_fields)
    assert not shown & {"stacktrace", "assignment", "search"}
    assert issues.words("a-b_c 12") == ["a", "b_c", "12"]
