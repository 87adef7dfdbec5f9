from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from everfix.failures import forecast

START = datetime(2025, 1, 1, tzinfo=UTC)


def history(name: str, every: int, last: int = 200) -> forecast.History:
    return forecast.History.of(name, [START + timedelta(days=d) for d in range(0, last, every)])


FLEET = [history("daily", 1), history("weekly", 7), history("rare", 40), history("gone", 1, 60)]


def taught() -> forecast.Model:
    model = forecast.Model.new()
    for day in range(30, 190, 3):
        model.learn(FLEET, START + timedelta(days=day), START + timedelta(days=day + 7), 7)
    return model


def test_often_is_more_probable_than_rarely() -> None:
    daily, weekly, rare, gone = taught().predict(FLEET, START + timedelta(days=199), 7)
    assert daily.probability > 0.9
    assert weekly.probability > 0.5 > max(rare.probability, gone.probability)
    assert all(f.lower <= f.probability <= f.upper for f in (daily, weekly, rare, gone))
    assert json.loads(json.dumps(gone.why))[0]["model"] == forecast.VERSION
    assert min(r["effect"] for r in gone.why[1:]) < 0


def test_a_new_workspace_forecasts_from_the_prior() -> None:
    one = forecast.Model.new().predict([history("new", 1, 1)], START + timedelta(days=1), 7)
    assert 0.02 < one[0].probability < 0.7


def test_state_survives_json() -> None:
    model = taught()
    again = forecast.Model.from_state(json.loads(json.dumps(model.to_state())))
    now = START + timedelta(days=199)
    for a, b in zip(model.predict(FLEET, now, 7), again.predict(FLEET, now, 7), strict=True):
        assert a.probability == pytest.approx(b.probability, abs=1e-4)


def test_a_state_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="recompute"):
        forecast.Model.from_state({"version": "forecast-0", "horizons": {}})


def test_a_window_that_has_not_ended_cannot_be_learnt() -> None:
    with pytest.raises(ValueError, match="has not ended"):
        forecast.Model.new().learn(FLEET, START, START + timedelta(days=3), 7)
