"""Settings as pages: what reaches a person, and where the workspace may send mail; wrong words are told and kept, and nothing changes."""

from __future__ import annotations

from html import unescape
from typing import Any

from everfix import audit
from tests import make
from tests.test_web import Person

NOTIFICATIONS, DOMAINS = "/settings/notifications", "/settings/delivery"
WEBHOOK = "https://hooks.slack.com/services/T1/B2/c3"


def person(workspace: make.Workspace, role: str = "owner") -> Person:
    return Person(workspace.client).enter(workspace.secrets[role])


def sent(visitor: Person, page: str, **given: Any) -> Any:
    return visitor.post(page, {"csrf": visitor.csrf(), **given})


def test_a_person_chooses_what_reaches_them(alice: make.Workspace) -> None:
    """C303."""
    viewer, api = person(alice, "viewer"), alice.viewer
    before = api.ok("GET", "/v1/settings/notifications")
    page = viewer.page(NOTIFICATIONS)
    assert page.count("checked") == 5 + 8 * 5, "five kinds, and each event on each way, until something is chosen"
    whole: dict[str, Any] = {
        "digest_frequency": "weekly",
        "min_severity_for_alert": "p3",
        "min_risk_score_for_alert": "55",
        "kinds": ["notify_on_prediction", "notify_on_report_ready"],
        "ways": ["email", "slack"],
        "events": ["report.ready:in_app", "report.ready:slack", "prediction.alert.fired:email"],
        "slack": WEBHOOK,
    }
    for wrong, told in (
        ({"min_risk_score_for_alert": "101"}, "'101' is no risk score"),
        ({"min_risk_score_for_alert": ""}, "a whole number from 0 to 100"),
        ({"digest_frequency": "yearly"}, "one of realtime, hourly, daily, weekly, never"),
        ({"min_severity_for_alert": "p9"}, "least severity: one of p1, p2, p3, p4"),
        ({"slack": "http://slack.example"}, "webhookUrl"),
        ({"slack": ""}, "Slack is on, and there is nowhere to send it"),
        ({"ways": ["pagerduty"]}, "PagerDuty is on, and there is nowhere to send it"),
    ):
        answer = sent(viewer, NOTIFICATIONS, **(whole | wrong))
        assert (answer.status_code, told in unescape(answer.text)) == (422, True), (wrong, answer.text)
        assert 'value="report.ready:slack" aria-label="A report is ready: Slack" checked' in answer.text, "what was typed stays"
    assert api.ok("GET", "/v1/settings/notifications") == before
    assert sent(viewer, NOTIFICATIONS, **(whole | {"kinds": ["everything"]})).status_code == 400
    assert sent(viewer, NOTIFICATIONS, **whole).headers["location"] == f"{NOTIFICATIONS}?kept=1"
    kept = api.ok("GET", "/v1/settings/notifications")
    assert (kept["digest_frequency"], kept["min_severity_for_alert"], kept["min_risk_score_for_alert"]) == ("weekly", "p3", 55)
    assert [kept[f"notify_on_{name}"] for name in ("new_issue", "pattern_detected", "prediction", "recommendation", "report_ready")] == [
        False, False, True, False, True,
    ]  # fmt: skip
    assert [kept[f"{way}_enabled"] for way in ("email", "slack", "teams", "pagerduty")] == [True, True, False, False]
    on = {f"{one['key']}:{way}" for one in kept["events"] for way, said in one.items() if said is True}
    assert (on, kept["channels"]["slack"]) == (set(whole["events"]), {"webhookUrl": "••••••••"})
    page = viewer.page(f"{NOTIFICATIONS}?kept=1")
    assert WEBHOOK not in page
    again = whole | {"slack": "••••••••", "min_risk_score_for_alert": "56"}
    assert sent(viewer, NOTIFICATIONS, **again).status_code == 303, "the bullets leave what is kept"
    assert api.ok("GET", "/v1/settings/notifications")["channels"]["slack"] is not None
    assert sent(viewer, NOTIFICATIONS, **(again | {"slack": "", "ways": []})).status_code == 303
    assert api.ok("GET", "/v1/settings/notifications")["channels"]["slack"] is None
    assert alice.analyst.ok("GET", "/v1/settings/notifications")["min_risk_score_for_alert"] == 70, "nobody else's"
    with alice.db() as db:
        rows = db.query(audit.Entry).where(audit.Entry.action == "notification_settings.updated").order_by(audit.Entry.number).all()
    assert [("channels" in row.details["changed"]) for row in rows] == [True, False, True]
    assert {row.actor_id for row in rows} == {alice.users["viewer"]}


def test_the_workspace_says_where_mail_may_go(alice: make.Workspace, bob: make.Workspace) -> None:
    owner, viewer, api = person(alice), person(alice, "viewer"), alice.api
    rule = {"name": "Told <b>", "scope": "all", "threshold": {"probability": 0.7, "window_days": 7}}
    api.ok("POST", "/v1/alert-rules", {**rule, "channels": ["lead@shop.example", "C0123ABCD", "boss@mail.acme.example"]})
    schedule = {"name": "Weekly", "cron": "0 9 * * 1", "report_type": "issue_digest", "recipients": ["a@shop.example", "b@other.example"]}
    api.ok("POST", "/v1/reports/schedules", schedule)
    assert "Mail goes to any address" in owner.page(DOMAINS)
    for wrong, told in (("acme.example\nnot a domain", "line 2: a domain such as example.com"), ("x.example\n" * 201, "at most 200")):
        answer = sent(owner, DOMAINS, domains=wrong)
        assert (answer.status_code, told in answer.text, "not a domain" in wrong) == (422, True, "not a domain" in answer.text)
    assert sent(owner, DOMAINS, domains=" @Acme.example, other.example\n\nacme.example").headers["location"] == f"{DOMAINS}?kept=1"
    assert api.ok("GET", "/v1/settings/delivery") == {"mail_domains": ["acme.example", "other.example"]}
    page = owner.page(f"{DOMAINS}?kept=1")
    assert "The domains were kept" in page
    assert page.count("@shop.example</b>") == 2
    assert "Told &lt;b&gt;" in page
    assert "boss@" not in page, "it lies below a domain that is allowed"
    assert "Only admins change this" in viewer.page(DOMAINS)
    assert sent(viewer, DOMAINS, domains="").status_code == 403
    assert "acme.example" not in person(bob).page(DOMAINS)
    with alice.db() as db:
        (row,) = db.query(audit.Entry).where(audit.Entry.action == "workspace.updated").all()
        assert row.details == {"mail_domains": ["acme.example", "other.example"]}
    assert sent(owner, DOMAINS, domains="acme.example\nother.example").status_code == 303, "what it is already is no change"
    with alice.db() as db:
        assert db.query(audit.Entry).where(audit.Entry.action == "workspace.updated").count() == 1


def test_a_page_stands_below_its_entry(alice: make.Workspace) -> None:
    owner = person(alice)
    for path, entry in (
        ("/clusters", "/patterns"),
        ("/patterns", "/patterns"),
        ("/settings/delivery", "/settings"),
        ("/exports", "/reports"),
    ):
        assert f'<li><a href="{entry}" aria-current="page">' in owner.page(path), path
