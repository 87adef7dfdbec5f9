from __future__ import annotations

import json

import pytest

from everfix.failures import fixes, playbook
from everfix.failures.forecast import Forecast

LIKELY = Forecast("p1", 0.7, 0.6, 0.8, [])
FACTS = fixes.PatternFacts("p1", "java.lang.NullPointerException in CheckoutService.pay", "cart was null", "checkout")


def test_the_playbook_is_sound() -> None:
    plays = [play for cause in playbook.CAUSES.values() for play in cause.plays]
    assert len({play.key for play in plays}) == len(plays)
    assert all(0 < play.fits <= 1 and 0 < play.holds < 1 and play.steps for play in plays)
    assert all(word == word.lower() for cause in playbook.CAUSES.values() for word in cause.words)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Read timed out after 30 s", "timeout"),
        ("java.lang.OutOfMemoryError: Java heap space", "memory"),
        ("disk full on db-3: no space left on device", "disk"),
        ("x509: certificate has expired", "access"),
        ("TypeError: cannot read properties of undefined", "defect"),
        ("zzz", playbook.UNKNOWN),
    ],
)
def test_the_words_name_the_cause(title: str, kind: str) -> None:
    assert fixes.causes_of(fixes.PatternFacts("p", title))[0][0] == kind


def test_a_named_cause_is_taken_and_an_unknown_one_refused() -> None:
    assert fixes.causes_of(fixes.PatternFacts("p", "x", cause="disk")) == [("disk", 1.0, "the cause was named")]
    with pytest.raises(ValueError, match="'gremlins' is not known; allowed are timeout"):
        fixes.causes_of(fixes.PatternFacts("p", "x", cause="gremlins"))


def test_recommendations_say_why_and_are_ranked() -> None:
    best = fixes.recommend(FACTS, LIKELY, [])
    assert [fix.score for fix in best] == sorted((fix.score for fix in best), reverse=True)
    assert {fix.key for fix in best[:2]} == {"defect.fix", "defect.validate"}
    assert 0 < best[0].expected_loops_prevented < best[0].why["expected_recurrences"] == 9.0
    json.dumps(best[0].why)


def test_what_did_not_hold_nearby_falls_and_what_held_there_rises() -> None:
    before = {fix.key: fix.score for fix in fixes.recommend(FACTS, LIKELY, [], at_most=20)}
    near = fixes.PatternFacts("p4", "NullPointerException in CheckoutService.pay", "cart was null", "checkout")
    failed = fixes.Resolution(near, "Fix the failing line", "code_fix", held=False, key="defect.fix")
    like = fixes.PatternFacts("p2", "NullPointerException in CheckoutService.refund", "cart was null", "checkout")
    held = fixes.Resolution(like, "Return an empty cart instead of null", "code_fix", "low", held=True)
    after = {fix.title: fix for fix in fixes.recommend(FACTS, LIKELY, [failed, failed, failed, failed, held, held], at_most=20)}
    assert next(fix.score for fix in after.values() if fix.key == "defect.fix") < 0.8 * before["defect.fix"]
    assert next(iter(after)) == "Return an empty cart instead of null"
    assert after["Return an empty cart instead of null"].why["from"].startswith("tried on the similar pattern")


def test_an_unlike_pattern_brings_nothing() -> None:
    far = fixes.Resolution(fixes.PatternFacts("p3", "DNS lookup slow in Frankfurt"), "Add a resolver", "config_change", held=True)
    assert "Add a resolver" not in {fix.title for fix in fixes.recommend(FACTS, LIKELY, [far], at_most=20)}


def test_what_failed_on_this_very_pattern_is_not_proposed_again() -> None:
    facts = fixes.PatternFacts("p", "Checkout timeout")
    odds = Forecast("p", 0.5, 0.4, 0.6, [])
    first = fixes.recommend(facts, odds, [])[0]
    tried = fixes.Resolution(facts, first.title, first.type, first.effort, held=False, key=first.key)
    own = fixes.Resolution(facts, "Restart it every night", "process", "low", held=False)
    titles = [fix.title for fix in fixes.recommend(facts, odds, [tried, own], at_most=50)]
    assert titles
    assert first.title not in titles
    assert own.title not in titles
