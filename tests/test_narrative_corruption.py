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
