"""How well the grounding tells a sound narrative from a wrong one: corrupted texts refused, sound ones refused, and what it takes.

A corrupted text that happens to be true all the same (another row of the same name has that number) counts as one that was missed.

Usage: python -m bench.grounding [documents] [corruptions of each kind in each] [the first document's seed]
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter

from tests import narrative_mutations as mutations
from tests import narrative_prose as prose


def main(seeds: int = 100, turns: int = 5, first: int = 0) -> int:
    """Print the rates by kind; returns 1 where one misses its bound (99.9 % of the wrong refused, at most 0.5 % of the sound)."""
    tried: Counter[tuple[str, bool]] = Counter()
    sound, lost, begun = 0, 0, time.process_time()
    for seed in range(first, first + seeds):
        document, known, texts = mutations.written(seed)
        for text in (*texts, *prose.sentences(document, random.Random(seed))):  # noqa: S311 - seeded, so that it can be repeated
            sound += 1
            lost += bool(mutations.refusals(text, known))
        for kind in mutations.KINDS:
            for turn in range(turns):
                result = mutations.corrupted(kind, seed, turn)
                if result is not None:
                    tried[kind, result[2]] += 1
        mutations.written.cache_clear()
    wrong = tried.total()
    refused = sum(count for (_, right), count in tried.items() if right)
    print("| corruption | tried | refused |\n| --- | ---: | ---: |")
    for kind in mutations.KINDS:
        both = tried[kind, True] + tried[kind, False]
        print(f"| {kind} | {both:,} | {tried[kind, True] / max(both, 1):.2%} |")
    print(f"| **all** | {wrong:,} | {refused / wrong:.3%} |\n")
    took = time.process_time() - begun
    print(
        f"{lost} of {sound:,} sound texts refused ({lost / sound:.2%}); {took:.0f} s of CPU, {1000 * took / (sound + wrong):.1f} ms a text."
    )
    return int(refused / wrong < 0.999 or lost / sound > 0.005)


if __name__ == "__main__":
    sys.exit(main(*(int(one) for one in sys.argv[1:])))
