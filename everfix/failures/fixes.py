"""Which fix to try: candidates from past resolutions and the playbook, ranked by loops prevented x probability that it holds / effort.

1. What kind of cause is it? Said by the caller, else read from the words of the failure.
2. Candidates: fixes tried on this pattern and on similar ones in the workspace, and the playbook's for the kinds that fit.
3. Each is expected to prevent: recurrences expected without it x share of them it addresses x probability that it holds.
   That probability starts at the playbook's and moves with every verified outcome; what failed on this very pattern counts most.
   The share moves with precedents: how much oftener than usual this fix was what held for failures that say such words (`labels`).
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from everfix.failures import labels, playbook
from everfix.failures.forecast import Forecast

Impact = Literal["high", "medium", "quick_win"]

VERSION = "fixes-2"
HORIZON_DAYS = 90.0  # loops are counted over a quarter
COST: dict[playbook.Effort, float] = {"low": 1.0, "medium": 2.0, "high": 4.0}
PRIOR_WEIGHT = 4.0  # how many verified outcomes the playbook's own expectation is worth
SIMILAR = 0.2  # below this likeness another pattern's fix is not a candidate
SAME_PATTERN, SAME_CAUSE, SAME_TYPE = (
    3.0,
    1.0,
    0.15,
)  # how much one verified outcome says about a fix tried here, elsewhere (between the two where the pattern is alike), of this type
TRUSTED = 20.0  # verified outcomes from which on precedents count half; the evidence of fewer is damped
MOST_LIFT = 3.0  # how many times oftener or more rarely than usual a precedent may make a fix fit
WORD = re.compile(r"[a-z][a-z0-9_]{2,}|\b[45]\d\d\b")


@dataclass(frozen=True, slots=True)
class PatternFacts:
    """What is known of a pattern. `cause` is a key of playbook.CAUSES, or empty to have it read from the words."""

    pattern: str
    title: str
    text: str = ""
    service: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Resolution:
    """A fix that was tried: on what, whether it held (None: not verified yet), and when that became known."""

    pattern: PatternFacts
    title: str
    type: playbook.FixType
    effort: playbook.Effort = "medium"
    held: bool | None = None
    key: str = ""  # the playbook's key when it came from there
    steps: tuple[str, ...] = ()
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Fix:
    """A recommendation. `expected_loops_prevented` is over the horizon; `why` holds each factor of the score, JSON-able."""

    key: str
    title: str
    type: playbook.FixType
    effort: playbook.Effort
    impact: Impact
    steps: tuple[str, ...]
    expected_loops_prevented: float
    score: float
    why: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Candidate:
    key: str
    title: str
    type: playbook.FixType
    effort: playbook.Effort
    steps: tuple[str, ...]
    fits: float
    holds: float
    origin: str
    precedent: str = ""


@functools.lru_cache(maxsize=8192)
def words(text: str) -> frozenset[str]:
    """Words of three letters or more and HTTP errors, split at the borders of camel case."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return frozenset(WORD.findall(split.lower()))


def causes_of(facts: PatternFacts) -> list[tuple[str, float, str]]:
    """(kind of cause, share of belief, reason), most believed first; UNKNOWN keeps the rest of the belief.

    Raises ValueError when `cause` is given but not a kind that the playbook knows.
    """
    if facts.cause:
        if facts.cause not in playbook.CAUSES:
            raise ValueError(f"cause: {facts.cause!r} is not known; allowed are {', '.join(playbook.CAUSES)}")
        return [(facts.cause, 1.0, "the cause was named")]
    title, text = facts.title.lower(), f"{facts.title} {facts.text}".lower()
    found: dict[str, tuple[float, list[str]]] = {}
    for kind, cause in playbook.CAUSES.items():
        hits = [
            (2.0 if in_text(word, title) else 1.0) / math.sqrt(1 + 0.15 * place)
            for place, word in enumerate(cause.words)
            if in_text(word, text)
        ]
        if hits:
            found[kind] = (sum(hits), [word.rstrip("*") for word in cause.words if in_text(word, text)])
    total = sum(weight for weight, _ in found.values()) + 1.0
    ranked = sorted(
        ((kind, weight / total, f"it says {', '.join(said[:3])}") for kind, (weight, said) in found.items()), key=lambda k: -k[1]
    )
    return [*ranked, (playbook.UNKNOWN, 1.0 / total, "no word names the cause")]


def in_text(word: str, text: str) -> bool:
    """Whether the word (or its beginning, with a trailing *) stands in lower-case text at the border of a word."""
    bare = word.rstrip("*")
    return bare in text and _bordered(word).search(text) is not None  # the plain look first: most words are not there


@functools.lru_cache(maxsize=4096)
def _bordered(word: str) -> re.Pattern[str]:
    end = r"" if word.endswith("*") else r"(?![a-z0-9])"
    return re.compile(rf"(?<![a-z0-9]){re.escape(word.rstrip('*'))}{end}")


def likeness(one: PatternFacts, other: PatternFacts) -> float:
    """0 to 1: shared words over all words, a shared cause and a shared service counting on top; 1 for the pattern itself."""
    if one.pattern == other.pattern:
        return 1.0
    mine, theirs = words(f"{one.title} {one.text}"), words(f"{other.title} {other.text}")
    shared = len(mine & theirs) / math.sqrt(len(mine) * len(theirs)) if mine and theirs else 0.0
    return 0.7 * shared + 0.2 * (one.cause != "" and one.cause == other.cause) + 0.1 * (one.service != "" and one.service == other.service)


def candidates(facts: PatternFacts, past: Sequence[Resolution]) -> list[Candidate]:
    """The playbook's fixes for each kind that may be the cause, then what was tried on this and on similar patterns.

    What failed on this very pattern is not proposed for it again.
    """
    pool = {
        play.key: Candidate(
            play.key,
            play.title,
            play.type,
            play.effort,
            play.steps,
            belief * play.fits,
            play.holds,
            f"playbook: {playbook.CAUSES[kind].title}; {reason}",
        )
        for kind, belief, reason in causes_of(facts)
        for play in playbook.CAUSES[kind].plays
    }
    for tried in past:
        alike = likeness(facts, tried.pattern)
        if alike < SIMILAR or tried.held is False:  # what did not hold speaks against a fix, in `holds`, and never for it
            continue
        key = key_of(tried)
        known = pool.get(key)
        fits = max(0.8 * alike, known.fits if known else 0.0)
        where = (
            "tried on this pattern before"
            if tried.pattern.pattern == facts.pattern
            else f"tried on the similar pattern «{tried.pattern.title}»"
        )
        if known is None or fits > known.fits:
            pool[key] = Candidate(
                key,
                tried.title,
                tried.type,
                tried.effort,
                tried.steps or (known.steps if known else ()),
                fits,
                known.holds if known else 0.6,
                where,
            )
    failed = [tried for tried in past if tried.held is False and tried.pattern.pattern == facts.pattern]
    return [
        found for found in pool.values() if not any(tried.key == found.key or words(tried.title) == words(found.title) for tried in failed)
    ]


def key_of(tried: Resolution) -> str:
    """Return what names the fix: the playbook's key, else its type and the words of its title."""
    return tried.key or f"past.{tried.type}.{' '.join(sorted(words(tried.title)))}"


def told(facts: PatternFacts, text: str = "") -> dict[str, str]:
    """Return the incident that a pattern is, as precedents are learnt and asked: its words, place and kind of cause."""
    said = replace(facts, text=text or facts.text)
    return labels.text_of(said.title, said.text, said.service, causes_of(said)[0][0])


def by_precedent(found: Sequence[Candidate], facts: PatternFacts, learnt: labels.Ranker | None) -> list[Candidate]:
    """Let candidates fit better or worse as precedents say; a fix that was never verified here keeps what it has."""
    if learnt is None or len(learnt.labels) < 2:
        return list(found)
    usual, trust = learnt.usual(), learnt.learnt / (learnt.learnt + TRUSTED)
    ranked = {one.label: one for one in learnt.rank(told(facts))}
    out = []
    for one in found:
        if one.key not in ranked:
            out.append(one)
            continue
        lift = min(max(ranked[one.key].probability / usual[one.key], 1 / MOST_LIFT), MOST_LIFT)
        out.append(replace(one, fits=min(1.0, one.fits * lift**trust), precedent=f"it held for {ranked[one.key].why}"))
    return out


def holds(candidate: Candidate, facts: PatternFacts, past: Iterable[Resolution]) -> tuple[float, float, float]:
    """(probability that the fix holds, outcomes that say yes, outcomes that say no): a Beta prior moved by verified outcomes."""
    yes = no = 0.0
    for tried in past:
        if tried.held is None:
            continue
        same = tried.key == candidate.key or words(tried.title) == words(candidate.title)
        near = SAME_CAUSE + (SAME_PATTERN - SAME_CAUSE) * likeness(facts, tried.pattern) if same else 0.0
        weight = near if same else SAME_TYPE if tried.type == candidate.type else 0.0
        yes, no = yes + weight * tried.held, no + weight * (not tried.held)
    return (PRIOR_WEIGHT * candidate.holds + yes) / (PRIOR_WEIGHT + yes + no), yes, no


def impact(effort: playbook.Effort, share: float) -> Impact:
    """`share` of the expected recurrences that the fix should prevent."""
    if share >= 0.4:
        return "quick_win" if effort == "low" else "high"
    return "quick_win" if effort == "low" and share >= 0.2 else "medium"


def recommend(
    facts: PatternFacts,
    forecast: Forecast,
    past: Sequence[Resolution],
    *,
    window_days: float = 7.0,
    horizon_days: float = HORIZON_DAYS,
    at_most: int = 5,
    learnt: labels.Ranker | None = None,
) -> list[Fix]:
    """The best fixes for a pattern, highest score first.

    `forecast` is for `window_days`; `past` are the workspace's resolutions, and `learnt` what those that held have taught (`precedents`).
    """
    expected = forecast.probability * horizon_days / window_days
    ranked = []
    for candidate in by_precedent(candidates(facts, past), facts, learnt):
        probability, yes, no = holds(candidate, facts, past)
        share = candidate.fits * probability
        why = {
            "from": candidate.origin,
            "expected_recurrences": round(expected, 2),
            "horizon_days": horizon_days,
            "addresses": round(candidate.fits, 3),
            "holds": round(probability, 3),
            "held": round(yes, 2),
            "did_not_hold": round(no, 2),
            "effort": COST[candidate.effort],
            **({"precedent": candidate.precedent} if candidate.precedent else {}),
            "model": VERSION,
        }
        ranked.append(
            Fix(
                candidate.key,
                candidate.title,
                candidate.type,
                candidate.effort,
                impact(candidate.effort, share),
                candidate.steps,
                round(expected * share, 2),
                expected * share / COST[candidate.effort],
                why,
            )
        )
    return sorted(ranked, key=lambda fix: (-fix.score, fix.key))[:at_most]
