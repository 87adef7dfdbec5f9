"""`/v1/recommendations/{id}`: status and claim, steps, attestation as a person's word and as a document, tickets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from everfix.core import jobs
from everfix.delivery import outbox
from everfix.failures import loop, pushes
from tests import delivering, make, sinks
from tests.conftest import Clock
from tests.sinks import Answer, Got


def one(workspace: make.Workspace) -> dict[str, Any]:
    workspace.learn(*make.failures("database", [3.0 * n + 1 for n in range(30)], release="2.4.0"))
    return workspace.viewer.ok("GET", "/v1/recommendations")["data"][0]  # type: ignore[no-any-return]


def path(found: dict[str, Any], rest: str = "") -> str:
    return f"/v1/recommendations/{found['id']}{rest}"


def test_c162_the_detail_shows_everything(alice: make.Workspace) -> None:
    """C173."""
    found = alice.viewer.ok("GET", path(one(alice)))
    assert {"status", "type", "effort", "impact", "rank", "expected_loops_prevented", "steps", "pattern_ids", "attestation"} <= set(found)
    assert (found["status"], found["rank"], found["attestation"], found["verifications"], found["tickets"]) == (
        "pending",
        1,
        "none",
        [],
        [],
    )
    assert found["why"]["expected_recurrences"] > 0, "the arithmetic of its rank is shown"
    with alice.db() as db:
        rate = db.execute(text("UPDATE workspaces SET loop_cost = 1234 RETURNING loop_cost")).scalar_one()
        loop.refresh(db, make.NOW)
    found = alice.viewer.ok("GET", path(found))
    assert found["expected_cost_saved"] == pytest.approx(found["expected_loops_prevented"] * rate, abs=0.01)


def test_c163_c166_the_flow_and_the_watch(alice: make.Workspace, time: Clock) -> None:
    found = one(alice)
    assert alice.analyst.ok("PATCH", path(found), {"status": "in_progress"})["status"] == "in_progress"
    claim = {"what": "Larger pool", "release": "2.5.0", "at": (time.at - timedelta(hours=1)).isoformat(), "link": "https://git.example/1"}
    done = alice.analyst.ok("PATCH", path(found), {"status": "implemented", "claim": claim})
    assert done["claim"]["release"] == "2.5.0"
    assert [watch["verdict"] for watch in done["verifications"]] == ["watching"]
    assert alice.analyst.patch(path(found), {"status": "dismissed"}).status_code == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"status": "done"}, "status"),
        ({"status": "dismissed", "claim": {"what": "x"}}, "claim"),
        ({"status": "implemented", "claim": {"at": "2031-01-01T00:00:00Z"}}, "claim.at"),
        ({"status": "implemented", "claim": {"deploy": "nope"}}, "claim.deploy"),
        ({"status": "implemented", "claim": {"link": "javascript:alert(1)"}}, "claim.link"),
        ({"status": "implemented", "claim": {"colour": "red"}}, "claim.colour"),
    ],
)
def test_a_wrong_change_names_its_field(alice: make.Workspace, time: Clock, body: dict[str, Any], field: str) -> None:
    answer = alice.analyst.patch(path(one(alice)), body)
    assert answer.status_code == 422
    assert list(answer.json()["error"]["details"]) == [field]
    assert time.at is not None


def test_c165_a_step_is_saved_on_its_own(alice: make.Workspace) -> None:
    found = one(alice)
    step = found["steps"][0]
    done = alice.analyst.ok("PATCH", path(found, f"/steps/{step['id']}"), {"completed": True})
    assert [item["completed"] for item in done["steps"]] == [True] + [False] * (len(found["steps"]) - 1)
    back = alice.analyst.ok("PATCH", path(found, f"/steps/{step['id']}"), {"completed": False})
    assert not any(item["completed"] for item in back["steps"])
    other = "stp_" + "0" * 26
    assert alice.analyst.patch(path(found, f"/steps/{other}"), {"completed": True}).status_code == 404


def held(workspace: make.Workspace, time: Clock) -> dict[str, Any]:
    found = one(workspace)
    workspace.analyst.ok("PATCH", path(found), {"status": "implemented", "claim": {"what": "Larger pool", "release": "2.5.0"}})
    for days in (1, 10, 20, 31):
        with workspace.db() as db:
            loop.refresh(db, make.NOW + timedelta(days=days))
    time.advance(days=31)
    return found


def test_c170_c172_the_proof_holds_and_is_attested(alice: make.Workspace, time: Clock) -> None:
    """C229."""
    found = one(alice)
    assert alice.analyst.post(path(found, "/attest")).status_code == 409, "nothing is in place yet"
    alice.analyst.ok("PATCH", path(found), {"status": "implemented"})
    assert alice.analyst.post(path(found, "/attest")).status_code == 409, "the window is not over"
    with alice.db() as db:
        loop.refresh(db, time.advance(days=31))
    done = alice.analyst.ok("POST", path(found, "/attest"), {"note": "checked by hand as well"})
    assert (done["attestation"], done["attested_by"], done["attestation_note"]) == ("attested", "Analyst", "checked by hand as well")
    assert done["verifications"][0]["verdict"] == "held"
    assert done["verifications"][0]["holds_probability"] > 0.99
    report = alice.api.ok("POST", "/v1/reports", {"name": "x", "template": "recommendation_coverage", "format": "json"})["id"]
    document = alice.api.ok("POST", f"/v1/reports/{report}/preview", {})["document"]
    (listed,) = (b for section in document["sections"] for b in section["blocks"] if b["key"] == "recommendation_list")
    assert [row for row in listed["rows"] if "attested" in row], listed
    export = alice.api.ok("POST", "/v1/exports", {"resource": "recommendations", "format": "json"})
    alice.work()
    link = alice.api.ok("GET", f"/v1/exports/{export['id']}")["download_url"]
    (row,) = (row for row in json.loads(make.Api(alice.client).get(link).text) if row["id"] == found["id"])
    assert (row["status"], row["attestation"]) == ("implemented", "attested")
    taken_back = alice.analyst.ok("PATCH", path(found), {"status": "in_progress"})
    assert taken_back["attestation"] == "none", "the word was given for the fix as it was"


def test_the_attestation_document_says_all_of_it(alice: make.Workspace, time: Clock) -> None:
    found = held(alice, time)
    answer = alice.viewer.get(path(found, "/attestation"))
    made = answer.json()
    said = json.dumps(made, ensure_ascii=False)
    assert made["sections"][0]["title"] == "What was done"
    assert "The fix held" in said
    assert "Larger pool" in said
    assert "Before the fix the pattern failed on 30 of 88 days." in said
    issues = made["sections"][-1]["blocks"][0]
    assert len(issues["rows"]) == 30
    assert answer.headers["x-attestation-sha256"] in made["notices"][0]
    assert [block["form"] for section in made["sections"] for block in section["blocks"] if block["kind"] == "chart"] == ["line"]


def test_the_attestations_hash_changes_with_what_it_says_and_with_nothing_else(alice: make.Workspace, time: Clock) -> None:
    found = held(alice, time)

    def digest() -> str:
        return alice.viewer.get(path(found, "/attestation")).headers["x-attestation-sha256"]

    first = digest()
    time.advance(days=2)
    assert digest() == first
    alice.analyst.ok("POST", path(found, "/attest"), {"note": "mine"})
    assert digest() != first


@pytest.mark.parametrize("kind", ["pdf", "html", "markdown", "csv", "xlsx"])
def test_the_attestation_comes_as_any_format(alice: make.Workspace, time: Clock, kind: str) -> None:
    found = held(alice, time)
    answer = alice.viewer.get(path(found, "/attestation"), format=kind)
    assert answer.status_code == 200
    assert len(answer.content) > 500
    assert alice.viewer.get(path(found, "/attestation"), format="docx").status_code == 422


def test_c171_a_failure_inside_the_proof_window_reopens_the_loop(alice: make.Workspace, time: Clock) -> None:
    found = one(alice)
    alice.analyst.ok("PATCH", path(found), {"status": "implemented"})
    time.advance(days=3)
    alice.api.ok("POST", "/v1/ingest/events", make.failures("database", (0,), end=time.at, external_id="again")[0])
    time.advance(hours=1)
    alice.work()
    done = alice.viewer.ok("GET", path(found))
    assert [watch["verdict"] for watch in done["verifications"]] == ["failed"]
    again = alice.viewer.ok("GET", f"/v1/patterns/{found['pattern_ids'][0]}")
    assert (again["status"], again["mitigating_since"]) == ("active", None)


def test_a_recurrence_reopens_the_loop_by_api(alice: make.Workspace, time: Clock) -> None:
    """C140: Failures in, pattern found, prediction made, fix claimed, held; then it comes back, and the loop is open again."""
    found = held(alice, time)
    pattern = found["pattern_ids"][0]
    assert alice.viewer.ok("GET", f"/v1/patterns/{pattern}")["mitigating_since"] is not None
    record = {"external_id": "again", "source": "pagerduty", "service": "orders-api", "title": "Connection pool of orders-db exhausted"}
    answer = alice.api.ok("POST", "/v1/ingest/events", {**record, "source_created_at": time.at.isoformat()})
    time.advance(hours=1)
    alice.work()
    assert alice.viewer.ok("GET", f"/v1/issues/{answer['issue_id']}")["pattern_id"] == pattern
    again = alice.viewer.ok("GET", f"/v1/patterns/{pattern}")
    assert (again["status"], again["mitigating_since"]) == ("active", None)
    assert alice.viewer.ok("GET", path(found))["verifications"][0]["returned_at"] is not None


# ---- tickets


def jira(got: Got) -> Answer:
    """Answer as Jira Cloud does."""
    if got.method == "POST":
        return Answer(201, json.dumps({"id": "10006", "key": "KAN-5", "self": "https://api.atlassian.com/rest/api/3/issue/10006"}).encode())
    if "/search/jql" in got.path:
        return Answer(200, b'{"issues": [{"id": "10006", "key": "KAN-5", "fields": {}}], "isLast": true}')
    status = {"name": "Done", "id": "10002", "statusCategory": {"id": 3, "key": "done", "name": "Done"}}
    return Answer(200, json.dumps({"key": "KAN-5", "fields": {"status": status}}).encode())


def linear(got: Got) -> Answer:
    """Answer as Linear's GraphQL API does."""
    asked = json.loads(got.body)
    shown = {"id": "d786ac7b-52ca-4bc0-a90a-1f5f5fe3c79c", "identifier": "NAN-18", "url": "https://linear.app/nan/issue/NAN-18/x"}
    if "issueCreate" in asked["query"]:
        return Answer(200, json.dumps({"data": {"issueCreate": {"success": True, "issue": shown}}}).encode())
    return Answer(200, json.dumps({"data": {"issue": {**shown, "state": {"type": "completed"}}}}).encode())


def github(got: Got) -> Answer:
    """Answer as GitHub's REST API does."""
    shown = {
        "number": 14,
        "html_url": "https://github.com/acme/shop/issues/14",
        "state": "open",
        "state_reason": None,
        "assignees": [],
        "body": "",
    }
    if got.method == "POST":
        return Answer(201, json.dumps(shown).encode())
    return Answer(200, json.dumps({**shown, "state": "closed", "state_reason": "completed"}).encode())


TRACKERS: dict[str, tuple[Callable[[Got], Answer], Callable[[str], dict[str, Any]], str]] = {
    "jira": (jira, lambda url: {"site_url": url, "email": "bot@acme.example", "api_token": "secret-1", "project": "KAN"}, "KAN-5"),
    "linear": (linear, lambda url: {"api_key": "secret-1", "team_id": "7df5329e", "base_url": url}, "NAN-18"),
    "github_issues": (github, lambda url: {"token": "secret-1", "repository": "acme/shop", "base_url": url}, "14"),
}


def pushed(workspace: make.Workspace, found: dict[str, Any], kind: str) -> Any:
    """Push through the verb that the route calls: the test's application may not reach this machine, its worker may."""
    installation = workspace.installation
    with workspace.db() as db:
        from everfix.core import outbound
        from everfix.core.ids import Prefix, parse

        guard = outbound.guard(installation.settings)
        wanted = parse(Prefix.RECOMMENDATION, found["id"])
        return pushes.push(db, installation.keys, guard, wanted, kind, url="https://everfix.example", by=workspace.principal)


@pytest.mark.parametrize("kind", TRACKERS)
def test_c167_a_ticket_is_opened_its_link_kept_its_state_followed(alice: make.Workspace, kind: str) -> None:
    answer, config, name = TRACKERS[kind]
    found = one(alice)
    with sinks.http() as sink:
        sink.answer = answer
        reaching = delivering.reaching(alice)
        delivering.destination(reaching, kind, config(sink.url))
        pushed(reaching, found, kind)
        reaching.work()
        shown = alice.viewer.ok("GET", path(found))["tickets"]
        assert [(ticket["tracker"], ticket["external_id"], ticket["status"], ticket["state"]) for ticket in shown] == [
            (kind, name, "sent", "open")
        ]
        assert shown[0]["external_url"].startswith("http")
        body = sink.got[0].body.decode()
        assert found["title"] in body
        assert found["steps"][0]["title"].split()[0] in body
        pushed(reaching, found, kind)
        reaching.work()
        assert sum(got.method == "POST" and b"query($id" not in got.body for got in sink.got) == 1, "pushing again opens no second ticket"
        with reaching.db() as db:
            jobs.enqueue(db, pushes.TASK, {})
        reaching.work()
    done = alice.viewer.ok("GET", path(found))
    assert (done["status"], done["tickets"][0]["state"]) == ("implemented", "done")
    assert done["claim"]["what"] == f"The ticket {name} was closed as done."
    assert [watch["verdict"] for watch in done["verifications"]] == ["watching"]


@pytest.mark.parametrize("kind", ["jira", "github_issues", "linear"])
def test_a_second_try_finds_the_ticket_of_the_first(alice: make.Workspace, kind: str) -> None:
    """The worker died after the tracker had made the ticket: no second one."""
    answer, config, name = TRACKERS[kind]
    found = one(alice)
    with sinks.http() as sink:
        reaching = delivering.reaching(alice)
        delivering.destination(reaching, kind, config(sink.url))
        made = pushed(reaching, found, kind)
        with reaching.db() as db:
            row = outbox.get(db, made.delivery.id)
            row.attempts, row.status = 1, outbox.Status.SENDING
        mark = f"<!-- everfix {made.delivery.key} -->"
        created = []

        def again(got: Got) -> Answer:
            if got.method == "POST" and b"query($id" not in got.body:
                created.append(got)
            if kind == "github_issues" and got.method == "GET":
                return Answer(
                    200, json.dumps([{"number": 14, "html_url": "https://github.com/acme/shop/issues/14", "body": mark}]).encode()
                )
            return answer(got)

        sink.answer = again
        reaching.work()
        assert not created
    assert alice.viewer.ok("GET", path(found))["tickets"][0]["external_id"] == name


def test_what_a_tracker_refuses_is_told_in_its_words(alice: make.Workspace) -> None:
    found = one(alice)
    with sinks.http() as sink:
        sink.answers = [Answer(400, b'{"errorMessages": [], "errors": {"project": "valid project is required"}}')]
        reaching = delivering.reaching(alice)
        delivering.destination(reaching, "jira", TRACKERS["jira"][1](sink.url))
        pushed(reaching, found, "jira")
        reaching.work()
    ticket = alice.viewer.ok("GET", path(found))["tickets"][0]
    assert (ticket["status"], ticket["external_id"]) == ("failed", None)
    assert "valid project is required" in ticket["reason"]


def test_a_tracker_that_does_not_answer_changes_nothing(alice: make.Workspace) -> None:
    found = one(alice)
    with sinks.http() as sink:
        sink.answer = jira
        reaching = delivering.reaching(alice)
        delivering.destination(reaching, "jira", TRACKERS["jira"][1](sink.url))
        pushed(reaching, found, "jira")
        reaching.work()
        sink.answer = None
        sink.answers = [Answer(503, b"down")]
        with reaching.db() as db:
            jobs.enqueue(db, pushes.TASK, {})
        reaching.work()
    shown = alice.viewer.ok("GET", path(found))
    assert (shown["status"], shown["tickets"][0]["state"]) == ("pending", "open")
    assert "503" in shown["tickets"][0]["error"]
    with alice.db() as db:
        assert db.execute(text("SELECT status FROM jobs WHERE kind = :kind"), {"kind": pushes.TASK}).scalars().all() == [
            jobs.Status.SUCCEEDED
        ]


def test_without_a_tracker_it_says_so(alice: make.Workspace) -> None:
    found = one(alice)
    answer = alice.analyst.post(path(found, "/push"), {"tracker": "jira"})
    assert answer.status_code == 422
    assert "set up a destination of the kind jira, linear, github_issues first" in answer.json()["error"]["details"]["tracker"]


def test_markup_in_names_stays_text(alice: make.Workspace) -> None:
    from everfix.delivery import tickets
    from everfix.delivery.messages import Message

    made = tickets.markdown(Message(kind="ticket", subject="x", paragraphs=["[a](http://evil) @everyone <b>"], takeaways=[], link=""))
    assert made == ["\\[a\\](http://evil) @\u200beveryone \\<b\\>"]
