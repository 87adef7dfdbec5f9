"""What an assertion expected and got, as the tokens that differ: two checks that lost the same word often broke for one reason."""

from __future__ import annotations

import re
from collections import Counter

LONGEST, MOST = 6000, 16  # characters of a message looked at; differing tokens kept

# (expected, actual) by the conventions of JUnit, AssertJ, Hamcrest, pytest, unittest, node:assert, Jest, testify, xUnit, RSpec, PHPUnit.
_SAID = (
    r"(?:expected|want(?:ed)?|exp):?\s+(?P<e>\S[^\n]{0,300}?)[,;]?\s+(?:but (?:was|got|received|found)|but|got|actual"
    r"|received|found|have|instead of|to (?:equal|be|eq)):?\s+(?P<a>\S[^\n]{0,300})"
)
_SHAPES = tuple(re.compile(pattern, re.DOTALL | re.IGNORECASE) for pattern in (
    r"expected:?\s*<(?P<e>.*?)>,? but (?:was|got):?\s*<(?P<a>.*)>",
    r"expected same:\s*<(?P<e>.*?)> was not:\s*<(?P<a>.*?)>",
    r"expected:?\s*(?P<e>[^\n]*?)\s*\n\s*(?:but(?: was)?|actual|result|received|got|was|to be):?\s*(?P<a>[^\n]*)",
    _SAID,
    r"(?:got|actual|have|received):?\s+(?P<a>\S[^\n]{0,300}?)[,;]?\s+(?:expected|want(?:ed)?|exp):?\s+(?P<e>\S[^\n]{0,300})",
    r"assert(?:ion)?\w*(?: error)?:?\s*(?P<a>\S[^\n]{0,200}?)\s(?:===?|!==?|is not|is|not in|in)\s(?P<e>\S[^\n]{0,200})",
    r"^\s*(?P<a>[^\n]{1,200}?)\s!==?=?\s(?P<e>[^\n]{1,200}?)\s*$",
))  # fmt: skip
_TOKEN = re.compile(r"[A-Za-z_$@][\w$]*|[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|[^\s\w]")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_PLUS, _MINUS = re.compile(r"^\s*\+ ?(.*\S)", re.MULTILINE), re.compile(r"^\s*- ?(.*\S)", re.MULTILINE)


def of(message: str) -> tuple[str, ...]:
    """Return what was lost ("-word"), what came ("+word") and how numbers moved ("~higher", "~lower"); empty where nothing was compared."""
    pair = _compared(message[:LONGEST])
    if pair is None:
        return ()
    expected, actual = (Counter(_TOKEN.findall(side)) for side in pair)
    lost, came = _masked(expected - actual), _masked(actual - expected)
    out = [f"-{t}" for t in sorted(lost - came)] + [f"+{t}" for t in sorted(came - lost)]
    words = [t for t in out if t[1:].strip("[]()<>{}.,;:'\"") and t[1:] != "#"]
    return tuple(_moved(expected - actual, actual - expected) + (words or out)[:MOST])


def _compared(message: str) -> tuple[str, str] | None:
    plus, minus = _PLUS.findall(message), _MINUS.findall(message)
    if plus and minus and "expected" in message.lower():
        return "\n".join(minus), "\n".join(p for p in plus if p != "actual - expected")
    for shape in _SHAPES:
        found = shape.search(message)
        if found:
            return _unbracketed(found.group("e")), _unbracketed(found.group("a"))
    return None


def _unbracketed(side: str) -> str:
    """Drop the marks of JUnit's compact form: `...common[difference]common...`."""
    return re.sub(r"^\.\.\.|\.\.\.$", " ", side)


def _masked(tokens: Counter[str]) -> Counter[str]:
    out: Counter[str] = Counter()
    for token, count in tokens.items():
        out[_NUMBER.sub("#", token)] += count
    return out


def _moved(lost: Counter[str], came: Counter[str]) -> list[str]:
    """Say how numbers moved: one on each side gives the direction and a small whole step, several only that they did."""
    before, after = ([float(n) for t in side.elements() for n in _NUMBER.findall(t)] for side in (lost, came))
    if not before or not after:
        return []
    if len(before) == len(after) == 1:
        step = after[0] - before[0]
        return [f"~{'higher' if step > 0 else 'lower'}"] + ([f"~{step:+.0f}"] if abs(step) <= 2 and step == int(step) else [])
    return ["~numbers"]
