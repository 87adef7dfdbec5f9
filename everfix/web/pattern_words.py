"""Words on a pattern by forms: merge, split and detach with what they would move shown first, undo, closing, watching."""

from __future__ import annotations

from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import AfterValidator
from sqlalchemy import select
from starlette.responses import Response

from everfix.core import clock, fields, ids
from everfix.errors import Invalid, NotFound
from everfix.failures import closures, patterns, previews, regrouping, watches
from everfix.failures.corrections import Correction
from everfix.failures.patterns import Pattern
from everfix.failures.regrouping import Wish
from everfix.identity.principals import Scope
from everfix.ingest.events import Issue
from everfix.web import picking, session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
MEMBERS, WORDS = 50, 20
KINDS = ("merge", "split", "detach")
Word = Annotated[str, AfterValidator(fields.storable), Form(max_length=200)]
Reason = Annotated[str, AfterValidator(fields.storable), Form(max_length=500)]


@router.post("/patterns/{pattern_id}/words")
def say(
    visit: session.changes(Scope.PATTERNS_WRITE),  # type: ignore[valid-type]
    pattern_id: str,
    kind: Word,
    source: Word = "",
    chosen: Annotated[list[str] | None, Form()] = None,
    name: Word = "",
    reason: Reason = "",
    sure: Word = "",
) -> Response:
    """Merge, split or detach; first how many failures it would move, and once that is confirmed, the word itself."""
    pattern = _pattern(visit, pattern_id)
    if kind not in KINDS:
        raise Invalid(f"{kind[:20]!r} is no word", details={"kind": f"one of {', '.join(KINDS)}"})
    members = [_id(ids.Prefix.ISSUE, text, "chosen") for text in chosen or []]
    other = picking.chosen(visit.db, source, "source") if kind == "merge" else None
    if kind != "merge" and not members:
        raise Invalid("choose failures first", details={"chosen": "one or more failures of this pattern"})
    if not sure:
        would = previews.of(visit.db, source=other or pattern.id, target=pattern.id if other else None, issue_ids=members)
        held = {"kind": kind, "source": ids.show(ids.Prefix.PATTERN, other) if other else "", "name": name, "reason": reason}
        title = patterns.get(visit.db, other).name if other else ""
        return shell.page(
            visit, "patterns/preview.html", pattern=pattern, would=would, held=held, chosen=chosen or [], other=title, parts=len(members),
            large=regrouping.LARGE,
        )  # fmt: skip
    wish = Wish(
        cast("regrouping.Act", kind), pattern.id, other, tuple(members), name=name.strip() if kind == "split" else "", reason=reason.strip()
    )
    regrouping.say(visit.db, wish, by=visit.who)
    return shell.go(f"/patterns/{pattern.id}#words")


@router.post("/patterns/{pattern_id}/words/{correction_id}/undo")
def undo(visit: session.changes(Scope.PATTERNS_WRITE), pattern_id: str, correction_id: str) -> Response:  # type: ignore[valid-type]
    """Take a word back."""
    pattern, wanted = _pattern(visit, pattern_id), shell.shown_id(ids.Prefix.CORRECTION, correction_id)
    if wanted is None:
        raise NotFound(f"no correction {correction_id[:60]!r}")
    regrouping.say(visit.db, Wish("undo", pattern.id, undone=wanted), by=visit.who)
    return shell.go(f"/patterns/{pattern.id}#words")


@router.get("/patterns/{pattern_id}/regrouping")
def under_way(visit: session.sees(Scope.PATTERNS_READ), pattern_id: str) -> Response:  # type: ignore[valid-type]
    """How far the words are that move many failures; once none is under way, the page is to be read anew."""
    pattern = _pattern(visit, pattern_id)
    found = regrouping.under_way(visit.db, pattern.id)
    answer = shell.page(visit, "patterns/regrouping.html", pattern=pattern, regroupings=found)
    if all(one.error is not None for one in found):
        answer.headers["HX-Refresh"] = "true"
    return answer


@router.post("/patterns/{pattern_id}/close")
def close(
    visit: session.changes(Scope.PATTERNS_WRITE),  # type: ignore[valid-type]
    pattern_id: str,
    note: Annotated[fields.text(5_000, 1), Form()],  # type: ignore[valid-type]
) -> Response:
    """Note how the pattern was closed; it is resolved once it has been silent for the proof window."""
    pattern = _pattern(visit, pattern_id)
    closures.close(visit.db, pattern.id, note, by=visit.who)
    return shell.go(f"/patterns/{pattern.id}#closing")


@router.post("/patterns/{pattern_id}/watch")
def watch(visit: session.changes(Scope.PATTERNS_READ), pattern_id: str, watching: Word = "") -> Response:  # type: ignore[valid-type]
    """Hear of this pattern, or no longer."""
    pattern = _pattern(visit, pattern_id)
    (watches.begin if watching == "yes" else watches.end)(visit.db, pattern.id, by=visit.who)
    return shell.go(f"/patterns/{pattern.id}")


def _pattern(visit: Visit, text: str) -> Pattern:
    found = shell.shown_id(ids.Prefix.PATTERN, text)
    if found is None:
        raise NotFound(f"no pattern {text[:60]!r}")
    return patterns.get(visit.db, found)


def _id(prefix: ids.Prefix, text: str, field: str) -> UUID:
    found: UUID | None = shell.shown_id(prefix, text)
    if found is None:
        raise Invalid(
            f"{text[:60]!r} is no id" if text else f"choose a {field}", details={field: f"an id that begins with {prefix.value}_"}
        )
    return found


def of(visit: Visit, pattern: Pattern) -> Json:
    """Return what the page of a pattern shows for corrections, closing and watching."""
    reader = shown.Reader.of(visit.here)
    watching, watchers = watches.of(visit.db, pattern.id, visit.who.actor_id)
    may, missing = closures.proven(visit.db, pattern, clock.now())
    about = (Correction.source_id == pattern.id) | (Correction.target_id == pattern.id)
    said = visit.db.execute(select(Correction).where(about).order_by(Correction.number.desc()).limit(WORDS)).scalars()
    newest = select(Issue).where(Issue.pattern_id == pattern.id).order_by(Issue.occurred_at.desc(), Issue.id).limit(MEMBERS)
    return {
        "watching": watching,
        "watchers": watchers,
        "person": visit.who.kind == "user",
        "missing": "" if may else missing,
        "into": ids.show(ids.Prefix.PATTERN, pattern.merged_into) if pattern.merged_into else "",
        "regroupings": regrouping.under_way(visit.db, pattern.id),
        "words": [
            {
                "id": ids.show(ids.Prefix.CORRECTION, row.id),
                "kind": row.kind,
                "moved": row.moved,
                "reason": row.reason,
                "by": row.said_by,
                "at": reader.moment(row.said_at),
                "back": f"taken back by {row.revoked_by}, {reader.moment(row.revoked_at)}" if row.revoked_at else "",
            }
            for row in said
        ],
        "parting": [
            (ids.show(ids.Prefix.ISSUE, one.id), one.title, reader.moment(one.occurred_at)) for one in visit.db.execute(newest).scalars()
        ],
    }
