from __future__ import annotations

import csv
import dataclasses
import gzip
import io
import itertools
import json
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfix.failures import fingerprint, grouping, normalise, scopes, similarity, sources, templates, together
from everfix.failures.fingerprint import Failure
from everfix.failures.journal import LATEST
from tests.shared import shared

START = datetime(2024, 1, 1, tzinfo=UTC)
failures = st.builds(
    Failure,
    scope=st.sampled_from(["a", "b", "c"]),
    title=st.sampled_from(["", "Check stock", "pay"]) | st.text(max_size=20),
    message=st.sampled_from(["timeout", "disk full on /dev/sda1", "user 17 gone", "x\ny\nz"]) | st.text(max_size=80),
    stacktrace=st.sampled_from(["", "E: no\n\tat a.B.c(B.java:1)\n", "panic: x\n\nmain.f()\n\t/a/b.go:3 +0x1\n"]) | st.text(max_size=60),
    service=st.sampled_from(["", "web", "db"]),
    occurred_at=st.none() | st.integers(0, 5).map(lambda d: START + timedelta(days=d)),
)


def group(items: list[Failure], grouper: grouping.Grouper | None = None) -> list[str]:
    grouper = grouper or grouping.Grouper()
    for n, failure in enumerate(items):
        grouper.assign(str(n), failure)
    return list(grouper.finish().values())


def run(*items: dict[str, Any] | bytes) -> tuple[grouping.Summary, list[dict[str, str]]]:
    out = io.StringIO()
    summary = grouping.run([i if isinstance(i, bytes) else json.dumps(i).encode() for i in items], out)
    return summary, list(csv.DictReader(io.StringIO(out.getvalue())))


@settings(deadline=None, max_examples=60)
@given(st.lists(failures, max_size=40))
def test_groups_never_cross_a_scope_and_every_item_has_a_reason(items: list[Failure]) -> None:
    grouper = grouping.Grouper()
    made = [grouper.assign(str(n), failure) for n, failure in enumerate(items)]
    final = list(grouper.finish().values())
    for groups in (final, [m.group for m in made]):
        owners: dict[str, set[str]] = {}
        for failure, name in zip(items, groups, strict=True):
            owners.setdefault(name, set()).add(failure.scope)
        assert all(len(scopes) == 1 for scopes in owners.values())
    assert all(m.why["rule"] and 0 <= m.similarity <= 1 for m in made)
    json.dumps([m.why for m in made])


@settings(deadline=None, max_examples=40)
@given(st.lists(failures, max_size=30), st.integers(0, 30))
def test_a_saved_state_goes_on_as_if_nothing_had_happened(items: list[Failure], cut: int) -> None:
    whole, first = grouping.Grouper(), grouping.Grouper()
    through = [whole.assign(str(n), f).group for n, f in enumerate(items)]
    begun = [first.assign(str(n), f).group for n, f in enumerate(items[:cut])]
    second = grouping.Grouper.from_state(json.loads(json.dumps(first.state())))
    assert begun + [second.assign(str(n), f).group for n, f in enumerate(items[cut:])] == through


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(failures, max_size=8), max_size=8), st.sampled_from((3, 50)))
def test_a_state_and_the_steps_since_are_the_state(batches: list[list[Failure]], most: int) -> None:
    """Each batch writes down what it changed; the first whole with all steps, and another copy that took them over, remember the same."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((scopes, "MOST_KEYS"), (scopes, "MOST_GROUPS"), (templates, "MOST_GAPS"), (together, "MOST_GROUPS")):
            patch.setattr(module, name, most)
        one, other = scopes.Scope(), scopes.Scope()
        written = json.loads(json.dumps(one.to_json()))
        one.journal.on, one.journal.whole = True, False
        for batch in batches:
            for failure in batch:
                grouping.assign(one, fingerprint.of(failure), {})
            if one.journal.whole:  # so much was forgotten that the whole is written
                written = json.loads(json.dumps(one.to_json()))
                other = scopes.Scope.from_json(json.loads(json.dumps(written)))
            else:
                changes = json.dumps(one.changes())
                scopes.merge(written, json.loads(changes))
                other.apply(json.loads(changes))
            one.journal.clear()
            assert ordered(written) == ordered(json.loads(json.dumps(one.to_json())))
            assert ordered(json.loads(json.dumps(other.to_json()))) == ordered(written)


def ordered(raw: dict[str, Any]) -> dict[str, Any]:
    """Return a state in which the order of what is dropped in order is compared too."""
    tables = {name: list(held.items()) if name in LATEST | {"lines", "gaps", "links"} else held for name, held in raw["tables"].items()}
    return {"tables": {name: held for name, held in tables.items() if held}, "small": raw["small"]}


@settings(deadline=None, max_examples=40)
@given(st.lists(failures, min_size=1, max_size=30))
def test_few_items_change_their_group_in_the_end(items: list[Failure]) -> None:
    grouper = grouping.Grouper()
    said = [grouper.assign(str(n), f).group for n, f in enumerate(items)]
    changed = sum(a != b for a, b in zip(said, grouper.finish().values(), strict=True))
    assert changed <= grouping.CHANGED * len(items)


def test_a_persons_word_wins_for_ever() -> None:
    one, other = Failure("s", "", message="disk full"), Failure("s", "", message="mail bounced")
    keys = [fingerprint.of(f).key for f in (one, other)]
    grouper = grouping.Grouper(corrections=dict.fromkeys(keys, "storage"))
    assert group([one, other, one], grouper) == ["storage"] * 3
    assert grouper.assign("x", other).why["rule"] == "corrected by a person"


def lines(words: list[str]) -> list[Failure]:
    return [Failure("s", "", message=f"login refused for user {w} on the front door") for w in words]


def test_a_place_that_takes_many_values_is_a_parameter() -> None:
    found = group(lines(["ann", "bob", "cleo", "dan", "eve", "fay"] * 40))
    assert len(set(found)) == 1


def test_empty_brackets_hold_a_value() -> None:
    hosts = ["", "one.example.com", "two.example.com"]
    assert len(set(group([Failure("s", "", message=f"connection from 10.0.0.7 ({h}) was refused") for h in hosts]))) == 1


def test_words_that_tell_events_apart_stay_apart() -> None:
    assert len(set(group(lines(["granted", "withdrawn"] * 20)))) == 2


def test_a_template_says_which_values_it_saw() -> None:
    grouper = grouping.Grouper()
    made = [grouper.assign(str(n), f) for n, f in enumerate(lines(["ann", "bob", "cleo", "dan"]))]
    assert made[-1].why["rule"] == "same template"
    assert made[-1].why["values"] == ["ann", "bob", "cleo", "dan"]
    assert made[-1].absorbed


def excerpt(name: str, rest: str, number: int) -> str:
    return f"not ok {number} {name}\n  ---\n  exitcode: 1\n  stack: |-\n    {rest}\n  ...\n"


def test_the_key_line_is_found_in_the_data() -> None:
    names = [
        f"parallel/test-{w}"
        for w in ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu")
    ]
    items = [
        Failure("ci", "", message=excerpt(n, f"{n[-4:]} went wrong in a way called {letter}", 7)) for letter in "abcdefgh" for n in names
    ]
    found = group(items)
    late = dict(zip((i.message.split("\n")[0] for i in items[48:]), found[48:], strict=True))
    assert len(set(late.values())) == len(names)
    assert all(late[i.message.split("\n")[0]] == g for i, g in zip(items[60:], found[60:], strict=True))


def test_a_bare_symptom_is_kept_apart_by_place() -> None:
    told = [
        Failure("ci", "", message=excerpt("HIDDEN", f"timeout\n    while reading the {w} file", n))
        for n, w in enumerate(itertools.product("abcdefgh", "klmnop"))
    ]
    bare = [Failure("ci", "", message=excerpt("HIDDEN", "timeout", 5), service=s) for s in ("linux", "windows", "linux")]
    grouper = grouping.Grouper()
    for n, failure in enumerate([*told, bare[0]]):
        grouper.assign(str(n), failure)
    made = [grouper.assign(f"b{n}", f) for n, f in enumerate(bare)]
    assert made[0].group == made[2].group != made[1].group
    assert "bare symptom" in made[0].why["rule"]


def check(test: str, message: str, kind: str = "AssertionError") -> Failure:
    trace = f"java.lang.{kind}: {message}\n\tat org.junit.Assert.fail(Assert.java:1)\n\tat shop.CartTest.{test}(CartTest.java:9)\n"
    return Failure(
        "s",
        f"shop.CartTest::{test}",
        message=f"java.lang.{kind}: {message}",
        stacktrace=trace,
        error_type=f"java.lang.{kind}",
        service="shop.CartTest",
    )


def test_checks_that_differ_in_the_same_way_have_one_cause() -> None:
    others = [check(f"other{n}", f"row{chr(97 + n)} is missing from sheet{chr(97 + n)}") for n in range(12)]
    grouper = grouping.Grouper()
    for n, failure in enumerate(others):
        grouper.assign(str(n), failure)
    one = grouper.assign("x", check("adds", "expected:<price [undefined]> but was:<price [euro]>"))
    two = grouper.assign("y", check("removes", "expected:<total [undefined]> but was:<total [euro]>"))
    assert one.group == two.group
    assert two.why["rule"] == "alike"
    assert "difference" in two.why["because"][0]


def test_a_new_group_names_its_nearest_alternative() -> None:
    grouper = grouping.Grouper()
    grouper.assign("a", check("adds", "expected:<1> but was:<2>"))
    made = grouper.assign("b", check("adds", "the shop is closed", kind="IllegalStateException"))
    assert made.why["rule"].startswith("new")
    assert made.nearest is not None
    assert 0 < made.nearest[1] < 0.5


def test_run_reports_bad_lines_and_keeps_the_rest() -> None:
    summary, rows = run(
        {"id": "1", "scope": "s", "message": "disk full"},
        b"{nonsense",
        b"[1]",
        b"\xff\xfe",
        {"scope": "s"},
        {"id": "2", "message": 7},
        {"id": "1", "message": "again"},
        {"id": "3", "occurred_at": "yesterday"},
        {"id": "4", "occurred_at": 5},
        b"  ",
        {"id": 5, "scope": "s", "message": "disk full", "unknown": [1]},
    )
    assert [r["id"] for r in rows] == ["1", "5"]
    assert rows[0]["final_group"] == rows[1]["final_group"]
    assert [number for number, _ in summary.errors] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert "message: int came, text is needed" in summary.errors[4][1]
    assert "id: '1' came before" in summary.errors[5][1]
    assert (summary.items, summary.groups, summary.changed) == (2, 1, 0)


def test_run_tells_its_progress_and_deeply_nested_lines_are_refused() -> None:
    seen: list[int] = []
    summary = grouping.run([b'{"id": "1"}', b"[" * 100_000], io.StringIO(), seen.append)
    assert seen == [1]
    assert summary.errors[0][0] == 2


def test_files_are_read_packed_or_plain(tmp_path: Path) -> None:
    (tmp_path / "plain.jsonl").write_bytes(b"a\nb\n")
    (tmp_path / "packed").write_bytes(gzip.compress(b"a\nb\n"))
    assert list(grouping.opened(str(tmp_path / "plain.jsonl"))) == list(grouping.opened(str(tmp_path / "packed"))) == [b"a\n", b"b\n"]


def pairs(found: list[str], wanted: list[str]) -> tuple[float, float]:
    def count(c: Counter[Any]) -> float:
        return sum(n * (n - 1) / 2 for n in c.values())

    both = count(Counter(zip(found, wanted, strict=True)))
    return both / count(Counter(found)), both / count(Counter(wanted))


def test_the_order_of_arrival_changes_little() -> None:
    items = [json.loads(line) for line in grouping.opened(str(shared("data/loghub/items.jsonl.gz")))]
    some = [Failure(i["scope"], "", message=i["message"]) for i in items if i["scope"] in ("HDFS", "OpenSSH", "Spark")][::3]
    mixed = list(range(len(some)))
    random.Random(7).shuffle(mixed)  # noqa: S311 - an order, no secret
    straight, other = group(some), group([some[n] for n in mixed])
    agreed = pairs([other[mixed.index(n)] for n in range(0, len(some), 4)], straight[::4])
    assert min(agreed) >= 0.98


def test_many_groups_stay_cheap() -> None:
    names = ["".join(p) for p in itertools.product("abcdefghij", repeat=4)][::4]
    grouper = grouping.Grouper()
    traces = [f"shop.{n.capitalize()}Error: no\n\tat shop.{n.capitalize()}.run(A.java:1)\n\tat shop.Main.main(A.java:2)\n" for n in names]
    for n, trace in enumerate(traces):
        grouper.assign(str(n), Failure("s", "", stacktrace=trace))
    assert len(set(grouper.finish().values())) > 2_400
    took = []
    for n in range(200):
        begin = time.process_time()
        grouper.assign(f"x{n}", Failure("s", "", stacktrace=traces[n * 37 % len(traces)]))
        took.append(time.process_time() - begin)
    assert sorted(took)[100] < 0.002


def test_scores_are_symmetric_and_reasons_are_words() -> None:
    bags = [sources.Bag(fingerprint.of(check(f"t{n}", f"expected:<{n}> but was:<x{n % 2}>")).features) for n in range(6)]
    known = sources.learnt(bags)
    for a, b in itertools.combinations(bags, 2):
        assert similarity.score(a, b, known)[0] == pytest.approx(similarity.score(b, a, known)[0])
    assert similarity.reasons(similarity.score(bags[0], bags[2], known)[1])


def test_duplicate_tickets_are_ranked_first() -> None:
    tickets = {
        "a": ("Login page hangs after password reset", "The LoginPage never loads once the reset mail was used."),
        "b": ("Export to XLSX loses the header row", "Opening the file shows no header."),
        "c": ("Reset of a password makes the login hang", "After using the reset link, login spins for ever."),
        "d": ("Wrong currency in the monthly report", "Totals are shown in dollars."),
    }
    known = [(n, fingerprint.of(Failure("s", t, message=m)).features) for n, (t, m) in tickets.items()]
    catalogue = similarity.Catalogue(known)
    assert catalogue.rank(known[0][1], without="a")[0][0] == "c"
    assert similarity.rank(known[0][1], known[1:], limit=1)[0][0] == "c"


def test_templates_forget_the_oldest_gaps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MOST_GAPS", 50)
    held = templates.Templates()
    for n in range(100):
        held.place(tuple(f"word{chr(97 + n % 26)}{chr(97 + n // 26)} went to the {chr(97 + n % 26)} market".split()), str(n))
    assert len(held.gaps) <= 50
    scope = scopes.Scope(templates=held)
    assert scopes.Scope.from_json(json.loads(json.dumps(scope.to_json()))).templates == held


def test_a_source_that_lists_each_failure_once_a_day_tells_two_of_a_day_apart() -> None:
    days = [START + timedelta(days=n) for n in range(5)]
    told = [
        Failure("ci", "", message=excerpt("HIDDEN", f"the {w} is on fire", 3), occurred_at=day)
        for day in days
        for w in ("attic", "barn", "cellar", "den")
    ]
    grouper = grouping.Grouper()
    for n, failure in enumerate(told):
        grouper.assign(str(n), failure)
    one, two = (
        grouper.assign(
            f"x{n}", Failure("ci", "", message=excerpt("HIDDEN", "the attic is on fire", n), occurred_at=START + timedelta(days=9))
        )
        for n in (3, 900)
    )
    assert one.group != two.group
    assert "several at one moment" in two.why["rule"]


def test_what_a_source_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_TOKENS", 200)
    monkeypatch.setattr(sources, "MOST_TIMES", 50)
    source = sources.Source()
    for n in range(300):
        bag = sources.Bag(fingerprint.of(check(f"case{n}", f"row{n} and column{n} are missing")).features)
        source.arrive(float(n))
        source.observe(bag)
    assert len(source.documents) < 300
    assert len(source.times) <= 50
    assert source.times[-1] == 299.0


def test_related_places_are_evidence() -> None:
    features = [
        fingerprint.of(dataclasses.replace(check("adds", "expected:<1> but was:<2>"), service=s)).features
        for s in ("shop.TypeCheckTest", "shop.LooseTypeCheckTest", "shop.CartTest")
    ]
    bags = [sources.Bag(f) for f in features]
    assert 0 < similarity.evidence(bags[0], bags[1], sources.learnt(bags))["service_words"] < 1


def crash(error: str, frames: list[str], service: str, at: int) -> Failure:
    trace = f"{error}: no\n" + "".join(f"\tat {frame}(A.java:1)\n" for frame in frames)
    return Failure("workspace", error, stacktrace=trace, service=service, kind="defect", occurred_at=START + timedelta(seconds=at))


def test_a_moment_alone_makes_no_two_places_one() -> None:
    """Two crashes in a quiet month, a minute apart, of two services, in two languages: neighbours, not one cause."""
    grouper = grouping.Grouper()
    for n in range(30):  # what the source looks like: a crash a day, each of its own
        grouper.assign(f"old{n}", crash(f"Kind{n}Error", [f"shop.Part{n}.step{n}"], f"service-{n}", 86_400 * n))
    one = crash("PaymentTimeout", ["pay.Gateway.authorise"], "payments", 86_400 * 40)
    other = crash("SlotOverlap", ["route.Planner.publish"], "routing", 86_400 * 40 + 60)
    said = [grouper.assign(name, failure).group for name, failure in (("one", one), ("other", other))]
    assert said[0] != said[1]


def test_words_of_any_script_are_evidence() -> None:
    assert normalise.words("Bestellung in Malmö und Košice schlägt fehl") == [
        "bestellung",
        "in",
        "malmö",
        "und",
        "košice",
        "schlägt",
        "fehl",
    ]
    assert normalise.words("Заказ не оформлен") == ["заказ", "не", "оформлен"]
    assert fingerprint.named("Заказ покупателя оформлен дважды") >= fingerprint.TELLING
