"""The six dashboards as pages: every one opens, says what programs are told, exports without a trace, and becomes a report."""

from __future__ import annotations

import re
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import text

from everfix.documents.model import Figure
from everfix.metrics import dashboards, periods, query
from everfix.web import executive as overview
from everfix.web import shell, shown
from tests import make
from tests.conftest import Clock
from tests.shared import ROOT
from tests.test_compat_reports import stored
from tests.test_web import PART, Person

CARD = re.compile(r'data-card="(\w+)" data-state="(\w+)".*?class="card-value[^"]*">([^<]*)<', re.DOTALL)


@pytest.fixture
def full(alice: make.Workspace, time: Clock) -> make.Workspace:
    make.with_history(alice)
    return alice


@pytest.fixture
def owner_page(alice: make.Workspace) -> Person:
    return Person(alice.client).enter(alice.secrets["owner"])


def cards(page: str) -> dict[str, str]:
    return {key: value.strip() for key, _, value in CARD.findall(page)}


@pytest.mark.parametrize("key", sorted(dashboards.DASHBOARDS))
def test_every_dashboard_opens_in_every_period(full: make.Workspace, owner_page: Person, key: str) -> None:
    """D12–D18, D20, D21, D77, D78, D83, D94."""
    for period in dashboards.PERIODS:
        page = owner_page.page(f"/dashboards/{key}?period={period}")
        assert f"<h1>{dashboards.DASHBOARDS[key].name}</h1>" in page
        for part in dashboards.DASHBOARDS[key].parts:
            if not query.find(part.source).figures:
                assert (part.title if part.source != "decision_traces_summary" else "Loop pipeline, last") in page
        assert 'data-refresh="30"' in page
        assert "Save as Report" in page
    assert owner_page.get("/dashboards").headers["location"] == "/dashboards/executive"
    assert all(f'href="/dashboards/{other}?period=90d' in page for other in dashboards.DASHBOARDS)


@pytest.mark.parametrize(
    ("value", "previous", "better", "state", "chip"),
    [
        (8.0, 10.0, "down", "better", "−20 %"),
        (12.0, 10.0, "down", "worse", "+20 %"),
        (12.0, 10.0, "up", "better", "+20 %"),
        (8.0, 10.0, "up", "worse", "−20 %"),
        (12.0, 10.0, None, "moved", "+20 %"),
        (10_004.0, 10_000.0, "down", "flat", "unchanged"),
        (10_006.0, 10_000.0, "down", "worse", "+0.1 %"),
        (3.0, 0.0, "down", "new", "New"),
        (0.0, 0.0, "down", "flat", "unchanged"),
        (3.0, None, "down", "none", "nothing to compare"),
    ],
)
def test_d22_d25_a_card_shows_value_change_and_sparkline_in_the_colour_of_its_good_direction(
    value: float, previous: float | None, better: Any, state: str, chip: str
) -> None:
    """D22 value, change, sparkline; D23 green is better, red worse; D24 grey within 0.05 %; D25 blue "New" from zero."""
    figure = Figure(key="x", title="X", value=value, previous=previous, better=better, spark=(1.0, 3.0, 2.0))
    card = shell.environment().from_string("{% import 'shell/parts.html' as part with context %}{{ part.card(figure) }}")
    made = card.render(figure=shown.card(shown.Reader("USD", "UTC", "#0f766e"), figure))
    assert f'data-state="{state}"' in made
    assert f'class="delta {state}"' in made
    assert chip in made
    assert 'class="spark"' in made
    style = (ROOT / "everfix" / "web" / "static" / "page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"\.delta\.(\w+) \{[^}]*color: var\(--(\w+)\)", style))
    assert {name: colours[name] for name in ("better", "worse", "new")} == {"better": "good", "worse": "bad", "new": "new"}


def test_wrong_views_are_refused(full: make.Workspace, owner_page: Person) -> None:
    assert owner_page.get("/dashboards/nope").status_code == 404
    for wrong in ("period=8d", "by=x", "model=magic"):
        assert owner_page.get(f"/dashboards/attribution?{wrong}").status_code == 422


def test_an_empty_workspace_and_a_stranger_see_nothing(full: make.Workspace, bob: make.Workspace) -> None:
    """D26, D27."""
    page = Person(bob.client).enter(bob.secrets["owner"]).page("/dashboards/executive")
    assert "Send the first failure" in page
    assert "orders-api" not in page


def test_the_six_cards_say_what_programs_are_told(full: make.Workspace, owner_page: Person) -> None:
    """D50, D54, D55, D56: property over periods and segments, against dashboard-data."""
    for days, label in ((7, "7d"), (30, "30d"), (90, "90d")):
        for segment in ("", "service:payments-api"):
            params: dict[str, Any] = {"days": days, **({"segmentId": segment} if segment else {})}

            def told(type_: str, params: dict[str, Any] = params, **more: Any) -> dict[str, Any]:
                found: dict[str, Any] = full.viewer.ok("GET", "/api/v1/dashboard-data", type=type_, **{**params, **more})
                return found

            with full.db() as db:
                period = periods.last(days, make.NOW, "UTC")
                figures = {figure.key: figure for figure in overview.figures(db, period, days, segment or None)}
            assert list(figures) == ["open_loops", "issues", "prevention_rate", "exposure_avoided", "prediction_auc", "anomalies"]
            summary, week, both = (
                told("summary_with_comparison"),
                told("acceptance_rate")["totals"],
                told("acceptance_rate", days=2 * days)["totals"],
            )
            assert figures["open_loops"].value == summary["activeOffers"]
            assert (figures["issues"].value, figures["issues"].previous) == (
                summary["decisions"]["current"],
                summary["decisions"]["previous"],
            )
            assert figures["exposure_avoided"].value == summary["revenue"]["current"]
            assert list(figures["issues"].spark) == summary["sparklines"]["decisions"]
            assert (
                figures["prevention_rate"].value == pytest.approx(week["acceptRate"], abs=0.01)
                if week["impressions"]
                else figures["prevention_rate"].value is None
            )
            if both["impressions"] - week["impressions"] > 0.1:
                earlier = (both["positive"] - week["positive"]) / (both["impressions"] - week["impressions"])
                assert figures["prevention_rate"].previous == pytest.approx(earlier, abs=0.05)
            auc = told("model_auc_summary_with_prev")["data"]
            assert figures["prediction_auc"].value == (auc[0]["auc"] if auc else None)
            assert figures["anomalies"].value == len(told("anomaly_candidates")["data"])
            shown = cards(owner_page.page(f"/dashboards/executive?period={label}&segment={segment}"))
            assert shown["open_loops"] == str(summary["activeOffers"])
            assert shown["issues"] == str(summary["decisions"]["current"])


def test_the_narrative_is_kept_for_an_hour(full: make.Workspace, owner_page: Person, time: Clock) -> None:
    """D51, D52: per workspace and view; the first load after an hour writes it anew."""

    def written() -> list[Any]:
        with full.db() as db:
            return list(db.execute(text("SELECT made_at, words FROM dashboard_stories ORDER BY days")).all())

    page = owner_page.page("/dashboards/executive")
    ((first, words),) = written()
    assert words["executive_summary"][0][:40] in page
    time.advance(minutes=59)
    owner_page.page("/dashboards/executive")
    assert written()[0].made_at == first
    time.advance(minutes=2)
    owner_page.page("/dashboards/executive")
    assert written()[0].made_at > first
    owner_page.page("/dashboards/executive?period=30d")
    assert len(written()) == 2


def test_without_words_everything_else_shows(full: make.Workspace, owner_page: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    """D53."""
    from everfix.errors import Unavailable
    from everfix.reports import making

    def broken(*_: Any) -> None:
        raise Unavailable("no words today")

    monkeypatch.setattr(making, "narrated", broken)
    page = owner_page.page("/dashboards/executive")
    assert "The narrative is not available now" in page
    assert len(cards(page)) == 6 + len(overview.CARDS)


def test_anomalies_are_explained(full: make.Workspace, owner_page: Person) -> None:
    """D57, D58: each with its severity, change and z-score; what is behind it comes when asked for."""
    full.learn(
        *[record | {"external_id": f"burst-{n}"} for n, record in enumerate(make.failures("database", [0.1 + n / 20 for n in range(60)]))]
    )
    full.learn(
        *[record | {"external_id": f"calm-{n}"} for n, record in enumerate(make.failures("database", [7.2 + n / 2 for n in range(13)]))]
    )
    page = owner_page.page("/dashboards/executive")
    asked = re.search(r'hx-get="(/dashboards/executive/explain\?metric=Issue\+volume&amp;dimension=service\+orders-api[^"]*)"', page)
    assert asked
    assert "critical" in page
    part = owner_page.get(asked[1].replace("&amp;", "&"), **PART)
    assert part.status_code == 200
    assert "orders-db" in part.text
    assert "<html" not in part.text


def test_the_heatmap_has_a_cell_for_each_pair(full: make.Workspace, owner_page: Person) -> None:
    """D59: segments against patterns; an empty cell is seen, a full one leads to its pattern."""
    page = owner_page.page("/dashboards/executive?period=90d")
    table = page[page.index('class="heat"') :]
    table = table[: table.index("</table>")]
    rows, columns = table.count('<th scope="row"'), table.count('<th scope="col"') - 1
    assert rows * columns == table.count("<td>") > 3
    assert 'class="l0">0<' in table
    assert re.search(r'class="l5" href="/patterns/[0-9a-f-]+"', table)


@pytest.mark.parametrize("format_", ["pdf", "csv", "markdown", "html"])
def test_an_export_is_a_file_and_leaves_nothing(full: make.Workspace, owner_page: Person, format_: str) -> None:
    """D28–D31, D34."""
    csrf, before = owner_page.csrf(), stored(full)
    answer = owner_page.post("/dashboards/business/export", {"csrf": csrf, "format": format_, "period": "30d"})
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith("attachment")
    assert len(answer.content) > 500
    assert stored(full) == before
    assert owner_page.post("/dashboards/business/export", {"csrf": csrf, "format": "xlsx"}).status_code == 422
    assert owner_page.post("/dashboards/business/export", {"csrf": "wrong", "format": "pdf"}).status_code == 403


def test_saving_says_so_and_keeps_what_was_on_screen(full: make.Workspace, owner_page: Person) -> None:
    """D38–D46, D49: the form is filled in; a bad cron keeps nothing; a viewer is not offered it."""
    begun = monotonic()
    page = owner_page.page("/dashboards/operations?period=14d&segment=service:orders-api")
    assert 'value="Operations, last 14 days, orders-api"' in page
    csrf = owner_page.csrf()
    form = {
        "csrf": csrf,
        "name": "Ops",
        "period": "14d",
        "segment": "service:orders-api",
        "format": ["pdf", "csv"],
        "narrative": "on",
        "timezone": "UTC",
    }
    before = stored(full)
    refused: list[dict[str, Any]] = [{"when": "custom", "cron": "nope"}, {"format": []}, {"timezone": "Nowhere/Land"}]
    for wrong in refused:
        assert owner_page.post("/dashboards/operations/save", form | wrong, **PART).status_code == 422
    assert stored(full) == before
    answer = owner_page.post("/dashboards/operations/save", form | {"when": "weekly"}, **PART)
    assert answer.status_code == 200
    assert "Ops is saved" in answer.text
    assert monotonic() - begun < 20, "a page and one form: what a person needs of the minute is theirs"
    (template,) = full.viewer.ok("GET", "/api/v1/reports/templates")["data"]
    assert template["formats"] == ["pdf", "csv"]
    asked = {item["sourceKey"]: item["params"] for item in template["dataSources"]}
    assert asked["decision_traces_summary"] == {"days": 14, "segmentId": "service:orders-api"}
    (schedule,) = full.viewer.ok("GET", "/api/v1/reports/schedules")["data"]
    assert schedule["cronExpression"] == "0 8 * * 1"
    viewer = Person(full.client).enter(full.secrets["viewer"])
    assert "Save as Report" not in viewer.page("/dashboards/operations")
    assert viewer.post("/dashboards/operations/save", form | {"csrf": viewer.csrf()}).status_code == 403
