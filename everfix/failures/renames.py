"""Crashes by the way they went: the same but for one call that got another name, or related enough to be thought one at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from everfix.failures import normalise
from everfix.failures.sources import Bag, Source

LEAST = 4  # calls of a way that is long enough to be known by the others
RARE, FEW = 0.02, 3  # the innermost call names the failure when so many of its source's distinct failures hold it at most

# Two crashes share a cause only if they share these frames, say so by names of so much log-odds, or fell within so many seconds.
SAME_FRAMES, TOGETHER = 0.3, 120.0
NAMED, NAMED_ENOUGH = ("call_words", "call_bits", "hours_and_calls", "title_bits", "difference", "plain_difference"), 1.0


def related(one: Bag, members: Sequence[Bag], parts: Mapping[str, float]) -> bool:
    """Say whether more than a kind of error and an hour in common speaks for one cause; `parts` is what likeness added up."""
    if max((parts.get(name, 0.0) for name in NAMED), default=0.0) > NAMED_ENOUGH:
        return True
    if any(len(one.frames & other.frames) >= SAME_FRAMES * len(one.frames | other.frames) for other in members):
        return True
    at = one.features.at
    return at is not None and any(other.features.at is not None and abs(at - other.features.at) <= TOGETHER for other in members)


def renamed(one: Bag, other: Bag, source: Source) -> bool:
    """Say whether the calls are the same, in order, but for one of them.

    A caller may be called anything, where the innermost call is rare and so names the failure by itself. The innermost one must keep
    the words that it had or lose some and gain none: `validate_name` and `validate_mail` are two, `validate` and `validate_all` one.
    """
    ours, theirs = one.features.frames, other.features.frames
    if len(ours) < LEAST or len(ours) != len(theirs) or one.type != other.type or one.check or other.check:
        return False
    unlike = [n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    if len(unlike) != 1:
        return False
    if unlike[0]:
        return source.documents.get(one.top, 0) <= max(FEW, RARE * source.seen)
    words, before = _parts(ours[0]), _parts(theirs[0])
    return bool(words & before) and (words <= before or before <= words)


def _parts(name: str) -> set[str]:
    """Return the words that a name is made of, without the name as a whole."""
    words = set(normalise.words(name))
    return {word for word in words if not any(other != word and other in word for other in words)}
