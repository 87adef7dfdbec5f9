"""Alert rules: they fire once, say when it is over, keep quiet when told to, and reach their channels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from everfix import audit
from everfix.core import ids
from everfix.delivery import pagerduty
from everfix.delivery.feed import Notification
from everfix.delivery.outbox import Delivery
from everfix.failures import alarms, alert_metrics, alerts, loop, metric_past
from everfix.failures.alerts import Rule
from tests import conftest, delivering, make, sinks

RULE = {"name": "Likely again", "scope": "all", "threshold": {"probability": 0.5, "window_days": 7}, "channels": ["lead@shop.example"]}


@pytest.fixture
def mail() -> Iterator[sinks.MailSink]:
    with sinks.mail() as made:
        yield made


def predicted(workspace: make.Workspace, probability: float) -> UUID:
    """Make a pattern whose one current prediction says `probability`."""
    workspace.learn(*make.failures("database", (9, 8, 3, 2, 1)))
    return odds(workspace, probability)


def odds(workspace: make.Workspace, probability: float) -> UUID:
    with workspace.db() as db:
        db.execute(text("UPDATE predictions SET probability = :p, lower = 0, upper = 1"), {"p": probability})
        return UUID(str(db.execute(text("SELECT pattern_id FROM predictions WHERE status = 'active' LIMIT 1")).scalar_one()))


def look(workspace: make.Workspace, now: Any = make.NOW) -> int:
    with workspace.db() as db:
        return alerts.check(db, now)


def test_rules_over_http(alice: make.Workspace) -> None:
    """C153, C154, C155."""
    made = alice.admin.post("/v1/alert-rules", RULE)
    assert made.status_code == 201
    rule = made.json()
    assert (rule["id"][:4], rule["scope"], rule["threshold"], rule["channels"], rule["enabled"], rule["snoozed_until"]) == (
        "alr_", "all", RULE["threshold"], ["lead@shop.example"], True, None,
    )  # fmt: skip
    path = f"/v1/alert-rules/{rule['id']}"
    for api in (alice.viewer, alice.analyst):
        assert api.post("/v1/alert-rules", RULE).status_code == 403
        assert api.patch(path, {"name": "x"}).status_code == 403
        assert api.patch(f"{path}/snooze", {}).status_code == 403
        assert api.call("DELETE", path).status_code == 403
    assert alice.viewer.ok("GET", path) == rule
    assert [item["id"] for item in alice.viewer.ok("GET", "/v1/alert-rules")["data"]] == [rule["id"]]
    changed = alice.admin.ok("PATCH", path, {"name": "Renamed", "threshold": {"probability": 0.9, "window_days": 30}, "enabled": False})
    assert (changed["name"], changed["threshold"]["probability"], changed["enabled"]) == ("Renamed", 0.9, False)
    assert alice.admin.ok("PATCH", f"{path}/snooze", {"until": "2099-01-01T00:00:00Z"})["snoozed_until"] == "2099-01-01T00:00:00Z"
    for ends in ({"until": None}, {}, {"until": "2020-01-01T00:00:00Z"}):
        alice.admin.ok("PATCH", f"{path}/snooze", {"until": "2099-01-01T00:00:00Z"})
        assert alice.admin.ok("PATCH", f"{path}/snooze", ends)["snoozed_until"] is None
    assert alice.admin.call("DELETE", path).status_code == 204
    assert alice.admin.get(path).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"threshold": {"probability": 1.2, "window_days": 7}}, "threshold.probability"),
        ({"threshold": {"probability": 0.5, "window_days": 0}}, "threshold.window_days"),
        ({"threshold": 0.5}, "threshold"),
        ({"scope": "pat_x"}, "scope"),
        ({"scope": ids.show(ids.Prefix.PATTERN, ids.new())}, "scope"),
        ({"channels": ["fax"]}, "channels.0"),
        ({"channels": ["email", ids.show(ids.Prefix.DESTINATION, ids.new())]}, "channels.1"),
        ({"snoozed_until": "soon"}, "snoozed_until"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_rules(alice: make.Workspace, change: dict[str, Any], field: str) -> None:
    answer = alice.admin.post("/v1/alert-rules", {**RULE, **change})
    assert answer.status_code == 422, answer.text
    assert any(key.startswith(field) for key in answer.json()["error"]["details"]), answer.text


def test_a_rule_fires_once_and_says_when_it_is_over(alice: make.Workspace, mail: sinks.MailSink, time: conftest.Clock) -> None:
    """C156."""
    here = delivering.reaching(alice, smtp=mail.url)
    pattern = predicted(here, 0.8)
    rule = here.admin.ok("POST", "/v1/alert-rules", RULE)
    assert look(here) == 1
    assert look(here) == 0
    here.work()
    assert [mail_["Subject"] for mail_ in mail.mails] == [f"Likely to return: {_name(here, pattern)}"]
    assert here.admin.ok("GET", f"/v1/alert-rules/{rule['id']}")["status"] == "firing"
    odds(here, 0.47)
    assert look(here) == 0  # within the margin: a figure at the edge does not ring for ever
    here.work()
    assert len(mail.mails) == 1
    odds(here, 0.2)
    look(here)
    look(here)
    here.work()
    assert [str(mail_["Subject"]).partition(":")[0] for mail_ in mail.mails] == ["Likely to return", "Over"]
    odds(here, 0.9)
    time.advance(minutes=1)
    assert look(here, time.at) == 1
    here.work()
    assert len(mail.mails) == 3
    with here.db() as db:
        assert (
            db.execute(select(Notification.type).where(Notification.user_id == here.users["owner"]))
            .scalars()
            .all()
            .count("prediction.alert.fired")
            == 2
        )
        assert "alert.fired" in db.execute(select(audit.Entry.action)).scalars().all()


def _name(workspace: make.Workspace, pattern: UUID) -> str:
    with workspace.db() as db:
        return str(db.execute(text("SELECT name FROM patterns WHERE id = :id"), {"id": pattern}).scalar_one())


@pytest.mark.parametrize(
    "change",
    [
        {"enabled": False},
        {"snoozed_until": "2099-01-01T00:00:00Z"},
        {"threshold": {"probability": 0.9, "window_days": 7}},
        {"threshold": {"probability": 0.5, "window_days": 3}},
    ],
)
def test_when_a_rule_does_not_fire(alice: make.Workspace, change: dict[str, Any], time: conftest.Clock) -> None:
    predicted(alice, 0.8)
    alice.admin.ok("POST", "/v1/alert-rules", {**RULE, **change})
    assert look(alice) == 0


def test_a_rule_of_one_pattern(alice: make.Workspace, time: conftest.Clock) -> None:
    alice.learn(*make.failures("payments", (9, 8, 3, 2, 1)))
    pattern = predicted(alice, 0.8)
    alice.admin.ok("POST", "/v1/alert-rules", {**RULE, "scope": {"pattern_id": str(pattern)}})
    assert look(alice) == 1


def test_the_loop_itself_looks(alice: make.Workspace, time: conftest.Clock) -> None:
    alice.admin.ok("POST", "/v1/alert-rules", {**RULE, "threshold": {"probability": 0.0, "window_days": 365}})
    alice.learn(*make.failures("database", (9, 8, 3, 2, 1)))
    with alice.db() as db:
        assert db.execute(select(Rule.status)).scalar_one() == "firing"


def test_slack_pagerduty_and_mail(
    alice: make.Workspace, mail: sinks.MailSink, time: conftest.Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C157."""
    with sinks.http() as sink:
        monkeypatch.setattr(pagerduty, "API", f"{sink.url}/pagerduty")
        here = delivering.reaching(alice, smtp=mail.url)
        place = delivering.destination(here, "slack", {"webhookUrl": f"{sink.url}/slack"})
        delivering.destination(here, "pagerduty", {"integrationKey": "a" * 32})
        predicted(here, 0.8)
        channels = [ids.show(ids.Prefix.DESTINATION, place), "pagerduty", {"type": "email", "target": "lead@shop.example"}, "email"]
        here.admin.ok("POST", "/v1/alert-rules", {**RULE, "channels": channels})
        look(here)
        here.work()
        assert sorted(got.path for got in sink.got) == ["/pagerduty", "/slack"]
        event = json.loads(next(got.body for got in sink.got if got.path == "/pagerduty"))
        assert event["event_action"] == "trigger"
        odds(here, 0.1)
        look(here)
        here.work()
        resolved = json.loads([got.body for got in sink.got if got.path == "/pagerduty"][1])
        assert (resolved["event_action"], resolved["dedup_key"]) == ("resolve", event["dedup_key"])
        assert {str(mail_["To"]) for mail_ in mail.mails} == {"lead@shop.example", "admin@alice.example"}


def test_a_rehearsal_fires_as_the_rule_itself_would_have(alice: make.Workspace, time: conftest.Clock) -> None:
    """Weeks with rules that were there all along, then the same rules rehearsed: for every pattern the same firings and ends."""
    condition = [{"probability": odds, "window_days": 7} for odds in (0.3, 0.6)]
    made = {odds["probability"]: alice.admin.ok("POST", "/v1/alert-rules", {**RULE, "threshold": odds}) for odds in condition}
    seen: dict[float, list[tuple[str, str, Any]]] = {odds: [] for odds in made}
    firing: dict[float, set[str]] = {odds: set() for odds in made}
    alice.learn(*make.failures("database", (40, 30, 20, 9, 5, 2)), *make.failures("payments", (60, 50, 3)), *make.failures("login", (1,)))
    for day in range(26):
        if day in (3, 4, 5, 9, 20):
            alice.ingest_learned("database", time.at - timedelta(hours=1), now=time.at)
        if day in (12, 13):
            alice.ingest_learned("login", time.at - timedelta(hours=2), now=time.at)
        with alice.db() as db:
            loop.refresh(db, time.at)
        for odds, one in made.items():
            now = {item["pattern_id"] for item in alice.viewer.ok("GET", f"/v1/alert-rules/{one['id']}")["firing"]}
            seen[odds] += [(pattern, "fired", time.at.date()) for pattern in now - firing[odds]]
            seen[odds] += [(pattern, "over", time.at.date()) for pattern in firing[odds] - now]
            firing[odds] = now
        if day < 25:
            time.advance(days=1)
    assert {what for said in seen.values() for _, what, _ in said} == {"fired", "over"}
    for odds, one in made.items():
        found = alice.viewer.ok("GET", f"/v1/alert-rules/{one['id']}/preview", days=25)
        told = [(fire["pattern_id"], "fired", datetime.fromisoformat(fire["at"]).date()) for fire in found["fires"]]
        told += [(fire["pattern_id"], "over", datetime.fromisoformat(fire["over_at"]).date()) for fire in found["fires"] if fire["over_at"]]
        assert sorted(told) == sorted(seen[odds])
        assert (found["times"], found["patterns"]) == (len(found["fires"]), len({fire["pattern_id"] for fire in found["fires"]}))
        assert all(fire["probability"] >= odds for fire in found["fires"])
        assert alice.viewer.ok("POST", "/v1/alert-rules/preview", {"threshold": one["threshold"], "days": 25}) == found
        only = alice.viewer.ok("POST", "/v1/alert-rules/preview", {"threshold": one["threshold"], "scope": told[0][0], "days": 25})
        assert only["fires"] == [fire for fire in found["fires"] if fire["pattern_id"] == told[0][0]]


# ---- figures


def rule(workspace: make.Workspace, **values: Any) -> Rule:
    given = {
        "name": "Figure",
        "metric": "issue_count",
        "operator": "gt",
        "threshold": 2.0,
        "channels": [{"recipient": "lead@shop.example"}],
    }
    with workspace.db() as db:
        return alerts.create(db, workspace.principal, "metric", {**given, **values})


@pytest.mark.parametrize("metric", sorted(alert_metrics.METRICS))
def test_every_metric_can_be_asked_for_an_empty_and_a_full_workspace(alice: make.Workspace, metric: str, time: conftest.Clock) -> None:
    start, end = make.NOW - timedelta(days=90), make.NOW + timedelta(days=1)
    with alice.db() as db:
        alert_metrics.value(db, metric, start, end)
    alice.learn(*make.failures("database", (9, 8, 3, 2, 1)))
    with alice.db() as db:
        found = alert_metrics.value(db, metric, start, end)
    assert found is None or found >= 0


def test_d218_d222_the_documented_metrics_are_what_they_say(alice: make.Workspace) -> None:
    """D218 prevented of what was due; D219 acted on of what was recommended; D220 its money; D221 linked of what came; D222 p99 in ms."""
    found = alice.learn(*make.failures("database", (9, 8, 3, 2, 1)), *make.failures("payments", (9, 6, 3)))
    start, end, at = make.NOW - timedelta(days=1), make.NOW + timedelta(days=1), {"at": make.NOW}
    with alice.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = cast(:at AS timestamptz) - interval '1 hour', analyzed_at = NULL"), at)
        for place, issue in enumerate(found[:2]):
            given = {**at, "s": 1 + place, "id": issue}
            db.execute(text("UPDATE issues SET analyzed_at = ingested_at + make_interval(secs => :s) WHERE id = :id"), given)
        db.execute(text("UPDATE issues SET pattern_id = NULL WHERE id = :id"), {"id": found[-1]})
        db.execute(text("UPDATE predictions SET outcome = NULL"))
        rows = db.execute(text("SELECT id FROM predictions ORDER BY id LIMIT 2")).scalars().all()
        for row, outcome in zip(rows, ("prevented", "hit"), strict=True):
            db.execute(
                text("UPDATE predictions SET outcome = :outcome, resolved_at = :at WHERE id = :id"), {**at, "outcome": outcome, "id": row}
            )
        db.execute(text("UPDATE recommendations SET status = 'pending', created_at = cast(:at AS timestamptz) - interval '2 hours'"), at)
        all_ = db.execute(text("SELECT count(*) FROM recommendations")).scalar_one()
        first = text(
            "UPDATE recommendations SET status = 'implemented', updated_at = :at WHERE id = (SELECT min(id::text)::uuid FROM recommendations)"
        )
        db.execute(first, at)
        cost = float(db.execute(text("SELECT loop_cost FROM workspaces")).scalar_one())
        values = {key: alert_metrics.value(db, key, start, end) for key in alert_metrics.METRICS}
    assert values["acceptance_rate"] == 0.5
    assert values["ctr"] == pytest.approx(1 / all_)
    assert values["revenue"] == cost > 0
    assert values["selection_frequency"] == pytest.approx((len(found) - 1) / len(found))
    assert values["latency_p99"] == pytest.approx(1_990)


JOBS = """
UPDATE jobs j SET status = (ARRAY['failed', 'succeeded'])[1 + k.n % 2], finished_at = cast(:at AS timestamptz) - k.n * interval '9 days'
FROM (SELECT id, row_number() OVER (ORDER BY id)::int AS n FROM jobs) k WHERE k.id = j.id
"""


def test_the_past_of_a_figure_is_what_a_rule_saw_then(alice: make.Workspace, time: conftest.Clock) -> None:
    """Each metric that has a past: at moments all over a quarter of a year, for a narrow and a wide window, as the rule's own query says."""
    make.with_history(alice)
    for _ in range(6):
        alice.api.ok("POST", "/v1/ingest/events", make.event())
    with alice.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = occurred_at, analyzed_at = occurred_at + interval '90 seconds' * risk_score"))
        db.execute(
            text(
                "UPDATE predictions SET resolved_at = expires_at, outcome = (ARRAY['hit', 'prevented'])[1 + failures % 2] WHERE outcome <> 'miss'"
            )
        )
        db.execute(text("UPDATE issues SET pattern_id = NULL WHERE extract(day FROM occurred_at)::int % 4 = 0"))
        db.execute(text(JOBS), {"at": time.at})
    moments = [make.NOW - timedelta(hours=11 * place, minutes=place) for place in range(150, -1, -1)]
    for key in metric_past.EVENTS:
        for minutes in (90, 20_000):
            with alice.db() as db:
                found = metric_past.values(db, key, minutes, moments)
                real = [alert_metrics.value(db, key, at - timedelta(minutes=minutes), at) for at in moments]
            assert found == [None if one is None else pytest.approx(one, abs=1e-5) for one in real], key
            assert len(set(real)) > 2 or minutes == 90 or key in ("degraded_scoring_rate", "deliveries_failed"), f"{key} shows something"


@pytest.mark.parametrize(
    ("observed", "threshold", "baseline", "severity"),
    [
        (4, 2, None, "critical"),
        (3, 2, None, "warning"),
        (2.5, 2, None, "info"),
        (0, 2, None, "critical"),
        (3, 0, 6.0, "warning"),
        (3, 0, 0.0, "critical"),
        (0, 0, None, "info"),
    ],
)
def test_severity_by_distance(observed: float, threshold: float, baseline: float | None, severity: str) -> None:
    """D226."""
    assert alerts.severity(observed, threshold, baseline) == severity


def test_operators() -> None:
    """D224."""
    cases = {"gt": (3, 2), "lt": (1, 2), "gte": (2, 2), "lte": (2, 2), "eq": (2, 2)}
    for operator, (observed, threshold) in cases.items():
        assert alerts.compare(observed, operator, threshold)
    assert not any(
        (
            alerts.compare(2, "gt", 2),
            alerts.compare(2, "lt", 2),
            alerts.compare(1, "gte", 2),
            alerts.compare(3, "lte", 2),
            alerts.compare(1, "eq", 2),
        )
    )


def test_a_figure_fires_cools_down_and_recovers(alice: make.Workspace, mail: sinks.MailSink, time: conftest.Clock) -> None:
    """D225, D227, D228, D229."""
    here = delivering.reaching(alice, smtp=mail.url)
    made = rule(here)
    assert (made.window_minutes, made.cooldown_minutes) == (5, 60)
    with here.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = :now"), {"now": time.at})
    assert alarms.tick(here.installation).fired == 0
    here.ingest(*make.failures("database", (1, 2, 3, 4)))
    with here.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = :at"), {"at": time.at - timedelta(minutes=1)})
    done = alarms.tick(here.installation)
    assert (done.evaluated, done.fired, done.failed) == (1, 1, 0)
    assert alarms.tick(here.installation).fired == 0
    here.work()
    assert [mail_["Subject"] for mail_ in mail.mails] == ["Critical: Figure"]
    time.advance(minutes=10)
    alarms.tick(here.installation)
    alarms.tick(here.installation)
    here.work()
    assert [mail_["Subject"] for mail_ in mail.mails] == ["Critical: Figure", "Over: Figure"]
    with here.db() as db:
        found = db.execute(select(Rule)).scalar_one()
        assert (found.status, found.last_fired_at, found.observed) == ("ok", make.NOW, 0)
        assert "alert.fired" in db.execute(select(audit.Entry.action)).scalars().all()


def test_no_data_is_said_on_purpose(alice: make.Workspace, time: conftest.Clock) -> None:
    quiet, loud = rule(alice, metric="latency_p99"), rule(alice, metric="latency_p99", no_data="fire")
    assert alarms.tick(alice.installation).fired == 1
    with alice.db() as db:
        states = {row.id: row.status for row in db.execute(select(Rule)).scalars()}
    assert (states[quiet.id], states[loud.id]) == ("no_data", "firing")


def test_a_deleted_destination_fails_in_the_ledger_and_evaluation_goes_on(alice: make.Workspace, time: conftest.Clock) -> None:
    """D206."""
    rule(alice, metric="backlog", operator="gte", threshold=0.0, channels=[{"destination": str(ids.new())}])
    assert alarms.tick(alice.installation).fired == 1
    alice.work()
    with alice.db() as db:
        found = db.execute(select(Delivery).where(Delivery.channel == "gone")).scalar_one()
    assert (found.status, found.reason) == ("failed", "the destination was deleted")


def test_a_tick_looks_at_every_workspace(alice: make.Workspace, bob: make.Workspace, time: conftest.Clock) -> None:
    """D211."""
    for workspace in (alice, bob):
        rule(workspace, metric="backlog", operator="gte", threshold=0.0)
    rule(alice, metric="backlog", operator="gte", threshold=0.0, enabled=False)
    assert alarms.tick(alice.installation).evaluated == 2
    assert alarms.tick(alice.installation, least=timedelta(seconds=45)).evaluated == 0
