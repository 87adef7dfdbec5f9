"""Preferences: what a recipient wants, without an account; the signed link in each mail leads here.

Looking changes nothing (mail scanners open links); a POST does, and one from a mail program's own button (RFC 8058) unsubscribes at once.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix import deps
from everfix.core import clock
from everfix.core.db import enter
from everfix.delivery import preferences
from everfix.delivery.messages import Message
from everfix.delivery.outbox import Delivery
from everfix.delivery.preferences import Frequency, Named, Preference
from everfix.errors import Invalid, NotFound
from everfix.identity.workspaces import Workspace
from everfix.web import shell, shown

router = APIRouter(include_in_schema=False)
ONE_CLICK = "One-Click"
FREQUENCIES = {Frequency.EACH: "Each by itself", Frequency.DAILY: "One mail a day", Frequency.WEEKLY: "One mail a week"}
PAUSES = {1: "1 day", 7: "1 week", 28: "4 weeks"}


@router.get("/preferences/{token}")
def look(request: Request, db: deps.Db, keys: deps.SigningKeys, token: str) -> Response:
    """Show what the recipient has chosen."""
    named, here = _who(db, keys, token)
    return _page(request, db, named, here, token, done="")


@router.post("/preferences/{token}")
def choose(
    request: Request,
    db: deps.Db,
    keys: deps.SigningKeys,
    token: str,
    one_click: Annotated[str, Form(alias="List-Unsubscribe", max_length=40)] = "",
    action: Annotated[str, Form(max_length=40)] = "",
    scope: Annotated[str, Form(pattern="^(one|all)$")] = "one",
) -> Response:
    """Keep a choice."""
    named, here = _who(db, keys, token)
    if one_click == ONE_CLICK:
        preferences.choose(db, named, unsubscribed=True)
        return _page(request, db, named, here, token, done="You are unsubscribed.")
    everything = scope == "all" or named.schedule is None
    return _page(request, db, named, here, token, done=_keep(db, named, action, everything=everything))


def _keep(db: Session, named: Named, action: str, *, everything: bool) -> str:
    word, _, value = action.partition(":")
    if word == "frequency" and value in set(Frequency):
        preferences.choose(db, named, everything=everything, frequency=Frequency(value))
        return f"Kept: {FREQUENCIES[Frequency(value)].lower()}."
    if word == "pause" and value in {str(days) for days in preferences.SNOOZES}:
        preferences.choose(db, named, everything=everything, snooze_days=int(value))
        return f"Paused for {PAUSES[int(value)]}."
    if word == "resume":
        preferences.choose(db, named, everything=everything, snooze_days=0, unsubscribed=False)
        return "Mail comes again."
    if word == "unsubscribe":
        preferences.choose(db, named, everything=everything, unsubscribed=True)
        return "You are unsubscribed."
    raise Invalid(f"{action!r} is no choice", details={"action": "frequency:…, pause:…, resume or unsubscribe"})


def _who(db: Session, keys: deps.SigningKeys, token: str) -> tuple[Named, Workspace]:
    named = preferences.read(keys, token)
    enter(db, named.workspace)
    here = db.execute(select(Workspace)).scalar_one_or_none()
    if here is None:
        raise NotFound("this link leads to a workspace that is gone: nothing is sent from it any more")
    return named, here


def _page(request: Request, db: Session, named: Named, here: Workspace, token: str, *, done: str) -> Response:
    for_all, for_one = preferences.of(db, named)
    return shell.plain(
        request,
        "preferences/page.html",
        named=named,
        workspace=here.name,
        subject=_subject(db, named),
        choices=[("one", _state(for_one, here))] * (named.schedule is not None) + [("all", _state(for_all, here))],
        frequencies=[(f"frequency:{key.value}", name, key) for key, name in FREQUENCIES.items()],
        pauses=[(f"pause:{days}", name) for days, name in PAUSES.items()],
        token=token,
        done=done,
    )


def _subject(db: Session, named: Named) -> str:
    query = (
        select(Message.subject)
        .join(Delivery, Delivery.message_id == Message.id)
        .where(Delivery.recipient == named.recipient, Delivery.schedule_id == named.schedule)
        .order_by(Delivery.id.desc())
        .limit(1)
    )
    return db.execute(query).scalar_one_or_none() or "This report"


def _state(row: Preference | None, here: Workspace) -> dict[str, object]:
    paused = row is not None and row.snoozed_until is not None and row.snoozed_until > clock.now()
    until = shown.Reader.of(here).moment(row.snoozed_until) if paused and row and row.snoozed_until else ""
    off = row is not None and row.unsubscribed_at is not None
    return {"frequency": row.frequency if row else Frequency.EACH, "until": until, "off": off}
