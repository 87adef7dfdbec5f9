"""Ranking labels for incidents: what is learnt, what is never seen, what is said as a reason, and that nothing thrown at it breaks it."""

from __future__ import annotations

import csv
import gzip
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfix.failures import labels
from tests.shared import shared

START = datetime(2026, 1, 5, tzinfo=UTC)
STORIES = (
    ({"title": "Checkout fails after the deployment", "service": "shop"}, "rollback"),
    ({"title": "Payments slow, queue backlog under traffic", "service": "pay"}, "add_capacity"),
    ({"title": "Disk controller broken in rack seven", "service": "store"}, "repair_hardware"),
    ({"title": "Login broken since deployment of build nine", "service": "auth"}, "rollback"),
    ({"title": "Traffic peak filled the queue", "service": "pay"}, "add_capacity"),
)


def taught(times: int = 6, stories: Sequence[tuple[dict[str, str], str]] = STORIES) -> labels.Ranker:
    ranker = labels.Ranker.new()
    for n in range(times * len(stories)):
        incident, label = stories[n % len(stories)]
        ranker.learn(incident, [label], START + timedelta(hours=n))
    return ranker


def order(ranker: labels.Ranker, incident: dict[str, str]) -> list[str]:
    return [one.label for one in ranker.rank(incident)]


def test_ranks_what_solved_the_like_before() -> None:
    ranker = taught()
    assert order(ranker, {"title": "API errors, a deployment went out"})[0] == "rollback"
    assert order(ranker, {"title": "Queue grows with traffic"})[0] == "add_capacity"
    assert order(ranker, {"title": "Something odd", "service": "store"})[0] == "repair_hardware"


def test_probabilities_add_up_and_fall() -> None:
    ranked = taught().rank({"title": "API errors, a deployment went out"})
    assert [one.probability for one in ranked] == sorted((one.probability for one in ranked), reverse=True)
    assert sum(one.probability for one in ranked) == pytest.approx(1.0)


def test_nothing_learnt_ranks_nothing() -> None:
    assert labels.Ranker.new().rank({"title": "anything"}) == []


def test_empty_text_falls_back_on_how_often_each_came() -> None:
    stories = (*STORIES, ({"title": "Deployment stuck", "service": "shop"}, "rollback"))
    assert order(taught(5, stories), {})[0] == "rollback"
    assert "nothing that this one says points to it" in taught().rank({})[0].why


def test_words_never_seen_change_nothing() -> None:
    ranker = taught()
    assert order(ranker, {"title": "zebra quagga okapi"}) == order(ranker, {})


def test_reasons_name_words_of_the_incident_and_figures_that_can_be_checked() -> None:
    best = taught().rank({"title": "Many DEPLOYMENTS today, Grafana red"})[0]
    assert best.label == "rollback"
    assert "«DEPLOYMENTS»" in best.why
    assert "40 % of 30 past incidents" in best.why
    assert "2.5 times as often as usual in 12" in best.why
    assert "Grafana" not in best.why


def test_a_label_named_in_the_text_is_preferred_and_says_so() -> None:
    ranker = labels.Ranker.new()
    for n, label in enumerate(("power outage", "software bug", "cooling", "software bug") * 4):
        ranker.learn({"title": f"incident {'abcdefgh'[n % 8]}"}, [label], START + timedelta(hours=n))
    ranked = {one.label: one for one in ranker.rank({"title": "The cooling stopped"})}
    quiet = {one.label: one for one in ranker.rank({"title": "It stopped"})}
    assert ranked["cooling"].probability > quiet["cooling"].probability
    assert "its own name is said: «cooling»" in ranked["cooling"].why


def test_several_right_labels_share_one_incident() -> None:
    ranker = labels.Ranker.new()
    for n in range(10):
        ranker.learn({"title": "power failure"}, ["failover", "repair"], START + timedelta(hours=n))
        ranker.learn({"title": "bad release"}, ["rollback"], START + timedelta(hours=n))
    assert set(order(ranker, {"title": "power failure again"})[:2]) == {"failover", "repair"}


def test_a_label_that_was_never_seen_is_not_ranked_until_it_is_learnt() -> None:
    ranker = taught()
    assert "restore_data" not in order(ranker, {"title": "Backup lost"})
    for n in range(3):
        ranker.learn({"title": "Backup lost"}, ["restore_data"], START + timedelta(days=9, hours=n))
    assert order(ranker, {"title": "Backup lost again"})[0] == "restore_data"


def test_no_label_teaches_nothing() -> None:
    ranker = taught()
    before = ranker.to_state()
    ranker.learn({"title": "Unsolved"}, [], START)
    ranker.learn({"title": "Unsolved"}, [""], START)
    assert ranker.to_state() == before


def test_ranking_changes_nothing_and_later_incidents_do_not_reach_back() -> None:
    asked = {"title": "API errors, a deployment went out"}
    cut, whole = taught(3), labels.Ranker.new()
    seen = []
    for n in range(6 * len(STORIES)):
        if n == 3 * len(STORIES):
            seen = whole.rank(asked)
        incident, label = STORIES[n % len(STORIES)]
        whole.learn(incident, [label], START + timedelta(hours=n))
    assert seen == cut.rank(asked)
    state = cut.to_state()
    cut.rank(asked)
    assert cut.to_state() == state


def test_what_came_lately_fades_with_time() -> None:
    ranker = taught()
    before = ranker.lately.sum()
    ranker.learn({"title": "x"}, ["rollback"], ranker.latest + timedelta(days=labels.LATELY) if ranker.latest else START)
    assert ranker.lately.sum() == pytest.approx(before / 2 + 1, rel=1e-6)
    ranker.learn({"title": "a late report"}, ["rollback"], START.replace(tzinfo=None))
    assert ranker.lately.sum() == pytest.approx(before / 2 + 2, rel=1e-6)


def test_state_round_trip_ranks_and_learns_on_alike() -> None:
    one = taught()
    other = labels.Ranker.from_state(json.loads(json.dumps(one.to_state())))
    for incident, label in (*STORIES, ({"title": "Backup lost"}, "restore_data")):
        one.learn(incident, [label], START + timedelta(days=5))
        other.learn(incident, [label], START + timedelta(days=5))
    for asked in ({"title": "API errors, a deployment went out"}, {}):
        for mine, theirs in zip(one.rank(asked), other.rank(asked), strict=True):
            assert (mine.label, mine.why) == (theirs.label, theirs.why)
            assert mine.probability == pytest.approx(theirs.probability, abs=1e-4)
    assert labels.Ranker.from_state(labels.Ranker.new().to_state()).rank({"title": "x"}) == []


def test_a_state_of_another_version_or_shape_is_refused() -> None:
    state = taught().to_state()
    with pytest.raises(ValueError, match=r"version.*labels-0.*labels-1"):
        labels.Ranker.from_state({**state, "version": "labels-0"})
    with pytest.raises(ValueError, match="must agree"):
        labels.Ranker.from_state({**state, "seen": state["total"]})


def test_it_holds_no_more_traits_and_labels_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "MOST_TRAITS", 60)
    monkeypatch.setattr(labels, "MOST_LABELS", 4)
    ranker = taught()
    for n in range(40):
        word = "".join("abcdefghij"[int(digit)] for digit in f"{n:03}")
        ranker.learn({"title": f"rare{word} odd{word} deployment"}, [f"once {word}", "rollback"], START + timedelta(days=2, hours=n))
    assert len(ranker.rows) <= 60
    assert len(ranker.labels) == 4
    assert order(ranker, {"title": "deployment"})[0] == "rollback"
    assert labels.Ranker.from_state(ranker.to_state()).rank({"title": "deployment"})[0].label == "rollback"


def test_text_of_leaves_out_what_is_not_known() -> None:
    assert labels.text_of("Queue full", service="pay") == {"title": "Queue full", "service": "pay"}


def test_values_are_traits_with_their_wider_kind_and_in_pairs() -> None:
    found = labels.traits({"cause": "software bugs/Config", "service": "shop"})
    assert found["cause=software bugs/config"] == "software bugs/Config"
    assert found["cause=software bugs"] == "software bugs"
    assert found["cause=software bugs/config & service=shop"] == "software bugs/Config and shop"
    assert "cause=" not in labels.traits({"cause": "/ \n\n"})


def test_of_a_long_text_only_the_beginning_is_taken() -> None:
    words = ("".join("abcdefghij"[int(digit)] for digit in f"{n:06}") for n in range(5000))
    assert 350 <= len(labels.traits({"title": " ".join(words)})) <= labels.PER_INCIDENT + 3


TEXTS = st.dictionaries(st.text(max_size=12), st.text(max_size=200), max_size=6)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, st.lists(st.text(max_size=9), max_size=3)), max_size=8), TEXTS)
def test_garbage_never_raises(past: list[tuple[dict[str, str], list[str]]], asked: dict[str, str]) -> None:
    ranker = labels.Ranker.new()
    for n, (incident, right) in enumerate(past):
        ranker.learn(incident, right, START + timedelta(hours=n))
    ranked = ranker.rank(asked)
    assert {one.label for one in ranked} == {label for _, right in past for label in right if label}
    assert all(0.0 <= one.probability <= 1.0 and one.why for one in ranked)


def test_real_groups_are_ranked_better_than_by_how_often_they_came() -> None:
    right: dict[str, list[str]] = defaultdict(list)
    with shared("data/uci_group/truth.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            right[row["id"]].append(row["truth"])
    with gzip.open(shared("data/uci_group/incidents.jsonl.gz"), "rt", encoding="utf-8") as lines:
        items = [json.loads(line) for line, _ in zip(lines, range(3000), strict=False)]
    ranker, mine, theirs = labels.Ranker.new(), 0.0, 0.0
    for n, item in enumerate(items):  # what was not closed before the first question is never learnt
        incident = {name: item[name] for name in ("category", "subcategory", "symptom", "location") if name in item}
        if n >= 2700:
            best, popular = order(ranker, incident), order(ranker, {})
            mine += max((1 / (best.index(one) + 1) for one in right[item["id"]] if one in best), default=0.0)
            theirs += max((1 / (popular.index(one) + 1) for one in right[item["id"]] if one in popular), default=0.0)
        elif item["closed_at"] < items[2700]["occurred_at"]:
            ranker.learn(incident, right[item["id"]], datetime.fromisoformat(item["occurred_at"]))
    assert mine > 1.1 * theirs
