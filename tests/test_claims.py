"""Claims: which failures count against a fix. The named false regressions are those that users of other trackers reported."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfix.failures import claims, releases
from everfix.failures.claims import Claim, Known, Seen
from tests import make

AT = make.NOW


def after(**by: float) -> datetime:
    return AT + timedelta(**by)


KNOWN = Known({"2.17.0": after(days=-60), "2.18.1": after(days=-20), "2.18.2": after(hours=-1)})

# name: claim, what the workspace knows of releases, the failure; each must leave the fix alone
FALSE_REGRESSIONS: dict[str, tuple[Claim, Known, Seen]] = {
    "a long-lived browser tab reports from an old release (sentry#3750)": (
        Claim(release="2.18.2"),
        KNOWN,
        Seen(after(days=3), "2.17.0"),
    ),
    "a worker that still runs the old release after the deploy (sentry#5131)": (
        Claim(release="2.18.2", rollout_ends_at=after(hours=6)),
        KNOWN,
        Seen(after(hours=5)),
    ),
    "resolved in the next release, and this one fails again (sentry#44881)": (
        Claim(release="next"),
        KNOWN,
        Seen(after(days=2), "2.18.2"),
    ),
    "resolved in X, seen only in X-1 (sentry#52078)": (Claim(release="2.18.2"), KNOWN, Seen(after(days=4), "2.18.1")),
    "numbers are compared as numbers, not as letters (sentry#102234)": (
        Claim(release="app@9.10.0"),
        Known({"app@9.9.4": after(days=2)}),  # the older release was even seen later
        Seen(after(days=5), "app@9.9.4"),
    ),
    "the next release is only in acceptance, production runs the old one (sentry#104513)": (
        Claim(release="next"),
        Known({"3.25.47.21": after(days=-9), "3.25.47.22": after(hours=2)}),
        Seen(after(hours=8), "3.25.47.21", "production"),
    ),
    "the release with the fix was deleted (sentry#104751)": (
        Claim(release="shop@4.2.0"),
        Known({}),
        Seen(after(days=40), "shop@4.1.9"),
    ),
    "releases with other names stand between (sentry#105041)": (
        Claim(release="9.66.3"),
        Known({"hotfix-blue": after(days=-1), "9.66.4": after(days=1), "9.65.0": after(days=-30)}),
        Seen(after(days=2), "9.65.0"),
    ),
}

# and these must not: the same claims, really broken
TRUE_REGRESSIONS: dict[str, tuple[Claim, Known, Seen]] = {
    "in the release of the fix": (Claim(release="2.18.2"), KNOWN, Seen(after(days=3), "2.18.2")),
    "in a newer release": (Claim(release="2.18.2"), KNOWN, Seen(after(days=3), "2.19.0-rc.1")),
    "in the next release, once it is there": (
        Claim(release="next"),
        Known({**KNOWN.first_seen, "2.19.0": after(days=1)}),
        Seen(after(days=2), "2.19.0"),
    ),
    "without a release named, after the roll-out": (Claim(release="2.18.2"), KNOWN, Seen(after(days=1))),
    "a fix without a release": (Claim(), Known({}), Seen(after(hours=2))),
    "commit hashes: one that appeared after the fix": (
        Claim(release="9f2c1ab"),
        Known({"9f2c1ab": after(hours=1), "77aa001": after(days=3)}),
        Seen(after(days=4), "77aa001"),
    ),
    "in the environment of the fix": (Claim(environment="production"), Known({}), Seen(after(days=1), None, "Production")),
    "with the flag on": (Claim(flag="new-pool"), Known({}), Seen(after(days=1), flags={"new-pool": True})),
}


@pytest.mark.parametrize("name", FALSE_REGRESSIONS)
def test_a_false_regression_leaves_the_fix_alone(name: str) -> None:
    claim, known, seen = FALSE_REGRESSIONS[name]
    against, why = claims.counts(seen, claim, AT, known)
    assert not against, why
    assert why


@pytest.mark.parametrize("name", TRUE_REGRESSIONS)
def test_a_true_regression_counts(name: str) -> None:
    claim, known, seen = TRUE_REGRESSIONS[name]
    against, why = claims.counts(seen, claim, AT, known)
    assert against, why


@pytest.mark.parametrize(
    ("claim", "seen", "why"),
    [
        (Claim(), Seen(after(minutes=-1)), "before"),  # came in late: it happened before
        (Claim(release="2.0.0"), Seen(after(days=-5), "2.0.0"), "before"),
        (Claim(), Seen(after(minutes=40)), "rolled out"),
        (Claim(rollout_ends_at=after(hours=6)), Seen(after(hours=5)), "rolled out"),
        (Claim(environment="production"), Seen(after(days=1), None, "staging"), "staging"),
        (Claim(flag="new-pool"), Seen(after(days=1), flags={"new-pool": False}), "flag"),
        (Claim(release="9f2c1ab"), Seen(after(days=4), "0ld0001"), "appeared before"),
    ],
)
def test_what_does_not_count_says_why(claim: Claim, seen: Seen, why: str) -> None:
    known = Known({"0ld0001": after(days=-9), "9f2c1ab": after(hours=1)})
    against, said = claims.counts(seen, claim, AT, known)
    assert not against
    assert why in said


def test_a_back_port_is_not_the_next_release() -> None:
    known = Known({"2.0.0": after(days=-3), "1.9.5": after(days=1), "2.0.1": after(days=2)})
    assert known.next_after(AT) == "2.0.1"
    assert claims.exposed_from(Claim(release="next"), AT, known) == after(days=2)


def test_exposure_begins_with_the_release() -> None:
    assert claims.exposed_from(Claim(release="next"), AT, Known({})) is None
    assert claims.exposed_from(Claim(release="2.18.2"), AT, Known({"2.18.2": after(days=2)})) == after(days=2)
    assert claims.exposed_from(Claim(rollout_ends_at=after(days=1)), AT, Known({})) == after(days=1)
    assert claims.exposed_from(Claim(), AT, Known({})) == AT


@pytest.mark.parametrize(
    ("older", "newer"),
    [
        ("1.9.0", "1.10.0"),
        ("v1.2", "v1.2.1"),
        ("shop@2.4.0", "shop@2.4.1+build.7"),
        ("3.25.47.21", "3.25.47.22"),
        ("1.0.0-rc.2", "1.0.0-rc.10"),
        ("1.0.0-rc.1", "1.0.0"),
        ("1.0.0-alpha", "1.0.0-beta.1"),
        ("2025.12.3", "2026.1.0"),
    ],
)
def test_versions_are_ordered(older: str, newer: str) -> None:
    assert (releases.compare(older, newer), releases.compare(newer, older)) == (-1, 1)


@pytest.mark.parametrize(("left", "right"), [("1.2", "1.2.0"), ("v3.0.0", "3.0.0"), ("a@1.0", "A@1.0.0"), ("9f2c1ab", "9f2c1ab")])
def test_the_same_release_by_two_spellings(left: str, right: str) -> None:
    assert releases.compare(left, right) == 0


@pytest.mark.parametrize(
    ("left", "right"),
    [("9f2c1ab", "1.2.3"), ("shop@1.0", "cart@2.0"), ("blue", "green"), ("4711", "4712"), ("", "1.0"), ("1.0", "20260101010101010101.0")],
)
def test_names_that_do_not_tell(left: str, right: str) -> None:
    assert releases.compare(left, right) is None


VERSIONS = st.lists(st.integers(0, 99), min_size=2, max_size=4).map(lambda numbers: ".".join(map(str, numbers)))


@given(st.lists(VERSIONS, min_size=3, max_size=3))
def test_the_order_is_one(names: list[str]) -> None:
    a, b, c = names
    assert releases.compare(a, b) == -(releases.compare(b, a) or 0)
    if releases.compare(a, b) == 1 and releases.compare(b, c) == 1:
        assert releases.compare(a, c) == 1


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_names_are_compared_without_a_fault(left: str, right: str) -> None:
    assert releases.compare(left, right) in (-1, 0, 1, None)


@given(st.datetimes(min_value=datetime(2026, 1, 1), max_value=datetime(2026, 3, 16)), st.sampled_from([None, "1.0.0", "2.18.2", "zzz"]))  # noqa: DTZ001 - made aware below
def test_nothing_from_before_the_claim_ever_counts(moment: datetime, release: str | None) -> None:
    seen = Seen(moment.replace(tzinfo=AT.tzinfo), release)
    for claim in (Claim(), Claim(release="2.18.2"), Claim(release="next"), Claim(environment="production")):
        assert not claims.counts(seen, claim, AT, KNOWN)[0] or seen.occurred_at > AT


def test_a_claim_survives_storing() -> None:
    claim = Claim(what="Larger pool", at=AT, release="2.18.2", rollout_ends_at=after(hours=2))
    stored: dict[str, Any] = claims.shown(claim)
    assert claims.read(stored) == claim
    assert claims.read({"description": "of an older version"}) == Claim()
