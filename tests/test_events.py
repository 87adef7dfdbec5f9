"""Ingest: one statement per batch; the same failure is one issue; older never overwrites newer; bad records stop nobody."""

# ruff: noqa: E501 - sent records read best on few lines

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select, text

from everfix.core import ids
from everfix.ingest import events, sources
from everfix.ingest.events import Issue, Signal
from tests import make


def accept(workspace: make.Workspace, *records: object) -> events.Accepted:
    with workspace.db() as db:
        return events.accept(db, records)


def stored(workspace: make.Workspace, external_id: str, source: str = "pagerduty") -> Issue:
    with workspace.db() as db:
        return db.execute(select(Issue).where(Issue.external_id == external_id, Issue.source == source)).scalar_one()


def test_a_failure_is_stored_as_sent(alice: make.Workspace, time: Any) -> None:
    connector = ids.new()
    sent = {
        "external_id": "PD-1", "source": "pagerduty", "title": "Checkout down", "body": "All of it", "severity": "p1", "team": "shop", "kind": "incident",
        "external_url": "https://pd.example/1", "source_created_at": "2026-03-01T10:00:00+01:00", "source_updated_at": "2026-03-01T10:05:00Z",
        "connector_id": ids.show(ids.Prefix.CONNECTOR, connector), "metadata": {"a": [1, None, {"b": "ä"}], "": 1.5}, "service": "checkout", "environment": "prod",
        "error_type": "TimeoutError", "stacktrace": "at x", "release": "1.2", "acknowledged_at": "2026-03-01T09:10:00Z", "resolved_at": "2026-03-01T09:30:00Z",
    }  # fmt: skip
    found = accept(alice, sent)
    assert (found.created, found.updated, found.stale, found.rejected) == (1, 0, 0, ())
    issue = stored(alice, "PD-1")
    assert issue.id == found.issues[0]
    moment = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
    assert (issue.occurred_at, issue.source_created_at, issue.source_updated_at) == (moment, moment, moment + timedelta(minutes=65))
    assert (issue.status, issue.analysis_status, issue.connector_id) == ("resolved", "pending", connector)
    assert issue.details == sent["metadata"]
    for name in (
        "title",
        "body",
        "severity",
        "team",
        "kind",
        "external_url",
        "service",
        "environment",
        "error_type",
        "stacktrace",
        "release",
    ):
        assert getattr(issue, name) == sent[name], name
    with alice.db() as db:
        assert db.execute(select(Signal.payload)).scalar_one() == sent


def test_the_least_that_is_needed(alice: make.Workspace, time: Any) -> None:
    accept(alice, {"external_id": " x-1 "})
    issue = stored(alice, "x-1", "custom_api")
    assert (issue.title, issue.body, issue.severity, issue.kind, issue.status, issue.details) == ("x-1", "", "p3", "incident", "open", {})
    assert issue.occurred_at == make.NOW


@pytest.mark.parametrize(("sent", "kept"), [*events.SEVERITY_ALIASES.items(), ("CRITICAL", "p1"), (" P2 ", "p2"), ("p4", "p4")])
def test_severity_aliases(alice: make.Workspace, sent: str, kept: str) -> None:
    accept(alice, make.event(external_id="s", severity=sent))
    assert stored(alice, "s").severity == kept


@pytest.mark.parametrize(("sent", "kept"), [*events.STATUS_ALIASES.items(), ("closed", "closed")])
def test_status_aliases(alice: make.Workspace, sent: str, kept: str) -> None:
    accept(alice, make.event(external_id="s", status=sent))
    assert stored(alice, "s").status == kept


@pytest.mark.parametrize(
    ("sent", "kept"), [("pagerduty", "pagerduty"), ("PagerDuty", "pagerduty"), ("our-own-tool", "custom_api"), ("", "custom_api")]
)
def test_an_unknown_source_becomes_custom_api(sent: str, kept: str) -> None:
    """C181."""
    assert events.read({"external_id": "x", "source": sent}).source == kept


def test_the_sources_are_those_of_the_reference() -> None:
    named = {
        "datadog",
        "dynatrace",
        "newrelic",
        "aws_cloudwatch",
        "pagerduty",
        "jira",
        "linear",
        "opsgenie",
        "salesforce",
        "zendesk",
        "hubspot",
    }
    named |= {"postgresql", "snowflake", "bigquery", "okta", "crowdstrike", "splunk", "servicenow", "custom_api"}
    assert named <= sources.ALL
    assert len(sources.VENDORS) >= 70


def test_a_long_external_id_becomes_a_title_that_fits() -> None:
    assert len(events.read({"external_id": "x" * 512}).title) == 300


def test_the_same_failure_is_one_issue(alice: make.Workspace) -> None:
    """C180."""
    first = accept(alice, make.event(external_id="one", title="First"))
    again = accept(alice, make.event(external_id="one", title="Second"))
    assert again.issues == first.issues
    assert (again.created, again.updated, again.stale) == (0, 1, 0)
    assert stored(alice, "one").title == "Second"
    other = accept(alice, make.event(external_id="one", source="jira"))
    assert other.created == 1
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM signals")).scalar_one() == 3, "each submission is kept"


def test_workspaces_do_not_share_external_ids(alice: make.Workspace, bob: make.Workspace) -> None:
    accept(alice, make.event(external_id="one", title="Alice's"))
    assert accept(bob, make.event(external_id="one", title="Bob's")).created == 1
    assert stored(alice, "one").title == "Alice's"


def at(minute: int) -> str:
    return datetime(2026, 3, 1, 10, minute, tzinfo=UTC).isoformat()


def test_older_never_overwrites_newer(alice: make.Workspace) -> None:
    accept(alice, make.event(external_id="one", title="Newer", severity="p1", source_updated_at=at(30)))
    late = accept(alice, make.event(external_id="one", title="Older", severity="p4", source_updated_at=at(10)))
    assert (late.created, late.updated, late.stale) == (0, 0, 1)
    assert len(late.issues) == 1
    issue = stored(alice, "one")
    assert (issue.title, issue.severity) == ("Newer", "p1")
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM signals")).scalar_one() == 2, "the late one is kept as it came"


def test_an_equal_time_counts_as_newer(alice: make.Workspace) -> None:
    accept(alice, make.event(external_id="one", title="A", source_updated_at=at(10)))
    accept(alice, make.event(external_id="one", title="B", source_updated_at=at(10)))
    assert stored(alice, "one").title == "B"


def test_in_one_batch_the_newest_wins_wherever_it_stands(alice: make.Workspace) -> None:
    records = [make.event(external_id="one", title=f"minute {minute}", source_updated_at=at(minute)) for minute in (20, 50, 10)]
    found = accept(alice, *records)
    assert len(set(found.issues)) == 1
    assert (found.created, found.updated, found.stale) == (1, 0, 0)
    assert stored(alice, "one").title == "minute 50"
    with alice.db() as db:
        kept = db.execute(select(Signal.payload).order_by(Signal.id)).scalars().all()
    assert kept == records


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(order=st.permutations(range(6)), cuts=st.lists(st.booleans(), min_size=6, max_size=6))
def test_whatever_the_order_and_the_batches_the_newest_stands(alice: make.Workspace, order: list[int], cuts: list[bool]) -> None:
    records = [
        make.event(external_id="one", title=f"{minute}", severity=f"p{minute % 4 + 1}", source_updated_at=at(minute)) for minute in order
    ]
    batch: list[dict[str, Any]] = []
    for record, cut in zip(records, cuts, strict=True):
        batch.append(record)
        if cut:
            accept(alice, *batch)
            batch = []
    if batch:
        accept(alice, *batch)
    issue = stored(alice, "one")
    assert (issue.title, issue.severity) == ("5", "p2")
    with alice.db() as db:
        db.execute(text("DELETE FROM issues"))


def test_an_update_keeps_what_it_does_not_say(alice: make.Workspace) -> None:
    accept(alice, make.event(external_id="one", team="shop", service="checkout", external_url="https://x.example", source_created_at=at(0)))
    accept(alice, {"external_id": "one", "source": "pagerduty", "title": "Again"})
    issue = stored(alice, "one")
    assert (issue.title, issue.team, issue.service, issue.external_url) == ("Again", "shop", "checkout", "https://x.example")
    assert issue.occurred_at == datetime(2026, 3, 1, 10, 0, tzinfo=UTC)


def test_an_update_resolves_and_a_stated_status_reopens(alice: make.Workspace) -> None:
    accept(alice, make.event(external_id="one"))
    accept(alice, make.event(external_id="one", resolved_at=at(5)))
    assert stored(alice, "one").status == "resolved"
    accept(alice, make.event(external_id="one", status="open"))
    issue = stored(alice, "one")
    assert issue.status == "open"


def test_a_person_who_closed_an_issue_is_not_overruled_by_an_update(alice: make.Workspace) -> None:
    accept(alice, make.event(external_id="one"))
    alice.api.patch(f"/v1/issues/{stored(alice, 'one').id}", {"status": "closed"})
    accept(alice, make.event(external_id="one", resolved_at=at(5)))
    assert stored(alice, "one").status == "closed"


def test_only_a_change_of_what_it_is_asks_for_a_new_judgement(alice: make.Workspace) -> None:
    alice.api.ok("POST", "/v1/ingest/events", make.event(external_id="one", title="Pool exhausted"))
    alice.work()
    judged = stored(alice, "one")
    assert judged.fingerprint is not None
    assert judged.analysis_status == "done"
    accept(alice, make.event(external_id="one", title="Pool exhausted", severity="p1", metadata={"n": 2}))
    assert (stored(alice, "one").fingerprint, stored(alice, "one").analysis_status) == (judged.fingerprint, "done")
    accept(alice, make.event(external_id="one", title="Disk full"))
    assert (stored(alice, "one").fingerprint, stored(alice, "one").analysis_status) == (None, "pending")


def test_bad_records_are_refused_one_by_one(alice: make.Workspace) -> None:
    found = accept(
        alice, make.event(), None, make.event(severity="p9"), [], make.event(), {"title": "no id"}, "text", make.event(body="a\x00b")
    )
    assert len(found.issues) == 2
    assert [reject.index for reject in found.rejected] == [1, 2, 3, 5, 6, 7]
    reasons = {reject.index: reject.reason for reject in found.rejected}
    assert reasons[1] == "a record is a JSON object, not NoneType"
    assert reasons[2].startswith("severity: Input should be 'p1', 'p2', 'p3' or 'p4'")
    assert "(got 'p9')" in reasons[2]
    assert reasons[5].startswith("external_id: Field required")
    assert reasons[7].startswith("body: must not hold the NUL character")


def test_all_bad_stores_nothing_and_asks_nothing(alice: make.Workspace) -> None:
    with alice.db() as db:
        count = _statements(db)
        found = events.accept(db, [{}, None])
        assert count == []
    assert (found.issues, len(found.rejected)) == ((), 2)


def _statements(db: Any) -> list[str]:
    seen: list[str] = []
    event.listen(db.connection(), "before_cursor_execute", lambda *args: seen.append(args[2]))
    return seen


@pytest.mark.parametrize("size", [1, 7, 500])
def test_a_batch_is_one_statement(alice: make.Workspace, size: int) -> None:
    accept(alice, *(make.event(external_id=f"{n}") for n in range(size // 2)))
    with alice.db() as db:
        seen = _statements(db)
        found = events.accept(db, [make.event(external_id=f"{n}") for n in range(size)])
        assert len(seen) == 1
    assert (found.created, found.updated) == (size - size // 2, size // 2)


def test_two_batches_in_opposite_order_do_not_deadlock(alice: make.Workspace) -> None:
    """Rows are written in one order, whatever order they came in."""
    import threading

    records = [make.event(external_id=f"{n}") for n in range(200)]
    problems: list[BaseException] = []

    def send(given: list[dict[str, Any]]) -> None:
        try:
            for _ in range(5):
                accept(alice, *given)
        except BaseException as problem:  # noqa: BLE001 - shown below
            problems.append(problem)

    threads = [threading.Thread(target=send, args=(given,)) for given in (records, records[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM issues")).scalar_one() == 200


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8), inner, max_size=5),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    metadata=st.dictionaries(
        st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=8), json_values, max_size=5
    )
)
def test_metadata_comes_back_exactly_as_sent(alice: make.Workspace, metadata: dict[str, Any]) -> None:
    answer = alice.api.post("/v1/ingest/events", make.event(external_id="m", metadata=metadata))
    assert answer.status_code == 202, answer.text
    found = alice.api.ok("GET", f"/v1/issues/{answer.json()['issue_id']}")
    assert found["metadata"] == metadata
    assert {type(value) for value in found["metadata"].values()} == {type(value) for value in metadata.values()}


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"a": list(range(6_000))}, "holds more than 5000 values"),
        ({"a": [[[[[[[[[[[[1]]]]]]]]]]]]}, "is nested deeper than 12 levels"),
        ({"a\x00": 1}, "must not hold the NUL character"),
        ({"a": float("nan")}, "must not hold NaN or Infinity"),
    ],
)
def test_metadata_has_bounds(metadata: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"metadata: {reason}"):
        events.read(make.event(metadata=metadata))
    with pytest.raises(ValueError, match=reason):
        events.read(make.event(unknown=metadata))
