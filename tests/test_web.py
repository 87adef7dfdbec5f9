"""The pages over HTTP: getting in and out, who may what, what is shown, and what never leaves a page."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from everfix import audit, deps, documents
from everfix.core import ids, jobs
from everfix.documents.model import Figure, Figures, Unit
from everfix.failures import predictions, recommendations
from everfix.failures.patterns import Pattern
from everfix.failures.recommendations import Recommendation, RecommendationPattern
from everfix.identity import tokens
from everfix.identity.principals import Scope
from everfix.identity.workspaces import Workspace as Row
from everfix.ingest.events import Issue
from everfix.reports import build, templates
from everfix.settings import Settings
from everfix.web import files, shell, shown
from tests import make
from tests.conftest import Clock

HTML = {"accept": "text/html,application/xhtml+xml"}
PART = {"hx-request": "true", "sec-fetch-site": "same-origin"}
CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
DAYS = (1, 2, 3, 5, 8, 9, 13, 20, 27, 34, 41, 55)


class Person:
    """A browser of one person: keeps cookies, follows nothing by itself."""

    def __init__(self, client: httpx.Client) -> None:
        self.client, self.cookies = client, {}  # type: ignore[var-annotated]

    def get(self, path: str, **headers: str) -> httpx.Response:
        return self._kept(self.client.get(path, headers={**HTML, **self._cookie(), **_names(headers)}, follow_redirects=False))

    def post(self, path: str, data: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        sent = {**HTML, "sec-fetch-site": "same-origin", **self._cookie(), **_names(headers)}
        return self._kept(self.client.post(path, data=data or {}, headers=sent, follow_redirects=False))

    def page(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status_code == 200, (answer.status_code, answer.headers.get("location"), answer.text[:300])
        return answer.text

    def csrf(self) -> str:
        found = CSRF.search(self.page("/reports"))
        assert found
        return found[1]

    def enter(self, secret: str) -> Person:
        answer = self.post("/login", {"token": secret})
        assert answer.status_code == 303, answer.text
        return self

    def _cookie(self) -> dict[str, str]:
        return {"cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())} if self.cookies else {}

    def _kept(self, answer: httpx.Response) -> httpx.Response:
        self.client.cookies.clear()
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if "Max-Age=0" in line:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def owner_page(alice: make.Workspace) -> Person:
    return Person(alice.client).enter(alice.secrets["owner"])


@pytest.fixture
def full(alice: make.Workspace, time: Clock) -> make.Workspace:
    """Alice's workspace with two causes that return, taken through the loop."""
    alice.learn(*make.failures("database", DAYS), *make.failures("payments", DAYS[::2], severity="p1"))
    return alice


def _link(who: make.Workspace) -> str:
    with who.db() as db:
        return tokens.issue(db, tokens.Kind.LINK, "sign-in link", user=who.users["owner"], life=tokens.LINK_LIFE)


def _actions(who: make.Workspace) -> list[str]:
    with who.db() as db:
        return list(db.execute(select(audit.Entry.action).order_by(audit.Entry.number)).scalars())


# ---- in and out


def test_a_preview_of_a_link_spends_nothing_and_the_button_signs_in_once(alice: make.Workspace) -> None:
    """C287."""
    secret, person = _link(alice), Person(alice.client)
    for _ in range(2):
        shown_ = person.get(f"/sign-in/{secret}")
        assert (shown_.status_code, not shown_.headers.get("set-cookie")) == (200, True)
        assert "Alice Owner" in shown_.text
    entered = person.post("/sign-in", {"secret": secret})
    assert (entered.status_code, entered.headers["location"]) == (303, shell.HOME)
    cookie = entered.headers["set-cookie"]
    assert all(part in cookie for part in ("HttpOnly", "SameSite=lax", "Path=/", "Max-Age=604800"))
    assert person.get(shell.HOME).status_code == 200
    assert Person(alice.client).post("/sign-in", {"secret": secret}).status_code == 410
    assert Person(alice.client).get(f"/sign-in/{secret}").status_code == 410
    assert audit.Action.SESSION_STARTED in _actions(alice)


@pytest.mark.parametrize("headers", [{"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}])
def test_another_site_cannot_press_the_button(alice: make.Workspace, headers: dict[str, str]) -> None:
    secret, person = _link(alice), Person(alice.client)
    assert person.post("/sign-in", {"secret": secret}, **headers).status_code == 403
    assert person.post("/login", {"token": alice.secrets["owner"]}, **headers).status_code == 403
    assert person.cookies == {}
    assert person.get(f"/sign-in/{secret}").status_code == 200


def test_origin_stands_in_where_a_browser_says_no_site(alice: make.Workspace) -> None:
    for origin, status in (("https://evil.example", 403), ("null", 403), ("http://testserver", 303)):
        answer = alice.client.post("/login", data={"token": alice.secrets["owner"]}, headers={**HTML, "origin": origin})
        assert answer.status_code == status, origin
    alice.client.cookies.clear()


def test_over_https_the_cookie_is_kept_to_this_host() -> None:
    settings = Settings(public_url="https://everfix.example")
    assert (deps.cookie_name(settings), deps.secure(settings)) == ("__Host-everfix_session", True)
    assert deps.cookie_name(Settings()) == "everfix_session"


def test_signing_out_ends_the_session_for_good(alice: make.Workspace, owner_page: Person) -> None:
    kept = dict(owner_page.cookies)
    assert owner_page.post("/sign-out").status_code == 403  # without the session's own token
    left = owner_page.post("/sign-out", {"csrf": owner_page.csrf()})
    assert (left.status_code, left.headers["location"]) == (303, "/login?ended=true")
    assert deps.COOKIE not in owner_page.cookies
    thief = Person(alice.client)
    thief.cookies = kept
    assert thief.get(shell.HOME).headers["location"] == "/login"
    assert _actions(alice)[-1] == audit.Action.SESSION_ENDED


def test_an_ended_session_leads_to_login_and_back(alice: make.Workspace, owner_page: Person) -> None:
    """C287."""
    with alice.db() as db:
        db.execute(update(tokens.Token).where(tokens.Token.kind == "session").values(revoked_at=make.NOW))
    there = owner_page.get("/patterns?x=1").headers["location"]
    assert there == "/login?next=/patterns%3Fx%3D1"
    shown_ = owner_page.get(there)
    assert "session has ended" in shown_.text
    assert deps.COOKIE not in owner_page.cookies
    back = owner_page.post("/login", {"token": alice.secrets["owner"], "next": "/patterns?x=1"})
    assert back.headers["location"] == "/patterns?x=1"


def test_parts_of_a_page_and_programs_learn_of_it_in_their_own_way(alice: make.Workspace) -> None:
    part = alice.client.get("/dashboards/executive/waiting", headers={**PART, "hx-current-url": "http://testserver/reports?a=b"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login?next=/reports%3Fa%3Db")
    program = alice.client.get(shell.HOME, headers={"accept": "application/json"})
    assert (program.status_code, program.json()["error"]["code"]) == (401, "unauthorized")


@given(st.one_of(st.text(max_size=60), st.from_regex(r"[/\\]{0,3}[a-z.:@/\\]{0,20}", fullmatch=True)))
def test_the_way_back_never_leads_away(path: str) -> None:
    back = shell.back(path)
    assert back.startswith("/")
    assert not back.startswith(("//", "/\\"))
    assert httpx.URL("http://here.example").join(back).host == "here.example"


def test_wrong_tokens_are_refused_with_words(alice: make.Workspace) -> None:
    for secret in ("", "x", "efx_pat_" + "a" * 43, _link(alice), "é", "x" * 190):
        answer = Person(alice.client).post("/login", {"token": secret})
        assert (answer.status_code, "no token that works" in answer.text) == (401, True), secret


def test_a_session_may_no_more_and_lives_no_longer_than_its_token(alice: make.Workspace) -> None:
    with alice.db() as db:
        account = tokens.service_account(db, "reader")
        life = timedelta(minutes=5)
        secret = tokens.issue(db, tokens.Kind.SERVICE, "t", service_account=account.id, scopes=[Scope.REPORTS_READ], life=life)
    person = Person(alice.client).enter(secret)
    page = person.page(shell.HOME)
    assert 'href="/reports"' in page
    assert 'href="/patterns"' not in page
    assert person.get("/patterns").status_code == 403
    with alice.db() as db:
        begun = db.execute(select(tokens.Token).where(tokens.Token.kind == "session")).scalar_one()
        assert begun.expires_at is not None
        assert begun.expires_at - begun.created_at <= life + timedelta(seconds=5)


def test_colours_are_kept_without_scripts(alice: make.Workspace) -> None:
    person = Person(alice.client)
    assert person.post("/theme", {"theme": "dark", "next": "//evil.example"}).headers["location"] == shell.HOME
    assert '<html lang="en" data-theme="dark">' in person.page("/login")
    person.post("/theme", {"theme": "pink"})
    assert 'data-theme="dark"' in person.page("/login")


def test_the_root_leads_in(alice: make.Workspace, owner_page: Person) -> None:
    assert owner_page.get("/").headers["location"] == shell.HOME
    assert owner_page.get("/dashboard").headers["location"] == shell.HOME
    assert owner_page.get("/dashboard?window=30d&until=2026-02-01").headers["location"] == f"{shell.HOME}?period=30d&until=2026-02-01"
    assert Person(alice.client).get("/").headers["location"].startswith("/login")
    assert owner_page.get("/login?next=/issues").headers["location"] == "/issues"


# ---- what is shown


def test_an_empty_workspace_says_how_to_send_the_first_failure(alice: make.Workspace, owner_page: Person) -> None:
    page = owner_page.page(shell.HOME)
    assert "curl -X POST http://testserver/v1/ingest/events" in unescape(page)
    assert "hx-refresh" not in owner_page.get("/dashboards/executive/waiting", **PART).headers
    alice.ingest(make.event())
    assert owner_page.get("/dashboards/executive/waiting", **PART).headers["hx-refresh"] == "true"
    for path in ("/patterns", "/issues", "/reports"):
        owner_page.page(path)


def test_the_cards_say_what_the_report_says(full: make.Workspace, owner_page: Person, time: Clock) -> None:
    template = templates.get("executive_summary")
    for window in ("7d", "30d", "90d"):
        page = owner_page.page(f"/dashboards/executive?period={window}")
        with full.db() as db:
            document = build.document(db, template.name, template.key, template.sections, window, {}, time(), "")
            reader = shown.Reader.of(db.execute(select(Row)).scalar_one())
        figures = [figure for block in document.sections[0].blocks if isinstance(block, Figures) for figure in block.figures]
        cards = re.findall(r'data-card="(\w+)" data-state="(\w+)".*?card-value[^>]*>([^<]*)<', page, re.DOTALL)
        said = {key: unescape(value) for key, _, value in cards}
        for figure in figures:
            if figure.unit is not Unit.PERCENT:  # the dashboard's own rate is of what was due by pattern
                assert said[figure.key] == reader.words(figure.value, figure.unit), figure.key
        assert document.narrative
        told = [document.narrative.sections[section.id] for section in document.sections[1:] if section.id in document.narrative.sections]
        assert told
        assert all(words in unescape(page) for words in told)


@pytest.mark.parametrize(
    ("value", "previous", "better", "state"),
    [
        (12, 10, "up", "better"),
        (12, 10, "down", "worse"),
        (8, 10, "down", "better"),
        (10000, 10004, "up", "flat"),
        (3, 0, "up", "new"),
        (3, None, "up", "none"),
    ],
)
def test_the_colour_of_a_change(value: float, previous: float | None, better: Any, state: str) -> None:
    figure = Figure(key="x", title="X", value=value, previous=previous, better=better)
    assert shown.card(shown.Reader("USD", "UTC", "#0f766e"), figure)["state"] == state


def test_ranges_and_days_out_of_bounds_are_pages_that_say_so(owner_page: Person, full: make.Workspace) -> None:
    for path in ("/dashboards/executive?period=soon", "/dashboards/executive?until=yesterday", "/dashboards/executive?until=2026-02-30"):
        answer = owner_page.get(path)
        assert (answer.status_code, "That did not work" in answer.text) == (422, True), path
    assert "1 Feb 2026" in owner_page.page("/dashboards/executive?period=7d&until=2026-02-01")


def test_old_failures_are_shown_up_to_the_last_one_and_that_is_said(full: make.Workspace, owner_page: Person, time: Clock) -> None:
    time.advance(days=200)
    again = Person(full.client).enter(full.secrets["owner"])
    page = again.page(shell.HOME)
    assert "No failure has come in since 15 Mar 2026" in page
    assert "15 Mar 2026" in page.partition('class="sub"')[2][:200]


def test_simulated_data_are_called_so_on_every_page(full: make.Workspace, owner_page: Person) -> None:
    assert "Simulated data." not in owner_page.page(shell.HOME)
    with full.db() as db:
        db.execute(update(Row).values(simulated=True))
        pattern = db.execute(select(Pattern.id).limit(1)).scalar_one()
        issue = db.execute(select(Issue.id).limit(1)).scalar_one()
    try:
        for path in (shell.HOME, "/patterns", f"/patterns/{pattern}", "/issues", f"/issues/{issue}", "/reports"):
            assert "Simulated data." in owner_page.page(path), path
    finally:
        with full.db() as db:
            db.execute(update(Row).values(simulated=False))


def test_one_pattern_explains_itself(full: make.Workspace, owner_page: Person, time: Clock) -> None:
    with full.db() as db:
        predictions.refresh(db, time())
        pattern = db.execute(select(Pattern).order_by(Pattern.issue_count.desc()).limit(1)).scalar_one()
        recommendations.refresh(db, [pattern.id])
        of_pattern = select(RecommendationPattern.recommendation_id).where(RecommendationPattern.pattern_id == pattern.id)
        fix = db.execute(select(Recommendation).where(Recommendation.id.in_(of_pattern))).scalars().first()
        standing = predictions.newest(db, pattern.id)
    assert standing
    page = unescape(owner_page.page(f"/patterns/{pattern.id}"))
    for words in (
        pattern.name,
        f"<b>{pattern.risk_score}</b>",
        "Failures of this pattern",
        f"{standing.probability * 100:.0f} %",
        "within 7 days",
    ):
        assert words in page, words
    assert page.count('<tr class="linked">') == len(DAYS)
    days = full.api.ok("GET", f"/v1/patterns/{pattern.id}/frequency", window="30d")
    chart = json.loads(page.split('data-chart="pattern_days_chart"')[1].split('<script type="application/json">')[1].split("</script>")[0])
    assert "expected of the next 7" in page
    for one in days["predicted"]:
        assert one["date"] in json.dumps(chart)
        assert str(one["upper"]) in json.dumps(chart), "the band of the API is the band of the picture"
    assert owner_page.page(f"/patterns/{ids.show(ids.Prefix.PATTERN, pattern.id)}")
    assert fix is not None
    assert fix.title in page
    assert "How the rank comes about" in page
    moved = owner_page.post(
        f"/recommendations/{fix.id}/status", {"csrf": owner_page.csrf(), "status": "implemented", "pattern": str(pattern.id)}
    )
    assert moved.headers["location"] == f"/patterns/{pattern.id}#fixes"
    assert "watching" in owner_page.page(f"/patterns/{pattern.id}")
    assert owner_page.post(f"/recommendations/{fix.id}/status", {"csrf": owner_page.csrf(), "status": "dismissed"}).status_code == 409


def test_one_issue_says_why_it_is_where_it_is(full: make.Workspace, owner_page: Person) -> None:
    with full.db() as db:
        issue = db.execute(select(Issue).order_by(Issue.occurred_at).limit(1)).scalar_one()
    page = unescape(owner_page.page(f"/issues/{issue.id}"))
    assert issue.assignment
    rule = issue.assignment["why"]["rule"]
    assert rule[:1].upper() + rule[1:] in page
    assert f"/patterns/{issue.pattern_id}" in page


def test_nothing_that_came_from_outside_becomes_markup(full: make.Workspace, owner_page: Person) -> None:
    bad = '</script><img src=x onerror=alert(1)><a href="javascript:x">"\''
    days = [{"source_created_at": (make.NOW - timedelta(days=day)).isoformat()} for day in (1, 2, 3)]
    found = full.learn(
        *(make.event(title=bad, service=bad, team=bad, stacktrace=bad, body=bad, metadata={"k": bad}, **day) for day in days)
    )
    with full.db() as db:
        pattern = db.execute(select(Issue.pattern_id).where(Issue.id == found[0])).scalar_one()
    for path in (shell.HOME, "/patterns", "/issues", f"/patterns/{pattern}", f"/issues/{found[0]}"):
        page = owner_page.page(path)
        assert "onerror" in page, path
        assert "<img" not in page
        assert 'href="javascript' not in page


def test_a_page_carries_a_strict_policy_and_keeps_it(full: make.Workspace, owner_page: Person) -> None:
    answer = owner_page.get(shell.HOME)
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert answer.headers["cache-control"] == "private, no-store"
    assert " style=" not in answer.text
    assert not re.search(r"<script(?![^>]*(src=|application/json))", answer.text)
    assert not re.search(r"\son\w+=", answer.text)
    assert not re.search(r"(src|href)=\"(https?:)?//", answer.text)


def test_pages_that_are_not_there(alice: make.Workspace, bob: make.Workspace, owner_page: Person) -> None:
    found = bob.learn(*make.failures("search", (1, 2, 3)))
    with bob.db() as db:
        pattern = db.execute(select(Pattern.id).limit(1)).scalar_one()
    for path in ("/nowhere", "/patterns/xyz", f"/patterns/{pattern}", f"/issues/{found[0]}", f"/reports/files/{found[0]}", "/issues/%00"):
        answer = owner_page.get(path)
        assert (answer.status_code, "There is nothing here" in answer.text) == (404, True), path
    assert owner_page.get("/v1/nowhere").json()["error"]["code"] == "not_found"


def test_without_the_bundle_a_page_says_so_and_shows_its_numbers(
    full: make.Workspace, owner_page: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "built", dict)
    page = owner_page.page(shell.HOME)
    assert "This page is incomplete" in page
    assert "<script" not in page
    assert page.count('<details class="numbers" open>') == 5


# ---- reports


def test_every_format_can_be_exported_and_fetched(full: make.Workspace, owner_page: Person) -> None:
    form = {"csrf": owner_page.csrf(), "template": "executive_summary", "window": "30d", "format": "all", "until": "2026-03-10"}
    toast = owner_page.post("/reports", form, **PART)
    assert (toast.status_code, "Making executive summary" in toast.text) == (200, True)
    job = re.search(r"/reports/jobs/(job_\w+)\?form=toast", toast.text)
    assert job
    assert 'hx-trigger="every' in owner_page.get(f"/reports/jobs/{job[1]}?form=row", **PART).text
    assert full.work() >= 1
    done = owner_page.get(f"/reports/jobs/{job[1]}?form=toast", **PART).text
    assert "hx-trigger" not in done
    links = re.findall(r'href="(/reports/files/fil_\w+)"[^>]*download="([^"]+)"', done)
    assert len(links) == len(documents.RENDERERS)
    for link, name in links:
        got = owner_page.get(link)
        assert (got.status_code, len(got.content) > 500, name in got.headers["content-disposition"]) == (200, True, True)
        assert int(got.headers["content-length"]) == len(got.content)
        assert "2026-03-10" in name
    assert _actions(full).count(audit.Action.REPORT_DOWNLOADED) == len(links)
    listed = owner_page.page("/reports")
    assert listed.count('class="file"') == len(links)


def test_a_report_can_be_cancelled(alice: make.Workspace, owner_page: Person) -> None:
    csrf = owner_page.csrf()
    assert owner_page.post("/reports", {"csrf": csrf, "template": "issue_digest", "format": "json"}).headers["location"] == "/reports"
    job = re.search(r'action="/reports/jobs/(job_\w+)/cancel"', owner_page.page("/reports"))
    assert job
    assert owner_page.post(f"/reports/jobs/{job[1]}/cancel", {"csrf": csrf}).status_code == 303
    assert owner_page.post(f"/reports/jobs/{job[1]}/cancel", {"csrf": csrf}).status_code == 409
    with alice.db() as db:
        assert db.execute(select(jobs.Job.status)).scalar_one() == jobs.Status.CANCELLED


@pytest.mark.parametrize(
    "form",
    [
        {"template": "nothing"},
        {"template": "issue_digest", "format": "exe"},
        {"template": "issue_digest"},
        {"window": "0d", "format": "pdf", "template": "issue_digest"},
    ],
)
def test_a_report_that_cannot_be_is_refused_with_words(owner_page: Person, form: dict[str, str]) -> None:
    answer = owner_page.post("/reports", {"csrf": owner_page.csrf(), **form}, **PART)
    assert (answer.status_code, answer.headers["hx-retarget"]) == (422, "#notices")
    assert 'class="toast bad"' in answer.text


def test_a_viewer_sees_and_changes_nothing(full: make.Workspace) -> None:
    viewer = Person(full.client).enter(full.secrets["viewer"])
    page = viewer.page(shell.HOME)
    assert "Export" not in page
    csrf = CSRF.search(page)
    assert csrf
    assert viewer.post("/reports", {"csrf": csrf[1], "template": "issue_digest", "format": "json"}).status_code == 403


def test_another_sessions_token_opens_no_form(alice: make.Workspace, bob: make.Workspace, owner_page: Person) -> None:
    other = Person(bob.client).enter(bob.secrets["owner"])
    answer = owner_page.post("/reports", {"csrf": other.csrf(), "template": "issue_digest", "format": "json"})
    assert (answer.status_code, "out of date" in answer.text) == (403, True)


def test_older_runs_are_a_page_away(alice: make.Workspace, owner_page: Person) -> None:
    csrf = owner_page.csrf()
    for _ in range(21):
        owner_page.post("/reports", {"csrf": csrf, "template": "issue_digest", "format": "json"})
    first = owner_page.page("/reports")
    older = re.search(r"/reports\?before=job_\w+", first)
    assert older
    rows = re.compile(r'<tr id="row-(job_\w+)"')
    seen = rows.findall(first) + rows.findall(owner_page.page(older[0]))
    assert len(seen) == len(set(seen)) == 21
