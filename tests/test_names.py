"""What decides by name: alerts and tickets at their place, checks, names that stand alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfix.failures import fingerprint, grouping, normalise, scopes
from everfix.failures.fingerprint import Failure
from tests.shared import shared

START = datetime(2025, 1, 6, tzinfo=UTC)
HASH, TAIL = "456789bcdf", "bcdfghjklmnpqrstvwxz2456789"


def groups(*items: Failure) -> list[str]:
    grouper = grouping.Grouper()
    for n, failure in enumerate(items):
        grouper.assign(str(n), failure)
    resolve = grouper.scopes["s"].resolve
    return [resolve(grouper.finish()[str(n)]) for n in range(len(items))]


def alert(title: str, body: str = "see the dashboard", service: str = "orders", kind: str = "incident", error: str = "") -> Failure:
    return Failure("s", title, message=body, service=service, kind=kind, error_type=error)


@settings(deadline=None)
@given(st.text(HASH, min_size=8, max_size=10), st.text(TAIL, min_size=5, max_size=5), st.sampled_from(["api", "order-worker", "a1"]))
def test_what_kubernetes_appends_to_a_name_is_masked(replica: str, tail: str, name: str) -> None:
    assert normalise.mask(f"Pod {name}-{replica}-{tail} was killed") == normalise.mask(f"Pod {name}-645bc575c-ntpfk was killed")


@pytest.mark.parametrize("text", ["well-known-cause of it", "read-only-files here", "cross-platform-tests ran"])
def test_words_with_hyphens_are_no_pods(text: str) -> None:
    assert normalise.mask(text) == text


def test_one_error_reported_twice_at_one_moment_stays_one() -> None:
    trace = "TypeError: no postcode\n    at slotsNear (/srv/app/feed/slots.js:27:34)\n    at homeFeed (/srv/app/routes/home.js:63:25)\n"
    told = [START + timedelta(days=n // 2) for n in range(40)]
    items = [Failure("s", "TypeError: no postcode", "no postcode", trace, "TypeError", "api", "defect", "", at) for at in told]
    rare = [Failure("s", f"KeyError: {w}", w, "", "KeyError", "api", "defect", "", START) for w in ("red wine", "old bread", "new milk")]
    assert len(set(groups(*rare, *items)[3:])) == 1


def test_the_name_of_a_check_decides_before_its_generic_message() -> None:
    said = "Got {} results, configured to fail if != 0"
    names = ["Failure in test unique_orders_id", "Failure in test relationships_orders_store_id", "Failure in test not_null_stores_city"]
    made = groups(*(alert(names[n % 3], said.format(n + 3), "warehouse", "check", "dbt test failure") for n in range(30)))
    assert [len(set(made[n::3])) for n in range(3)] == [1, 1, 1]
    assert len(set(made)) == 3


def test_one_check_that_breaks_in_two_ways_is_two() -> None:
    one, two = (alert("build / install", said, "api", "check") for said in ("code ECONNRESET", "no space left on device"))
    assert len(set(groups(one, two))) == 2


def test_unrelated_tests_with_one_kind_of_message_stay_apart() -> None:
    rng = random.Random(5)  # noqa: S311 - names, no secret
    items = [
        alert(f"{w}-build » {w.title()}Test.adds{rng.choice('ABC')}", f"expected: <{n}> but was: <{n + 99}>", w, "check", "AssertionError")
        for n, w in enumerate(("crate", "basket", "window", "shelf", "palette", "bundle", "coupon", "locker") * 4)
    ]
    made = groups(*items)
    assert all((a == b) <= (x.title == y.title) for a, x in zip(made, items, strict=True) for b, y in zip(made, items, strict=True))


@pytest.mark.parametrize(
    "title",
    [
        lambda n: f"error rate {n + 6}% for 5 min (threshold 5%)",
        lambda n: f"Drivers in {('Utrecht', 'Antwerp', 'Graz', 'Porto', 'Lille')[n % 5]} come an hour early",
        lambda n: f"Cannot order with voucher {('SPRING', 'HELLO', 'BACK', 'PICNIC')[n % 4]}{n + 5}: the price has changed",
        lambda n: f"Shelf labels of store {101 + n} show old prices",
        lambda n: f"Closing of the books for {('January', 'February', 'March', 'April', 'May')[n % 5]} did not finish",
        lambda n: f"Backup window on {('Monday', 'Tuesday', 'Friday', 'Sunday')[n % 4]} was missed again",
    ],
)
def test_values_in_names_do_not_part_one_cause(title: Callable[[int], str]) -> None:
    made = groups(*(alert(title(n), f"told {'again ' * (n % 3)}by {n} people", kind="incident") for n in range(20)))
    assert len(set(made)) == 1


def test_the_same_name_at_another_place_or_under_another_rule_is_another() -> None:
    title = "pods restarted within five minutes"
    assert len(set(groups(alert(title), alert(title, service="pricing"), alert(title, error="PodRestarts")))) == 3


def test_a_name_that_tells_little_asks_its_text_too() -> None:
    assert len(set(groups(alert("Bug", "the basket is white"), alert("Bug", "mails come twice"), alert("Bug", "the basket is white")))) == 2


@pytest.mark.parametrize(
    "names", [("Proxy tok.example.de", "Proxy wiki.example.org"), ("Incident #16017", "Incident #16020"), ("2/DST", "17/DST")]
)
def test_a_host_or_number_that_stands_alone_is_the_identity(names: tuple[str, str]) -> None:
    one, two = (Failure("s", name, service="web", kind="incident") for name in names)
    made = groups(one, two, one, two)
    assert made[0] == made[2] != made[1] == made[3]


def test_numbers_in_a_name_that_says_enough_are_values() -> None:
    titles = [f"Timeout after {3000 + n} ms for order {7000 + n} from 10.0.0.{n} while paying" for n in range(5)]
    assert len(set(groups(*(Failure("s", t, service="web", kind="incident") for t in titles)))) == 1


def test_real_sites_are_told_apart() -> None:
    from everfix.ingest import files

    read = [r for r in files.read(shared("data/upptime/events.csv")) if isinstance(r, dict)]
    made = groups(*(Failure("s", r["title"], kind="incident", occurred_at=datetime.fromisoformat(r["source_created_at"])) for r in read))
    wanted = [r["metadata"]["pattern"] for r in read]
    assert len(set(zip(made, wanted, strict=True))) == len(set(made)) == len(set(wanted))


def test_an_alert_and_an_exception_of_one_cause_become_one_and_the_reason_is_told() -> None:
    rng = random.Random(2)  # noqa: S311 - moments, no secret
    trace = "PoolTimeout: none left\n    at open (/srv/app/refund.js:88:1)\n    at create (/srv/app/routes.js:54:1)\n"
    items: list[Failure] = []
    for n in range(40):
        at = START + timedelta(days=5 * n, hours=rng.uniform(0, 23))
        items.append(Failure("s", f"orders: error rate {n}% for 5 min", "p99 is high", "", "ErrorRate", "orders", "incident", "", at))
        if n % 3 == 0:
            late = at + timedelta(minutes=20)
            items.append(Failure("s", "PoolTimeout: none left", "none left", trace, "PoolTimeout", "orders", "defect", "", late))
    grouper = grouping.Grouper()
    made = [grouper.assign(str(n), f) for n, f in enumerate(items)]
    joined = [m for m in made if "joined" in m.why]
    assert len(joined) == 1
    assert len(joined[0].absorbed) == 1
    assert joined[0].why["joined"]["rule"] == "fail at the same hours"
    assert joined[0].why["joined"]["chance"] <= 0.003
    assert made[-1].group == joined[0].group == grouper.scopes["s"].resolve(made[1].group)


def test_a_scope_forgets_what_it_has_not_seen_for_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scopes, "MOST_KEYS", 60)
    monkeypatch.setattr(scopes, "MOST_GROUPS", 50)
    grouper = grouping.Grouper()
    names = [f"{a}{b}" for a in ("amber", "birch", "cedar", "delta", "ember", "frost", "grove") for b in "klmnopqrstuvwxyz"]
    made = {}
    for n, name in enumerate(names):
        made[name] = grouper.assign(str(n), Failure("s", f"{name} broke {name}s badly", "", service=name, kind="incident")).group
        grouper.assign(f"x{n}", Failure("s", f"{names[0]} broke {names[0]}s badly", "", service=names[0], kind="incident"))
    scope = grouper.scopes["s"]
    assert len(scope.exact) <= 60
    assert max(len(scope.sizes), len(scope.exemplars), len(scope.last), len(scope.merges)) <= 51
    assert {g for held in scope.index.postings.values() for g in held} <= scope.sizes.keys()
    first = grouper.assign("again", Failure("s", f"{names[0]} broke {names[0]}s badly", "", service=names[0], kind="incident"))
    assert first.why["rule"].startswith("same")
    back = grouper.assign("back", Failure("s", f"{names[1]} broke {names[1]}s badly", "", service=names[1], kind="incident"))
    assert back.why["rule"].startswith("new")
    assert back.group == made[names[1]]


def test_traces_of_gecko_with_relative_files_and_bodies_of_tests_are_read() -> None:
    chrome = "TypeError: no\n    at basketTotal (./src/total.ts:31:24)\n    at Summary (./src/Summary.tsx:58:17)\n"
    gecko = "TypeError: no\nbasketTotal@./src/total.ts:33:24\nSummary@./src/Summary.tsx:60:17\n"
    assert len({fingerprint.of(Failure("s", "", stacktrace=t, error_type="TypeError")).key for t in (chrome, gecko)}) == 1
    body = "Error: expect(locator).toBeVisible() failed\n\n    at /home/ci/work/e2e/search.spec.ts:22:49\n"
    assert fingerprint.of(Failure("s", "", stacktrace=body)).why["rule"] == "test frames"
