"""What `bench.scale` asks: every documented filter, sort and search of the lists, the pages of one thing, and the acts of triage."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import urlencode
from uuid import UUID

from bench import scale_fill
from everfix.core import ids

SORTS = ("risk_score", "ingested_at", "source_created_at", "severity", "status", "updated_at", "created_at", "occurred_at")


@dataclass(frozen=True, slots=True)
class Call:
    """One request. An act has two bodies that take turns, so that each round changes something."""

    name: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    method: str = "GET"
    bodies: Sequence[object] = ()

    @property
    def address(self) -> str:
        """The path with its query."""
        return (
            f"{self.path}?{urlencode({key: str(value).lower() if isinstance(value, bool) else value for key, value in self.query.items()})}"
        )


class Client:
    """One connection, one request at a time."""

    def __init__(self, port: int, token: str) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def time(self, call: Call, rounds: int) -> tuple[float, float, float]:
        """Return the least, the median and the 99th percentile of so many rounds, in milliseconds; one round before is not counted."""
        found = sorted([self._once(call, number) for number in range(rounds + 1)][1:])
        return found[0], found[len(found) // 2], found[min(len(found) - 1, int(len(found) * 0.99))]

    def _once(self, call: Call, number: int) -> float:
        body = json.dumps(call.bodies[number % len(call.bodies)]) if call.bodies else None
        began = time.perf_counter()
        self.connection.request(call.method, call.address, body, self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        taken = (time.perf_counter() - began) * 1000
        if answer.status >= 300:
            raise RuntimeError(f"{call.method} {call.address} answered {answer.status}: {content[:300]!r}")
        return taken


def every(filled: scale_fill.Filled) -> Iterator[Call]:
    """Yield every call."""
    yield from _issue_lists(filled)
    yield from _searches()
    yield from _other_lists()
    yield from _pages(filled)
    yield from _acts(filled)


def _issue(number: int) -> str:
    return ids.show(ids.Prefix.ISSUE, UUID(f"{scale_fill.ISSUE}{number:012x}"))


def _pattern(number: int) -> str:
    return ids.show(ids.Prefix.PATTERN, UUID(f"{scale_fill.PATTERN}{number:012x}"))


def _issue_lists(filled: scale_fill.Filled) -> Iterator[Call]:
    filters: dict[str, Any] = {
        "status": "open,in_loop", "severity": "p1", "kind": "defect", "analysis_status": "pending", "source": "sentry", "team": "team-4",
        "service": "service-6", "linked": False, "risk_min": 95, "risk_max": 3, "date_from": "2026-01-01T00:00:00Z",
        "date_to": "2026-10-01T00:00:00Z", "pattern_id": _pattern(0), "assignee_id": ids.show(ids.Prefix.USER, UUID(filled.user)),
    }  # fmt: skip
    yield Call("issues", "/v1/issues")
    yield Call("issues limit=100", "/v1/issues", {"limit": 100})
    yield from (Call(f"issues {name}={str(value)[:24]}", "/v1/issues", {name: value}) for name, value in filters.items())
    yield Call("issues pattern_id, a small one", "/v1/issues", {"pattern_id": _pattern(filled.patterns - 2)})
    yield Call("issues kind=incident,check", "/v1/issues", {"kind": "incident,check"})
    yield Call("issues linked=true", "/v1/issues", {"linked": True})
    yield Call("issues source=nothing there", "/v1/issues", {"source": "github"})
    yield from (Call(f"issues sort={sign}{name}", "/v1/issues", {"sort": sign + name}) for name in SORTS for sign in ("", "-"))
    many = {"status": "open", "severity": "p1", "sort": "-risk_score"}
    yield Call("issues status, severity, sort=-risk_score", "/v1/issues", many)
    yield Call(
        "issues status, kind, team, sort=-occurred_at",
        "/v1/issues",
        {"status": "open", "kind": "check", "team": "team-4", "sort": "-occurred_at"},
    )
    yield Call(
        "issues kind, linked, risk_min, sort=severity", "/v1/issues", {"kind": "check", "linked": False, "risk_min": 90, "sort": "severity"}
    )
    yield Call(
        "issues severity, dates, sort=-risk_score",
        "/v1/issues",
        {"severity": "p1", "date_from": "2026-10-01T00:00:00Z", "sort": "-risk_score"},
    )


def _searches() -> Iterator[Call]:
    words = {
        "in all": "timeout order",
        "in few": "node4242",
        "in one hundredth": "step-12",
        "begin of a word": "node4",
        "in none": "nowhere",
    }
    yield from (Call(f"issues q, {name}", "/v1/issues", {"q": said}) for name, said in words.items())
    yield Call("issues q, words of one", "/v1/issues", {"q": "node4242 timeout of step while writing order"})
    yield Call("issues q, in all, sort=-risk_score", "/v1/issues", {"q": "timeout order", "sort": "-risk_score"})
    yield Call("issues q, in few, status=open", "/v1/issues", {"q": "node4242", "status": "open"})
    yield Call("issues q, in all, status=open, severity=p1", "/v1/issues", {"q": "timeout", "status": "open", "severity": "p1"})


def _other_lists() -> Iterator[Call]:
    for name in ("risk_score", "issue_count", "last_seen_at", "created_at"):
        yield from (Call(f"patterns sort={sign}{name}", "/v1/patterns", {"sort": sign + name}) for sign in ("", "-"))
    filters = {"status": "active", "q": "step-99", "domain": "domain-2", "risk_min": 90, "risk_max": 5}
    yield from (Call(f"patterns {name}={value}", "/v1/patterns", {name: value}) for name, value in filters.items())
    yield Call("predictions", "/v1/predictions")
    yield Call("predictions min_probability=0.8", "/v1/predictions", {"min_probability": 0.8})
    yield Call("recommendations", "/v1/recommendations")
    yield Call("recommendations type, impact", "/v1/recommendations", {"type": "process", "impact": "high"})


def _pages(filled: scale_fill.Filled) -> Iterator[Call]:
    small = _pattern(filled.patterns - 2)
    for name, pattern in (("pattern, the largest", _pattern(0)), ("pattern, a small one", small)):
        yield Call(name, f"/v1/patterns/{pattern}")
        yield Call(f"{name}: members", f"/v1/patterns/{pattern}/members")
        yield Call(f"{name}: frequency", f"/v1/patterns/{pattern}/frequency", {"window": "90d"})
    yield Call("issue", f"/v1/issues/{_issue(400)}")
    yield Call("issue: activity", f"/v1/issues/{_issue(400)}/activity")
    yield Call("issue: similar", f"/v1/issues/{_issue(400)}/similar")


def _acts(filled: scale_fill.Filled) -> Iterator[Call]:
    """Yield acts on issues of the largest pattern; links are made of a failure with some dozens of equals, which all go over."""
    issue, user = f"/v1/issues/{_issue(400)}", ids.show(ids.Prefix.USER, UUID(filled.user))
    yield Call("triage: status there and back", issue, {}, "PATCH", ({"status": "in_loop"}, {"status": "open"}))
    yield Call("triage: severity", issue, {}, "PATCH", ({"severity": "p3"}, {"severity": "p4"}))
    yield Call("triage: assign", issue, {}, "PATCH", ({"assignee_id": user}, {"assignee_id": None}))
    yield Call("triage: comment", f"{issue}/comments", {}, "POST", ({"body": "one"}, {"body": "two"}))
    for many in (25, 100):
        some = [_issue(10 * number) for number in range(1, many + 1)]
        yield Call(
            f"triage: severity of {many}",
            "/v1/issues/bulk",
            {},
            "POST",
            [{"ids": some, "op": "severity", "value": f"p{n}"} for n in (2, 3)],
        )
        yield Call(
            f"triage: assign {many}", "/v1/issues/bulk", {}, "POST", [{"ids": some, "op": "assign", "value": who} for who in (user, None)]
        )
    there, back = _pattern(filled.patterns - 4), _pattern(filled.patterns - 2)
    yield Call(
        "triage: link",
        f"/v1/issues/{ids.show(ids.Prefix.ISSUE, UUID(filled.single))}/link-pattern",
        {},
        "POST",
        ({"pattern_id": there}, {"pattern_id": back}),
    )
    yield Call("triage: pattern's status", f"/v1/patterns/{there}", {}, "PATCH", ({"status": "mitigating"}, {"status": "active"}))
    yield Call("triage: watch", f"/v1/patterns/{_pattern(0)}/watch", {}, "POST", ({},))
