"""The pages of predictions and recommendations: what they show, what a click does, who may click."""

from __future__ import annotations

from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import select

from everfix.core import ids
from everfix.failures import loop
from everfix.failures.predictions import Prediction
from everfix.failures.recommendations import Recommendation, Step
from tests import make
from tests.conftest import Clock
from tests.test_web import Person


@pytest.fixture
def full(alice: make.Workspace, time: Clock) -> make.Workspace:
    alice.learn(*make.failures("database", [3.0 * n + 1 for n in range(30)], severity="p1"))
    assert time.at is not None
    return alice


def person(workspace: make.Workspace, role: str) -> Person:
    return Person(workspace.client).enter(workspace.secrets[role])


def first(workspace: make.Workspace) -> str:
    with workspace.db() as db:
        return ids.show(
            ids.Prefix.RECOMMENDATION, db.execute(select(Recommendation.id).order_by(Recommendation.rank).limit(1)).scalar_one()
        )


def test_c293_predictions_show_tiles_forecast_matrix_and_table(full: make.Workspace) -> None:
    text = person(full, "viewer").page("/predictions?window=7d")
    for wanted in (
        "High probability",
        "Above alert threshold",
        "ALERT 70",
        "Almost Certain",
        'aria-current="true">7D<',
        "Standing predictions",
    ):
        assert wanted in text, wanted
    assert "/dismiss" not in text, "a viewer is offered nothing that is refused"


def test_both_pages_are_whole_without_a_failure(bob: make.Workspace) -> None:
    visitor = person(bob, "owner")
    assert "No pattern has a prediction yet" in visitor.page("/predictions")
    assert "Nothing is recommended yet" in visitor.page("/recommendations")


def test_a_prediction_is_dismissed_with_a_click(full: make.Workspace) -> None:
    with full.db() as db:
        wanted = db.execute(select(Prediction.id).where(Prediction.status == "active").limit(1)).scalar_one()
    visitor = person(full, "analyst")
    answer = visitor.post(f"/predictions/{ids.show(ids.Prefix.PREDICTION, wanted)}/dismiss", {"csrf": visitor.csrf()})
    assert answer.headers["location"] == "/predictions#due"
    with full.db() as db:
        assert db.execute(select(Prediction.status).where(Prediction.id == wanted)).scalar_one() == "dismissed"


def test_c294_the_list_has_three_tiles_ranks_and_filters(full: make.Workspace) -> None:
    visitor = person(full, "viewer")
    text = visitor.page("/recommendations")
    for wanted in ("Open recommendations", "Returns they would prevent", "Exposure addressed", 'aria-label="Rank 1"', " effort"):
        assert wanted in text, wanted
    assert "No recommendation matches" in visitor.page("/recommendations?type=monitoring&impact=quick_win")
    assert visitor.get("/recommendations?type=magic").status_code == 422


def test_c295_steps_are_ticked_and_the_fix_is_claimed_proven_and_attested(full: make.Workspace, time: Clock) -> None:
    visitor, one = person(full, "analyst"), first(full)
    with full.db() as db:
        wanted = ids.parse(ids.Prefix.RECOMMENDATION, one)
        query = select(Step.id).where(Step.recommendation_id == wanted).order_by(Step.position).limit(1)
        step = ids.show(ids.Prefix.STEP, db.execute(query).scalar_one())
    token = visitor.csrf()
    visitor.post(f"/recommendations/{one}/steps/{step}", {"csrf": token, "completed": "true"})
    assert 'aria-pressed="true"' in visitor.page(f"/recommendations/{one}")
    given = {"csrf": token, "status": "implemented", "what": "Pool raised", "release": "2.5.0", "link": "https://git.example/1"}
    assert visitor.post(f"/recommendations/{one}/status", given).headers["location"] == f"/recommendations/{one}"
    text = visitor.page(f"/recommendations/{one}")
    for wanted_ in ("watching", "Pool raised", "2.5.0", "https://git.example/1", "Take the claim back"):
        assert wanted_ in text, wanted_
    assert "Attest that it held" not in text
    with full.db() as db:
        loop.refresh(db, time.advance(days=31))
    visitor = person(full, "analyst")  # the session has ended by then
    token = visitor.csrf()
    assert "Attest that it held" in visitor.page(f"/recommendations/{one}")
    visitor.post(f"/recommendations/{one}/attest", {"csrf": token, "note": "seen in the graphs"})
    text = visitor.page(f"/recommendations/{one}")
    assert "Attested by Analyst" in text
    assert "seen in the graphs" in text
    file = visitor.get(f"/recommendations/{one}/attestation?format=pdf")
    assert file.content.startswith(b"%PDF")
    assert file.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    ("body", "said"),
    [({"status": "implemented", "link": "javascript:alert(1)"}, "Link: must begin with http"), ({"status": "done"}, "is no status")],
)
def test_a_wrong_claim_is_told(full: make.Workspace, body: dict[str, str], said: str) -> None:
    visitor = person(full, "analyst")
    answer = visitor.post(f"/recommendations/{first(full)}/status", {"csrf": visitor.csrf(), **body})
    assert answer.status_code == 422
    assert said in unescape(answer.text)


def test_a_stranger_sees_nothing_and_a_viewer_changes_nothing(full: make.Workspace, bob: make.Workspace) -> None:
    one = first(full)
    stranger, viewer = person(bob, "owner"), person(full, "viewer")
    assert stranger.get(f"/recommendations/{one}").status_code == 404
    assert stranger.get(f"/recommendations/{one}/attestation").status_code == 404
    assert stranger.get("/recommendations/nonsense").status_code == 404
    token = viewer.csrf()
    for path in (f"/recommendations/{one}/status", f"/recommendations/{one}/attest", f"/recommendations/{one}/push"):
        answer = viewer.post(path, {"csrf": token, "status": "dismissed", "tracker": "jira"})
        assert answer.status_code == 403, path
    outsider = Person(full.client)
    assert outsider.get("/predictions").headers["location"] == "/login?next=/predictions"


def test_a_push_without_a_tracker_is_told(full: make.Workspace) -> None:
    visitor = person(full, "analyst")
    answer = visitor.post(f"/recommendations/{first(full)}/push", {"csrf": visitor.csrf(), "tracker": "jira"})
    assert answer.status_code == 422
    assert "There is no tracker 'jira'" in unescape(answer.text)
    assert "No tracker is set up" in visitor.page(f"/recommendations/{first(full)}")


def test_what_does_not_count_is_told_on_the_page(full: make.Workspace, time: Clock) -> None:
    visitor, one = person(full, "analyst"), first(full)
    visitor.post(f"/recommendations/{one}/status", {"csrf": visitor.csrf(), "status": "implemented", "release": "2.5.0"})
    at = time.advance(days=3)
    full.learn(make.failures("database", (0,), end=at, external_id="late", release="2.4.9")[0], now=at + timedelta(hours=1))
    with full.db() as db:
        loop.refresh(db, at + timedelta(hours=2))
    assert "it came from 2.4.9, older than 2.5.0" in visitor.page(f"/recommendations/{one}")
