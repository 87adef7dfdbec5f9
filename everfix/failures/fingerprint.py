"""A failure's fingerprint: the exact, explainable first stage of grouping, and the features that the second stage compares."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from everfix.failures import differences, frames, normalise, prose, stacktraces

CURRENT = "2026-11-22"
KEY_FRAMES = 6  # in-app frames that make the key: enough to tell two ways to one helper apart, few enough to survive a new entry point
SIGNATURE = 300  # characters
TELLING = 3  # words in a title from which on it names a failure by itself


@dataclass(frozen=True, slots=True)
class Failure:
    """What is known of one failure when it arrives. `scope` is its source or project: groups never cross it."""

    scope: str
    title: str
    message: str = ""
    stacktrace: str = ""
    error_type: str = ""
    service: str = ""
    kind: str = ""
    team: str = ""
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """What the similarity stage compares; bounded, and JSON-able through `to_json`/`from_json`.

    `frames` innermost call first; `lines` masked lines in order; `words` lower case, in order, with repeats; `at` seconds since 1970.
    """

    frames: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    heading: tuple[str, ...] = ()
    body: tuple[str, ...] = ()
    title: str = ""
    error_type: str = ""
    service: str = ""
    kind: str = ""
    at: float | None = None

    def lean(self) -> Features:
        """Return what the similarity stage needs of them, about a kilobyte: this is what is kept of a group's members."""
        words = tuple(dict.fromkeys(self.words))[:120]
        return replace(self, frames=self.frames[:12], lines=self.lines[:20], words=words, heading=(), body=())

    def to_json(self) -> dict[str, Any]:
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name in self.__slots__
            if (value := getattr(self, name)) not in ((), "", None)
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Features:
        """Rebuild what `to_json` wrote; raises TypeError for a name that is not a feature."""
        kept: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in raw.items()}
        return cls(**kept)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The answer and why: equal `key` and `version` mean the same failure. `signature` is for people, `why` is JSON-able."""

    version: str
    key: str
    signature: str
    why: dict[str, Any]
    features: Features


def of(failure: Failure, version: str = CURRENT) -> Fingerprint:
    """Return the failure's fingerprint by one version of the rules; raises ValueError for a version that never existed."""
    if version not in VERSIONS:
        raise ValueError(f"version: {version!r} is unknown; allowed: {', '.join(VERSIONS)}")
    return VERSIONS[version](failure)


def _of_2026_11_22(failure: Failure) -> Fingerprint:
    """Decide by the first rule that has something to go by: in-app frames, library frames, name and message, message, name, nothing."""
    trace = stacktraces.parse(failure.stacktrace) or _inside(failure.message)
    kind = _error_type(failure, trace)
    parts, why = _by_frames(failure, trace, kind) if trace else _by_name(failure, kind) or _by_text(failure, kind)
    signature = str(why["signature"])[:SIGNATURE]
    key = hashlib.blake2b(json.dumps([failure.scope, *parts], ensure_ascii=True).encode(), digest_size=16).hexdigest()
    return Fingerprint(CURRENT, key, signature, {**why, "signature": signature}, _features(failure, trace, kind))


VERSIONS: dict[str, Callable[[Failure], Fingerprint]] = {CURRENT: _of_2026_11_22}


def _inside(message: str) -> stacktraces.Trace | None:
    """Return a trace that the message itself begins with; one further down belongs to the report around it."""
    start = message.lstrip()[:200].split("\n")[0]
    if "\n" not in message or not stacktraces.is_header(start):
        return None
    return stacktraces.parse(message)


def _error_type(failure: Failure, trace: stacktraces.Trace | None) -> str:
    """Return the type of the root cause, without its package: wrapping an error does not change what went wrong."""
    named = (trace.root.type if trace else "") or failure.error_type or (trace.errors[0].type if trace else "")
    short = normalise.mask(named.strip()).split("\n")[0]
    return short.replace("\\", ".").replace("::", ".").rsplit(".", 1)[-1].strip()[:120] or short[:120]


def in_app(trace: stacktraces.Trace) -> tuple[frames.Frame, ...]:
    """Return the application's frames on the way to the root cause, without immediate repeats (recursion).

    A test's own frames count where the test itself raised: there the check that failed is the identity, not what called it.
    """
    path = [f for f in trace.path() if f.in_app]
    chosen = path if path and path[0].test else [f for f in path if not f.test]
    return tuple(f for n, f in enumerate(chosen) if n == 0 or f.name != chosen[n - 1].name)


def _by_frames(failure: Failure, trace: stacktraces.Trace, kind: str) -> tuple[list[object], dict[str, Any]]:
    own, said = in_app(trace), normalise.headline(trace.root.message or failure.message)
    if own:
        names = [f.name for f in own[:KEY_FRAMES]]
        tests = own[0].test
        signature = f"{kind or 'Failure'} in {names[0]}"
        rule = "test frames" if tests else "in-app frames"
        parts: list[object] = ["frames", kind, names, said if tests else ""]
    else:
        names = [f.name for f in trace.path()[:3]]
        signature, rule = f"{kind or 'Failure'}: {said}" if said else f"{kind or 'Failure'} in {names[0]}", "library frames and message"
        parts = ["library", kind, names, said]
    why: dict[str, Any] = {"rule": rule, "language": trace.language, "error_type": kind, "frames": names, "signature": signature}
    if len(trace.errors) > 1:
        why["wrapped_by"] = [e.type for e in trace.errors[:-1] if e.type]
    return parts, why


def named(title: str) -> int:
    """Return how many words of a masked title say what failed, placeholders left out."""
    return len({w for w in normalise.words(normalise.without_placeholders(title)) if len(w) > 2})


def _by_name(failure: Failure, kind: str) -> tuple[list[object], dict[str, Any]] | None:
    """Let the name decide where a tool of a known kind gave one that tells: an alert or ticket at its place, a check with its first line.

    What an alert says below its name is this time's figures; what a check says is which of its assertions broke.
    """
    if not failure.title or (not failure.kind and failure.message.strip()):
        return None
    if not failure.message.strip():
        title = normalise.mask_but_names(failure.title).strip()
        if failure.stacktrace.strip() or not title:
            return None
        return ["bare name", failure.kind, kind, failure.service, title.lower()], _why("name", kind, title)
    title = normalise.mask(failure.title).strip()
    check = failure.kind == "check"
    if not title or (not check and (not failure.service or named(title) < TELLING)):
        return None
    if check:
        said = normalise.headline(failure.message)
        return ["check", kind, title.lower(), said], {**_why("check and its first line", kind, title), "line": said}
    return ["named", failure.kind, kind, failure.service, title.lower()], {**_why("name and place", kind, title), "place": failure.service}


def _why(rule: str, kind: str, signature: str) -> dict[str, Any]:
    return {"rule": rule, "error_type": kind, "signature": signature}


def _by_text(failure: Failure, kind: str) -> tuple[list[object], dict[str, Any]]:
    title = normalise.mask(failure.title).strip()
    lines = normalise.lines(failure.message or failure.stacktrace)
    if not any(c.isalnum() for c in title) and not lines:
        said = (failure.message or failure.title or failure.stacktrace).strip()[:200]
        rule, signature = "error type only" if kind else "nothing to go by", kind or normalise.mask(said) or "empty failure"
        return ["nothing", kind, normalise.mask(said)], {"rule": rule, "error_type": kind, "signature": signature}
    if title and lines and lines[0].lower() != title.lower():
        rule, signature = "name and message", title
    elif lines:
        rule, signature = "message", lines[0]
    else:
        rule, signature = "name", title
    return ["text", kind, title.lower(), list(lines)], {"rule": rule, "error_type": kind, "lines": list(lines[:5]), "signature": signature}


def _features(failure: Failure, trace: stacktraces.Trace | None, kind: str) -> Features:
    path = trace.path() if trace else ()
    own = in_app(trace) if trace else ()
    ticket = trace is None and bool(failure.title)
    at = failure.occurred_at
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return Features(
        frames=tuple(f.name for f in (own or path)[:24]),
        tests=tuple(dict.fromkeys(f.name for f in path if f.test))[:8],
        lines=normalise.lines(failure.message, most=40),
        words=tuple(normalise.words(f"{failure.title} {normalise.mask(failure.message[:6000])}")[:300]),
        heading=prose.terms(failure.title) if ticket else (),
        body=prose.terms(failure.message) if ticket else (),
        differs=differences.of(failure.message),
        numbers=normalise.numbers(failure.message.lstrip()[:300].split("\n")[0]),
        title=(normalise.mask if failure.message.strip() or trace else normalise.mask_but_names)(failure.title)[:300],
        error_type=kind,
        service=normalise.mask(failure.service)[:200],
        kind=failure.kind[:40],
        at=at.timestamp() if at is not None else None,
    )
