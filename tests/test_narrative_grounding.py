"""Sound free prose passes, wrong prose is refused with a reason, and Unicode disguises change nothing."""

from __future__ import annotations

import pytest

from everfix.documents.model import Narrative
from everfix.narrative import facts, grounding
from tests import narrative_documents as documents

BUSY = documents.busy()
KNOWN = facts.of(BUSY)

SOUND = """
Issues rose 12 % to 412, up from 368 in the previous period.
The team logged 412 issues in the 30 days to 22 Nov 2026.
We saw 44 more issues than in the previous period.
Roughly 400 issues were recorded, about 12 % more than before.
Mean time to resolve improved by 20 %, from 2 h 48 min to 2 h 14 min.
It now takes 2 h 14 min to resolve an issue; previously it took 2 h 48 min.
The prevention rate climbed to 38.2 % from 30.5 %.
Prevention improved by 7.7 percentage points.
Exposure avoided grew to $41,600, which is $11,200 more than before.
Some $41.6k of exposure was avoided, against $30,400 in the previous period.
Forecast quality did not move: the Brier score was unchanged at 0.16.
Open loops fell from 21 to 17.
Four fewer loops are open than before: open loops are down to 17.
Payment gateway timeouts regressed and now carries the highest risk score, 91.
Payment gateway timeouts rose 55 % to 96 issues, almost a quarter of the total.
With 96 issues, Payment gateway timeouts accounts for 23.3 % of all failures.
The two largest patterns are Payment gateway timeouts (96 issues) and Checkout cache stampede (71).
Payment gateway timeouts, Checkout cache stampede and Queue backlog in mailer together caused 211 issues.
Deadlock on orders table is being monitored: its issues fell 31.8 %, and it was last seen on 9 November.
OOM in image resizer was last seen on Monday, 2 Nov 2026.
Queue backlog in mailer, last seen on 18 Nov, has a 52 % chance of coming back within 14 days.
There is an 81 % chance that Payment gateway timeouts returns within a week, most likely after Friday deploys.
Issues peaked on 10 November at 47, with a z-score of 4.4.
The busiest day was 10 Nov 2026, when 47 issues came in.
On 11 Nov there were still 31 issues.
The quietest day saw only 7 issues, on 30 October.
On average, 13.7 issues arrived per day.
The first half of the period saw 163 issues and the second half 249, a rise of 52.8 %.
Three fixes were followed up; together they prevented 26 recurrences.
Add a circuit breaker prevented 12 recurrences: 15 were expected and 3 observed.
Retry with jitter should come first, as it is expected to prevent 11.2 loops.
The second recommendation is Warm the cache before deploy, which addresses Checkout cache stampede.
Pages at night went up from 31 to 44, while mailer retries dropped from 58 to 49.
Two patterns are recurring, one is regressed.
Five of the 14 patterns are shown.
Checkout cache stampede has a higher risk score than Queue backlog in mailer.
Nothing suggests a slowdown, but several patterns deserve a closer look.
To improve further, consider batching and better alerting in the coming weeks.
The report covers 24 October to 22 November 2026.
Payment gateway timeouts is the largest contributor. It caused 96 issues and was last seen on 21 Nov 2026.
""".strip().splitlines()

WRONG = {
    "Issues rose 13 % to 412.": "13 %",
    "Issues fell 12 % to 412.": "fell",
    "Issues rose 12 % to 368 (from 412).": "368",
    "The team logged 412 issues in the 31 days to 22 Nov 2026.": "31 days",
    "The prevention rate climbed to 30.5 % from 38.2 %.": "30.5 %",
    "Prevention worsened by 7.7 percentage points.": "worsened",
    "Open loops fell from 21 to 26.": "26",
    "Loops prevented rose to 17.": "17",
    "Exposure avoided grew to €41,600.": "€ 41,600",
    "Exposure avoided grew to 41,600 %.": "41,600 %",
    "Mean time to resolve improved to 2 h 48 min.": "2 h 48 min",
    "Issues doubled.": "doubled",
    "Issues were unchanged.": "unchanged",
    "Checkout cache stampede carries the highest risk score, 84.": "highest",
    "Checkout cache stampede is the largest contributor.": "largest",
    "Payment gateway timeouts rose to 71 issues, Checkout cache stampede to 96.": "71",
    "Payment gateway timeouts was last seen on 20 Nov 2026.": "20 nov 2026",
    "OOM in image resizer was last seen on Tuesday, 2 Nov 2026.": "tuesday , 2 nov 2026",
    "Queue backlog in mailer is resolved.": "resolved",
    "Issues peaked on 11 November at 47.": "11 november",
    "Issues peaked at 31 on 11 November.": "peaked",
    "On 11 Nov there were still 47 issues.": "47",
    "On average, 15.7 issues arrived per day.": "15.7",
    "The first half of the period saw 249 issues and the second half 163.": "249",
    "The three largest patterns are Payment gateway timeouts and Checkout cache stampede.": "three",
    "Payment gateway timeouts and Checkout cache stampede together caused 168 issues.": "168",
    "There are no issues.": "no",
    "Nothing is due.": "nothing",
    "Warm the cache before deploy should come first.": "first",
    "Retry with jitter addresses Checkout cache stampede.": "retry with jitter",
    "Payment gateway timeouts addresses Retry with jitter.": "payment gateway timeouts",
    "The worst offender was “Login storm”.": "login storm",
    "The Billing team should act.": "Billing",
    "Queue backlog in mailer has a higher risk score than Checkout cache stampede.": "higher",
    "Twelve patterns are shown.": "twelve",
    "Payment gateway timeouts fell 55 %.": "fell",
    "Pages at night went down from 31 to 44.": "down",
    "Queue backlog in mailer has a 64 % chance of coming back within 14 days.": "64 %",
    "Checkout cache stampede has a 64 % chance of coming back within 7 days.": "7 days",
    "In March, issues rose 12 %.": "march",
    "Half of the issues came from Payment gateway timeouts.": "half",
}


def refused(text: str) -> list[tuple[str, str]]:
    return [one for _, _, found in grounding.paragraph(text, KNOWN) for one in found]


@pytest.mark.parametrize("text", SOUND)
def test_sound_prose_passes(text: str) -> None:
    assert refused(text) == []


@pytest.mark.parametrize(("text", "token"), WRONG.items())
def test_wrong_prose_is_refused_at_the_wrong_word(text: str, token: str) -> None:
    assert token.lower() in [found.lower() for found, _ in refused(text)]


@pytest.mark.parametrize(
    "text",
    [
        "Exposure avoided grew to $41\u202f600, up 36.8\u00a0%.",
        "Issues rose 12\u2009% to ４１２.",
        "Issues rose 12 % to ٤١٢.",
        "Iss\u200bues rose 12 % to 4\u200b12.",
        "Exposure avoided grew to $41'600.",
    ],
)
def test_disguised_numbers_are_read(text: str) -> None:
    assert refused(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Issues rose 12 % to ４１３.",
        "Issues rose 12 % to ٤١٣.",
        "Issues rose 12\u2009% to 4\u200b13.",
        "Issues rose by −12 %.",
        "Issues r\u043ese 12 % to 412.",
        "Issues rose 12 ٪ to 413.",
        "Exposure avoided grew to $41\u202f700.",
        "Issues rose ¹³ %.",
    ],
)
def test_disguised_lies_are_refused(text: str) -> None:
    assert refused(text) != []


def test_require_says_sentence_token_and_reason() -> None:
    narrative = Narrative(executive_summary=("Issues rose 12 % to 413.",), sections={"nowhere": "Quiet."})
    with pytest.raises(grounding.Ungrounded) as caught:
        grounding.require(narrative, BUSY)
    assert [refusal.token for refusal in caught.value.refusals] == ["413", "nowhere"]
    assert "“Issues rose 12 % to 413.”: the Document says 412" in str(caught.value)


def test_a_claim_leads_to_its_fact() -> None:
    bindings, refusals = grounding.read(Narrative(executive_summary=("Issues rose 12 % to 412.",)), BUSY)
    assert refusals == ()
    found = {binding.token: binding.facts for binding in bindings}
    assert found["412"] == ("kpis.kpis.issues.current",)
    assert found["12 %"] == ("kpis.kpis.issues.change",)
