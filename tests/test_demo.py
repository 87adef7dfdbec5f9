"""The simulated company: deterministic, plausible, with a truth that no event shows."""

from __future__ import annotations

import json
import re
import statistics
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sqlalchemy import text

from everfix.core.db import Database
from everfix.demo import company, noise, planted, run, simulate, timeline, tools, wording
from everfix.identity import tokens
from everfix.ingest import sources
from everfix.installation import Installation
from tests import make
from tests.test_files import well_formed
from tests.test_web import PART, Person

SIX = ("executive", "business", "operations", "model-health", "data-health", "attribution")
NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
SEEDS = (7, 8, 9)


@cache
def year(seed: int) -> simulate.Simulation:
    return simulate.simulate(seed, NOW)


def moments(found: simulate.Simulation) -> dict[str, list[datetime]]:
    at: dict[str, list[datetime]] = defaultdict(list)
    for event in found.events:
        cause = found.truth.causes[event["external_id"]]
        if cause is not None:
            at[cause].append(datetime.fromisoformat(event["source_created_at"]))
    return at


@pytest.mark.parametrize("seed", SEEDS)
def test_a_year_has_the_size_of_one(seed: int) -> None:
    found = year(seed)
    assert 6_000 <= len(found.events) <= 9_000
    assert len(found.truth.planted) == len(planted.CAUSES) >= 40
    assert {cause.kind for cause in planted.CAUSES} == {"incident", "defect", "check"}
    assert min(found.truth.planted.values()) >= 8
    alone = sum(1 for cause in found.truth.causes.values() if cause is None)
    assert 0.05 <= alone / len(found.events) <= 0.15
    assert {event["service"] for event in found.events} == set(company.SERVICE)
    assert {event["team"] for event in found.events} == set(company.TEAM)
    assert {change["kind"] for change in found.changes} == {"deploy", "release", "flag", "config", "fix"}


@given(st.integers(0, 2**32), st.integers(14, 60), st.datetimes(datetime(2015, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
@settings(max_examples=12, deadline=None)
def test_the_same_arguments_give_the_same_company(seed: int, days: int, now: datetime) -> None:
    first, second = simulate.simulate(seed, now, days), simulate.simulate(seed, now, days)
    assert first == second
    assert json.dumps(first.events) == json.dumps(second.events)
    assert first.now - first.start == timedelta(days=days)
    for event in first.events:
        well_formed(event)
        assert first.start <= datetime.fromisoformat(event["source_created_at"]) < first.now


def test_another_seed_is_another_year() -> None:
    assert year(7).events[:50] != year(8).events[:50]


def test_a_year_takes_less_than_three_seconds() -> None:
    began = time.process_time()
    simulate.simulate(11, NOW)
    assert time.process_time() - began < 3.0


def test_the_zone_of_now_does_not_matter() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert simulate.simulate(3, local, 20) == simulate.simulate(3, NOW, 20)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"now: .* allowed: a time with a zone"):
        simulate.simulate(1, datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake itself
    with pytest.raises(ValueError, match="days: 3 is not allowed; allowed: 14 to 1500"):
        simulate.simulate(1, NOW, 3)


@pytest.mark.parametrize("seed", SEEDS)
def test_events_arrive_in_order_and_hold_together(seed: int) -> None:
    found = year(seed)
    created = [event["source_created_at"] for event in found.events]
    assert created == sorted(created)
    assert len({event["external_id"] for event in found.events}) == len(found.events) == len(found.truth.causes)
    for event in found.events:
        well_formed(event)
        assert event["source"] in sources.VENDORS
        times = [event[name] for name in ("source_created_at", "acknowledged_at", "resolved_at") if name in event]
        assert times == sorted(times)
        assert times[-1] == event["source_updated_at"] <= "2026-11-22T09:00:00Z"
        assert (event["status"] in ("resolved", "closed")) == ("resolved_at" in event)
        assert "example" in event["external_url"]


def test_no_slot_stays_open_and_no_truth_leaks() -> None:
    keys = re.compile("|".join(re.escape(cause.key) for cause in planted.CAUSES))
    slots = set(wording.MAKERS) | {"team", "project", "person", "branch", "service", "noun", "verb"}
    for event in year(7).events:
        text = json.dumps(event, ensure_ascii=False)
        assert not keys.search(text)
        left = set(re.findall(r"\{(\w+)\}", text))
        assert not left & slots
        assert "|" not in "".join(re.findall(r"\{[^{}\n]*\}", event["title"]))


def test_every_voice_speaks_through_a_known_tool() -> None:
    for cause in planted.CAUSES:
        assert abs(sum(voice.weight for voice in cause.voices) - 1) < 1e-9, cause.key
        assert all(voice.source in tools.TOOLS and voice.source in tools.MAKERS for voice in cause.voices)
        assert all(0 < repair.at < 1 for repair in cause.repairs)
        assert [repair.at for repair in cause.repairs] == sorted(repair.at for repair in cause.repairs)
    repairs = [repair.holds for cause in planted.CAUSES for repair in cause.repairs]
    assert repairs.count(True) >= 15
    assert repairs.count(False) >= 7
    assert len({template for *_, template in noise.TICKETS}) > 20


def test_gaps_and_bursts_are_those_of_real_failures() -> None:
    """Measured like the real sets: the first failures of failing days fit a Weibull of 0.75 to 0.81 there, 1.2 to 3.0 failures a day."""
    shapes, per_day, close = [], [], []
    for seed in SEEDS:
        for at in moments(year(seed)).values():
            first: dict[int, float] = {}
            days = [moment.timestamp() / 86_400 for moment in at]
            for day in days:
                first.setdefault(int(day), day)
            per_day.append(len(at) / len(first))
            gaps = np.diff(sorted(first.values()))
            if len(gaps) >= 12:
                shapes.append(float(stats.weibull_min.fit(gaps, floc=0)[0]))
                close.append(float(np.mean(np.diff(days) < 1)))
    assert 0.68 <= statistics.median(shapes) <= 0.88
    assert 2.0 <= statistics.mean(per_day) <= 4.5
    assert statistics.median(close) >= 0.5


def test_the_week_shows() -> None:
    days = Counter(moment.weekday() for at in (moments(year(seed)) for seed in SEEDS) for cause, found in at.items() for moment in found)
    assert days[5] < 0.75 * days[2]
    office = [cause.key for cause in planted.CAUSES if cause.rhythm == "office"]
    at_work = Counter(moment.weekday() >= 5 for seed in SEEDS for cause in office for moment in moments(year(seed))[cause])
    assert at_work[True] < 0.1 * at_work[False]


@pytest.mark.parametrize("seed", SEEDS)
def test_fixes_hold_or_do_not(seed: int) -> None:
    found = year(seed)
    at = moments(found)
    ids = {change["external_id"]: change for change in found.changes}
    seen = {event["external_id"]: event for event in found.events}
    returned = 0
    for fix in found.fixes:
        rolled_out = fix.claimed_at + timedelta(hours=30)
        after = [moment for moment in at[fix.cause] if moment > rolled_out]
        assert not (fix.holds and after), fix
        returned += bool(after)
        assert ids[fix.change]["fixes"] == fix.cause
        assert found.truth.causes[fix.example] == fix.cause
        assert datetime.fromisoformat(seen[fix.example]["source_created_at"]) <= fix.claimed_at
    failed = sum(1 for fix in found.fixes if not fix.holds)
    assert returned >= 0.85 * failed
    assert len(found.fixes) >= 25


def test_a_fix_that_does_not_hold_looks_as_if_it_did_for_a_while() -> None:
    before = after = 0
    for seed in SEEDS:
        at = moments(year(seed))
        for fix in year(seed).fixes:
            if not fix.holds:
                begin = fix.claimed_at + timedelta(hours=12)
                after += sum(1 for moment in at[fix.cause] if begin <= moment < begin + timedelta(days=7))
                before += sum(1 for moment in at[fix.cause] if fix.claimed_at - timedelta(days=7) <= moment < fix.claimed_at)
    assert after < 0.35 * before


def test_people_work_on_working_days() -> None:
    for change in year(7).changes:
        at = datetime.fromisoformat(change["occurred_at"])
        assert at.weekday() < 5
        assert 7 <= at.hour < 18
        assert not timeline.holiday(at)
    assert [change["occurred_at"] for change in year(7).changes] == sorted(change["occurred_at"] for change in year(7).changes)


def test_severe_failures_are_answered_sooner() -> None:
    waits: dict[str, list[float]] = defaultdict(list)
    for event in year(7).events:
        if event["kind"] == "incident" and "acknowledged_at" in event:
            wait = datetime.fromisoformat(event["acknowledged_at"]) - datetime.fromisoformat(event["source_created_at"])
            waits[event["severity"]].append(wait.total_seconds() / 60)
    medians = {level: statistics.median(found) for level, found in waits.items()}
    assert 1 < medians["p1"] < medians["p2"] < medians["p3"] < medians["p4"] < 600


def test_lines_move_with_releases_and_values_agree_within_a_failure() -> None:
    drift = wording.Drift(1)
    lines = [drift.line("checkout", 142, release) for release in range(200)]
    assert lines[0] == 142
    assert 2 < len(set(lines)) < 60
    assert [drift.line("checkout", 142, release) for release in range(200)] == lines
    words = wording.Words(wording.stream(1, "x"), service="checkout", at=NOW, release=0, version="1.2.3", drift=drift)
    order, again, other, kept = words.fill("{order} {order} {order2} {nothing known} {3-3} {a|a} {L142} {version}").split(" ", maxsplit=3)
    assert order == again != other
    assert kept == "{nothing known} 3 a 142 1.2.3"


def test_wrappers_speak_the_language_of_the_trace() -> None:
    assert wording.wrapped("a.B: x\n\tat c", "d.E: y").startswith("d.E: y\n\tat ")
    assert wording.wrapped("Traceback (most recent call last):\nValueError", "Outer").endswith("\nOuter")
    assert wording.wrapped("goroutine 1", "rpc error") == "rpc error: goroutine 1"


def test_rhythms_have_a_mean_of_one() -> None:
    period = timeline.Period(NOW - timedelta(days=365), 365 * 24)
    for name in ("office", "load", "flat", "night", "month_end"):
        assert abs(float(timeline.rhythm(period, name).mean()) - 1) < 1e-9


def test_d248_sample_data_lets_a_newcomer_try_all_of_it(
    installation: Installation, owner: Database, client: httpx.Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """D248: two weeks of the company, its six files, the six dashboards, and a report that is saved from one and run."""
    real = simulate.simulate
    monkeypatch.setattr(simulate, "simulate", lambda seed, now: real(seed, now, 14))
    here = run.workspace(owner, run.SIMULATED)
    outcome = run.company(installation.database, here, datetime.now(UTC), lambda *_: None)
    assert outcome.accepted > 100
    made = run.publish(installation, here, outcome.until, tmp_path)
    assert {path.suffix for path in made} == {".pdf", ".html", ".md", ".csv", ".xlsx", ".json"}
    assert all(path.stat().st_size > 500 for path in made)
    with installation.database.transaction(here) as db:
        user = db.execute(text("SELECT user_id FROM memberships LIMIT 1")).scalar_one()
        secret = tokens.issue(db, tokens.Kind.PERSONAL, "newcomer", user=user)
    newcomer, api = Person(client).enter(secret), make.Api(client, secret)
    for key in SIX:
        page = newcomer.page(f"/dashboards/{key}")
        assert "Simulated data" in page
        assert "Send the first failure" not in page
    form = {
        "csrf": newcomer.csrf(),
        "name": "Mine",
        "period": "7d",
        "format": ["html"],
        "narrative": "on",
        "when": "weekly",
        "timezone": "UTC",
    }
    assert "Mine is saved" in newcomer.post("/dashboards/operations/save", form, **PART).text
    (template,) = api.ok("GET", "/api/v1/reports/templates")["data"]
    assert api.post(f"/api/v1/reports/templates/{template['id']}/run-now").status_code == 202
