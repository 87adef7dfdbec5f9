"""The sources of the six dashboards: their sums are those of the sources we had, and each rule of the reference is counted by hand."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from everfix.core import ids
from everfix.errors import Invalid
from everfix.failures import changes
from everfix.metrics import attribution_sources, dashboards, periods, query
from everfix.web import pictures, shown
from tests import make

SEGMENTED = sorted(key for key, source in query.catalogue().items() if any(param.key == "segmentId" for param in source.params))


def rows(workspace: make.Workspace, key: str, length: int = 30, **params: Any) -> list[dict[str, Any]]:
    with workspace.db() as db:
        return query.records(db, key, periods.last(length, make.NOW, "UTC"), params)


def one(workspace: make.Workspace, key: str, length: int = 30, **params: Any) -> dict[str, Any]:
    (row,) = rows(workspace, key, length, **params)
    return row


@pytest.fixture
def filled(alice: make.Workspace) -> make.Workspace:
    """A quarter of use; the silent fixes are taken for proven, so that something was prevented whatever the proof asks for."""
    make.with_history(alice)
    with alice.db() as db:
        db.execute(text("UPDATE verifications SET verdict = 'held' WHERE verdict = 'not_enough_exposure'"))
    return alice


def test_the_new_figures_are_those_of_the_reports(filled: make.Workspace) -> None:
    """D55: what a dashboard says and what a report says cannot differ."""
    for days in (1, 7, 30, 90):
        _same_figures(filled, days)


def _same_figures(filled: make.Workspace, days: int) -> None:
    loops, issues, fixes = (one(filled, key, days) for key in ("loop_figures", "issue_figures", "fix_figures"))
    summary, exposure, prevention = (
        one(filled, key, days) for key in ("summary_with_comparison", "exposure_figures", "prevention_figures")
    )
    for suffix in ("", "_before"):
        assert summary[f"active_offers{suffix}"] == loops[f"open_loops{suffix}"]
        assert summary[f"decisions{suffix}"] == issues[f"issues{suffix}"]
        assert summary[f"revenue{suffix}"] == exposure[f"avoided{suffix}"] == pytest.approx(fixes[f"exposure_avoided{suffix}"])
        assert exposure[f"prevented{suffix}"] == prevention[f"prevented{suffix}"] == fixes[f"prevented{suffix}"]
        assert prevention[f"due{suffix}"] == pytest.approx(fixes[f"prevented{suffix}"] + loops[f"returns{suffix}"], abs=0.051)


def test_parts_add_up_to_the_whole(filled: make.Workspace) -> None:
    """D99–D104, D115, D116, D123: by pattern, source, segment and day, the same total is due."""
    due, prevented = (one(filled, "prevention_figures")[key] for key in ("due", "prevented"))
    assert due > prevented > 0
    splits: dict[str, tuple[dict[str, Any], str, str]] = {
        "offer_performance": ({}, "impressions", "conversions"),
        "acceptance_rate": ({}, "impressions", "positive"),
        "channel_effectiveness": ({}, "impressions", "conversions"),
        "daily_trend": ({}, "impressions", "conversions"),
    }
    for key, (params, all_, good) in splits.items():
        found = rows(filled, key, **params)
        assert sum(row[all_] for row in found) == pytest.approx(due, abs=0.06 * len(found)), key
        assert sum(row[good] for row in found) == pytest.approx(prevented, abs=0.06 * len(found)), key
    for group in ("channel", "category", "segment"):
        found = rows(filled, "offer_performance_grouped", groupBy=group)
        assert sum(row["impressions"] for row in found) == pytest.approx(due, abs=0.06 * len(found)), group
    avoided = one(filled, "exposure_figures")["avoided"]
    assert sum(row["revenue"] for row in rows(filled, "revenue_trend")) == pytest.approx(avoided, abs=0.051 * 4800)
    for by in ("service", "team", "domain"):
        assert sum(row["exposure"] for row in rows(filled, "exposure_by_segment", by=by)) == one(filled, "exposure_figures")["exposure"]


def test_every_day_has_a_row_and_a_quiet_one_is_zero(alice: make.Workspace) -> None:
    """D122, D123."""
    for key in ("revenue_trend", "daily_trend"):
        found = rows(alice, key, 14)
        assert len(found) == 14
        assert {value for row in found for name, value in row.items() if name not in ("date", "id")} == {0.0}


def test_days_of_a_source_count_for_themselves(filled: make.Workspace) -> None:
    assert rows(filled, "daily_trend", 90, days=7) == rows(filled, "daily_trend", 7)
    assert len(rows(filled, "daily_trend", 90, days=365)) == 365
    for wrong in (0, 366, "x", True):
        with pytest.raises(Invalid, match="days"):
            rows(filled, "daily_trend", days=wrong)


def test_a_segment_narrows_every_source_that_has_one(filled: make.Workspace) -> None:
    """D19, D111: an unknown segment holds nothing; a service holds no more than all."""
    for key in SEGMENTED:
        names = {param.key for param in query.catalogue()[key].params}
        given = {"offerId": str(ids.new()), "modelId": "predictions"}
        given = {name: value for name, value in given.items() if name in names}
        nothing, some, all_ = (
            rows(filled, key, 90, **given, **params)
            for params in ({"segmentId": "service:nope"}, {"segmentId": "service:payments-api"}, {})
        )
        assert len(some) <= len(all_), key
        for row in nothing:
            counts = [
                value for name, value in row.items() if isinstance(value, int | float) and name not in ("runs", "runs_before", "average")
            ]
            assert not any(counts), (key, row)


def test_a_segment_is_named_with_or_without_its_kind(filled: make.Workspace) -> None:
    assert (
        rows(filled, "acceptance_rate", 90, segmentId="payments-api")
        == rows(filled, "acceptance_rate", 90, segmentId="service:payments-api")
        != []
    )
    assert rows(filled, "acceptance_rate", 90, segmentId="team:payments-api") == []


def test_credits_of_a_conversion_sum_to_one(filled: make.Workspace) -> None:
    """D84–D89: every model spends exactly the whole credit, and all models spend the same money."""
    with filled.db() as db:
        changes.accept(
            db,
            [
                {
                    "external_id": f"c-{n}",
                    "kind": "fix",
                    "service": service,
                    "title": f"Fix {n}",
                    "occurred_at": make.NOW - timedelta(days=43 + n),
                }
                for n, service in enumerate(["payments-api", "payments-api", "search-api"])
            ],
        )
    spent = set()
    for model in attribution_sources.MODELS:
        path = rows(filled, "attribution_paths", 90, model=model)
        by_conversion = {key: list(group) for key, group in itertools.groupby(path, key=lambda row: row["conversion"])}
        assert len(by_conversion) >= 1
        for steps in by_conversion.values():
            credits_ = [step["credit"] for step in steps]
            assert sum(credits_) == pytest.approx(1)
            _check(model, credits_)
        spent.add(round(sum(step["value"] for step in path)))
        assert sum(row["value"] for row in rows(filled, "attribution_credit", 90, model=model)) == pytest.approx(
            sum(s["value"] for s in path), abs=1
        )
        assert sum(row["value"] for row in rows(filled, "attribution_by_kind", 90, model=model)) == pytest.approx(
            sum(s["value"] for s in path), abs=1
        )
    assert max(spent) - min(spent) <= 1
    assert max(len(list(group)) for _, group in itertools.groupby(path, key=lambda row: row["conversion"])) >= 3


def _check(model: str, credits_: list[float]) -> None:
    match model:
        case "linear":
            assert credits_ == pytest.approx([1 / len(credits_)] * len(credits_))
        case "last_touch":
            assert credits_[-1] == 1
        case "first_touch":
            assert credits_[0] == 1
        case "time_decay":
            assert credits_ == sorted(credits_)
        case "position_based" if len(credits_) > 2:
            assert (credits_[0], credits_[-1]) == pytest.approx((0.4, 0.4))
        case "position_based":
            assert credits_ == pytest.approx([1 / len(credits_)] * len(credits_))


def test_a_burst_is_an_anomaly_and_a_steady_rate_is_none(alice: make.Workspace) -> None:
    """D118, D232: change, z-score and severity; the volume of one service jumps, the other's does not."""
    steady = [n / 2 for n in range(28)]
    alice.learn(*make.failures("payments", steady))
    assert rows(alice, "anomaly_candidates", 7) == []
    alice.learn(
        *[record | {"external_id": f"burst-{n}"} for n, record in enumerate(make.failures("database", [0.1 + n / 20 for n in range(60)]))]
    )
    alice.learn(
        *[record | {"external_id": f"calm-{n}"} for n, record in enumerate(make.failures("database", [7.2 + n / 2 for n in range(13)]))]
    )
    found = rows(alice, "anomaly_candidates", 7)
    volume = {row["dimension"]: row for row in found if row["metric"] == "Issue volume"}
    burst = volume["service orders-api"]
    assert (burst["current"], burst["severity"]) == (60, "critical")
    assert burst["z_score"] >= 4
    assert burst["delta"] == pytest.approx(burst["current"] / burst["baseline"] - 1, rel=0.01)
    assert "service payments-api" not in volume
    assert all(abs(row["z_score"]) >= 2 for row in found)
    longer = {row["dimension"]: row for row in rows(alice, "anomaly_candidates", 7, baselineDays=14) if row["metric"] == "Issue volume"}
    assert longer["service orders-api"]["baseline"] < burst["baseline"]


def test_few_events_are_no_baseline(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", [0.1 * n for n in range(30)]), *make.failures("payments", [8, 9, 10]))
    assert [row for row in rows(alice, "anomaly_candidates", 7) if row["metric"] == "Issue volume"] == []


def test_the_loop_stage_by_stage(alice: make.Workspace) -> None:
    """D67, D68, D120, D121: received, mapped, new, linked, predicted; each event once, a repeated one is not new."""
    records = make.failures("database", (0.1, 1, 2, 3)) + make.failures("payments", (2,))
    alice.learn(*records)
    alice.learn(records[0])
    with alice.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = :at"), {"at": make.NOW - timedelta(hours=1)})
        db.execute(text("UPDATE signals SET received_at = :at"), {"at": make.NOW - timedelta(hours=1)})
    stages = rows(alice, "decision_traces_summary", 7)
    assert [row["count"] for row in stages] == [6, 6, 5, 4, 4, 0]
    assert [round(row["dropped"], 3) for row in stages] == [0, 0, round(1 / 6, 3), round(2 / 6, 3), round(2 / 6, 3), 1]
    assert [row["count"] for row in rows(alice, "decision_traces_summary", 7, windowHours=24)] == [row["count"] for row in stages]
    assert [row["count"] for row in rows(alice, "funnel", 7)][:3] == [5, 2, 2]


def test_why_a_fix_was_not_taken_up_counts_every_failure_once(filled: make.Workspace) -> None:
    """D105, D106, D117, D119."""
    with pytest.raises(Invalid, match="offerId is needed"):
        rows(filled, "why_not_ranked")
    with filled.db() as db:
        ids_ = [str(row.id) for row in db.execute(text("SELECT id FROM recommendations"))]
    seen = 0
    for offer in ids_:
        for row in rows(filled, "why_not_ranked", 365, offerId=offer):
            reasons = sum(row[key] for key in ("filtered_by_contact_policy", "filtered_by_qualification", "scored_too_low", "selected"))
            assert reasons <= row["times_eligible"]
            seen += 1
    assert seen
    frequency = rows(filled, "selection_frequency", 365)
    assert {row["times_selected"] for row in frequency} <= {0, 1}
    assert (
        rows(filled, "selection_frequency", 365, channelId="nope") == rows(filled, "selection_frequency", 365, decisionFlowId="other") == []
    )
    assert rows(filled, "selection_frequency", 365, channelId="pagerduty", decisionFlowId="loop") == frequency


def test_auc_is_the_chance_that_a_hit_was_given_more(filled: make.Workspace) -> None:
    """D110: against the definition, pair by pair."""
    with filled.db() as db:
        period = periods.last(60, make.NOW, "UTC")
        found = db.execute(
            text(
                "SELECT probability, outcome FROM predictions WHERE outcome IN ('hit', 'miss') AND failures >= 2 AND expires_at >= :a AND expires_at < :b"
            ),
            {"a": period.start, "b": period.end},
        ).all()
    hits, misses = ([row.probability for row in found if row.outcome == outcome] for outcome in ("hit", "miss"))
    pairs = [(h > m) + 0.5 * (h == m) for h in hits for m in misses]
    assert one(filled, "model_auc_summary_with_prev", 60)["auc"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-4)
    accuracy = one(filled, "prediction_accuracy", 60)
    assert accuracy["settled"] == len(found)
    assert accuracy["brier"] == pytest.approx(sum((row.probability - (row.outcome == "hit")) ** 2 for row in found) / len(found), abs=1e-4)
    assert rows(filled, "model_metrics_trend", 60, modelId="other") == []
    assert sum(row["predictions"] for row in rows(filled, "model_metrics_trend", 60, modelId="predictions")) == len(found)


def test_budgets_burn_against_habit_or_what_is_allowed(alice: make.Workspace) -> None:
    """D124."""
    alice.learn(*make.failures("database", [8 + n for n in range(89)]), *make.failures("payments", [0.1 + 0.1 * n for n in range(10)]))
    found = {row["allocation"]: row for row in rows(alice, "budget_burn", 7, allowed=30)}
    pay = found["payments-api"]
    assert pay["spent"] == 10
    assert pay["burn_rate"] == pytest.approx(pay["spent"] / pay["budget"], abs=0.01)
    assert pay["remaining"] == pytest.approx(pay["budget"] - pay["spent"], abs=0.11)
    habit = {row["allocation"]: row for row in rows(alice, "budget_burn", 7)}
    assert habit["payments-api"]["burn_rate"] is None
    assert habit["orders-api"]["spent"] == 0
    assert 6 < habit["orders-api"]["budget"] <= 7


def test_d60_d62_runs_and_their_latency(alice: make.Workspace) -> None:
    """D60: runs, success, average and P95 of arrival to analysis; D61: each run against the P95 of all; D62: P50 and P99 a day, real series only."""
    found = alice.learn(*make.failures("database", (1, 2, 3, 4)))
    with alice.db() as db:
        for place, (issue, seconds) in enumerate(zip(found, (1, 2, 3, 10), strict=True)):
            at = make.NOW - timedelta(days=1 + place // 2)
            db.execute(
                text("UPDATE issues SET ingested_at = :at, analyzed_at = :at + make_interval(secs => :s) WHERE id = :id"),
                {"at": at, "s": seconds, "id": issue},
            )
            db.execute(text("UPDATE signals SET received_at = :at WHERE issue_id = :id"), {"at": at, "id": issue})
        for status, seconds in (("succeeded", 2), ("succeeded", 4), ("failed", 8), ("queued", 0)):
            db.execute(
                text(
                    "INSERT INTO jobs (id, kind, status, payload, created_at, finished_at) VALUES"
                    " (gen_random_uuid(), 'reports.run', :status, '{}', :at, CASE WHEN :status <> 'queued' THEN :at + make_interval(secs => :s) END)"
                ),
                {"status": status, "s": seconds, "at": make.NOW - timedelta(hours=1)},
            )
    cards = one(alice, "latency_summary", 7)
    assert (cards["runs"], cards["success_rate"], cards["average"]) == (4, pytest.approx(2 / 3), pytest.approx(4))
    assert cards["p95"] == pytest.approx(8.95)
    runs = rows(alice, "latency_runs", 7)
    assert sorted(row["latency"] for row in runs) == [2, 4, 8]
    assert {row["latency"]: row["of_p95"] for row in runs}[4] == pytest.approx(4 / 7.6, abs=0.001)
    bars = pictures.bars(shown.Reader("USD", "UTC", "#0f766e"), _table(alice, "latency_runs"))
    assert all(row["run"] in bar["title"] for row, bar in zip(reversed(runs), bars, strict=True)), "its id stands on the bar"
    assert sorted(bar["title"].partition(": ")[2].partition(" s")[0] for bar in bars) == ["2.00", "4.00", "8.00"]
    trend = rows(alice, "latency_trend", 7)
    assert [(row["p50"], row["p99"]) for row in trend] == [
        (pytest.approx(6.5), pytest.approx(9.93)),
        (pytest.approx(1.5), pytest.approx(1.99)),
    ]


def _table(alice: make.Workspace, key: str) -> Any:
    with alice.db() as db:
        return query.table(db, key, periods.last(7, make.NOW, "UTC"))


def test_d63_acceptance_by_pattern(filled: make.Workspace) -> None:
    """D63: due, prevented, occurred and the rate of each pattern; on Operations as chart and table."""
    found = rows(filled, "acceptance_rate", 90)
    assert found
    for row in found:
        assert row["impressions"] == pytest.approx(row["positive"] + row["negative"], abs=0.011)
        assert row["accept_rate"] == pytest.approx(row["positive"] / row["impressions"], abs=0.01)
    assert "acceptance_rate" in [part.source for part in dashboards.get("operations").parts]


def test_dead_letters_have_three_bands(alice: make.Workspace) -> None:
    """D71: OK up to 10, WARNING up to 100, CRITICAL above."""
    for count, level in ((10, "OK"), (11, "WARNING"), (100, "WARNING"), (101, "CRITICAL")):
        with alice.db() as db:
            db.execute(text("DELETE FROM jobs"))
            db.execute(
                text(
                    "INSERT INTO jobs (id, kind, status, payload, finished_at) SELECT gen_random_uuid(), 'reports.run', 'failed', '{}', now() FROM generate_series(1, :n)"
                ),
                {"n": count},
            )
        row = one(alice, "dead_letters")
        assert (row["topic"], row["events"], row["level"]) == ("reports.run", count, level)
