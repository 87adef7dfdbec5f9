"""A thousand narratives made wrong in one place are refused, and sound ones, the rules' and a model's wordings, are not: rates by kind."""

from __future__ import annotations

# ruff: noqa: S311 - seeded, so that a failure can be repeated
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfix.narrative import grounding, rules
from tests import narrative_documents as documents
from tests import narrative_mutations as mutations
from tests import narrative_prose as prose

SEEDS, TURNS = 26, 4
REFUSED, KEPT = 0.999, 0.995  # of the wrong ones at least, of the sound ones at least


def test_a_thousand_corrupted_narratives_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    tried: Counter[tuple[str, bool]] = Counter()
    passed: list[str] = []
    for seed in range(SEEDS):
        for kind in mutations.KINDS:
            for turn in range(TURNS):
                result = mutations.corrupted(kind, seed, turn)
                if result is not None:
                    tried[kind, result[2]] += 1
                    passed += [] if result[2] else [f"{kind}: {result[0]} => {result[1]}"]
    total, refused = tried.total(), sum(count for (_, right), count in tried.items() if right)
    with capsys.disabled():
        told = ", ".join(f"{kind} {tried[kind, True]}/{tried[kind, True] + tried[kind, False]}" for kind in mutations.KINDS)
        print(f"\n{refused} of {total} corrupted texts refused ({refused / total:.2%}): {told}", end="")  # noqa: T201 - the rate is the result
    assert total >= 1_000
    assert all(tried[kind, True] + tried[kind, False] >= 0.85 * SEEDS * TURNS for kind in mutations.KINDS)
    assert refused / total >= REFUSED, "\n".join(passed)


def test_sound_sentences_of_a_model_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    total, refused = 0, []
    for seed in range(SEEDS):
        document, known, _ = mutations.written(seed)
        for text in prose.sentences(document, random.Random(seed)):
            total += 1
            refused += [f"{text}: {reason}" for _, reason in mutations.refusals(text, known)[:1]]
    with capsys.disabled():
        print(f"\n{len(refused)} of {total} sound sentences refused ({len(refused) / total:.2%})", end="")  # noqa: T201
    assert total >= 2_000
    assert len(refused) / total <= 1 - KEPT, "\n".join(refused[:20])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**9))
def test_a_rule_written_text_passes(seed: int) -> None:
    document = documents.generated(random.Random(seed))
    assert grounding.check(rules.write(document), document) == ()


# What once came through, with what was sound: the document's seed, the sound words, the wrong ones.
CAUGHT = (
    (43, "Scale consumers by lag should come first.", "Flaky login end-to-end test should come first."),
    (51, "At 78.5 %, prevention rate is down 0.6 % on the previous period (79 %).", "down 0.6 % on this period"),
    (58, "with a 78 % chance of coming back within 7 days, most likely after a change of pricing", "with a 75 % chance"),
    (87, "Forecasts were as good as in the previous period (Brier score 0.16).", "as good as in this period"),
    (301, "the first half of the period saw 7 and the second half 10", "the first half of the previous period saw 7"),
    (311, "The last occurrence of “Flaky login end-to-end test” was on 16 Nov 2026.", "was on 1 Nov 2026"),
    (380, "The busiest day was 11 Nov 2026, with 54 issues.", "The quietest day was"),
)


@pytest.mark.parametrize(("seed", "sound", "wrong"), CAUGHT, ids=[str(row[0]) for row in CAUGHT])
def test_what_once_came_through_is_refused(seed: int, sound: str, wrong: str) -> None:
    """Advice about what comes first goes by the order of fixes, a period is not compared with itself, rows of one name are told apart."""
    _, known, texts = mutations.written(seed)
    text = next(text for text in texts if sound in text)
    assert mutations.refusals(text, known) == []
    changed = {
        43: lambda: wrong,
        51: lambda: text.replace("on the previous period", "on this period"),
        58: lambda: text.replace("a 78 % chance", "a 75 % chance"),
        87: lambda: text.replace("as in the previous period", "as in this period"),
        301: lambda: text.replace("the first half of the period saw 7", "the first half of the previous period saw 7"),
        311: lambda: text.replace("16 Nov", "1 Nov"),
        380: lambda: text.replace("The busiest day", "The quietest day"),
    }[seed]()
    assert wrong in changed
    assert mutations.refusals(changed, known)
