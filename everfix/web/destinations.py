"""Destinations: set up once, tried with a button, used by reports and alerts; secrets are written, never shown."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from starlette.responses import Response

from everfix import deps
from everfix.core import ids, outbound
from everfix.delivery import channels, destinations, on_demand, outbox
from everfix.delivery.destinations import Destination
from everfix.delivery.envelope import BULLETS, Channel
from everfix.delivery.outbox import Delivery
from everfix.errors import EverfixError, Invalid, NotFound
from everfix.identity.principals import Scope
from everfix.web import session, shell, shown
from everfix.web.deliveries import PILLS
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind's form. `kind` is text, secret, list (one per line) or headers (`Name: value` per line)."""

    key: str
    label: str
    hint: str = ""
    kind: str = "text"
    needed: bool = False


FORMS: dict[str, tuple[Field, ...]] = {
    "slack": (
        Field("webhookUrl", "Incoming webhook URL", "https://hooks.slack.com/services/… (or a bot token below)", "secret"),
        Field("botToken", "Bot token", "xoxb-…; with it files are uploaded, and schedules can name channel ids", "secret"),
        Field("channel", "Channel id", "C012AB3CD; needed with a bot token, to use this as a destination of its own"),
    ),
    "teams": (Field("webhookUrl", "Incoming webhook or workflow URL", "https://…", "secret", needed=True),),
    "webhook": (
        Field("url", "URL", "https://…", needed=True),
        Field("secret", "Secret", "Signs each body, so that the receiver can tell who sent it", "secret"),
        Field("headers", "Headers of your own", "One per line, as Name: value", "headers"),
    ),
    "ops_email": (
        Field("fromEmail", "From", "Everfix <reports@example.com>", needed=True),
        Field("recipients", "Recipients", "One address per line", "list", needed=True),
        Field("replyTo", "Reply to", "Where answers go"),
        Field("smtpUrl", "Own mail server", "smtps://user:password@host; default: the server's EVERFIX_SMTP_URL", "secret"),
    ),
    "pagerduty": (Field("integrationKey", "Integration key", "Of an Events API v2 integration, 32 characters", "secret", needed=True),),
    "apprise": (Field("url", "Apprise URL", "e.g. tgram://bottoken/ChatID", "secret", needed=True),),
}


@router.get("/settings/integrations")
@router.get("/settings/destinations")
def listed(visit: session.sees(Scope.REPORTS_READ)) -> Response:  # type: ignore[valid-type]
    """The destinations, and what became of the last message to each."""
    rows = destinations.listed(visit.db)
    last = _last(visit, [row.id for row in rows])
    return shell.page(
        visit,
        "destinations/page.html",
        rows=[
            {
                "id": ids.show(ids.Prefix.DESTINATION, row.id),
                "name": row.name,
                "title": row.channel.title,
                "summary": row.summary,
                "enabled": row.enabled,
                "last": last.get(row.id),
            }
            for row in rows
        ],
        kinds=[(made.kind, made.title) for made in channels.CHANNELS.values()],
    )


@router.get("/settings/destinations/new")
def new(visit: session.sees(Scope.WEBHOOKS_ADMIN), kind: Annotated[str, Query(max_length=40)] = "") -> Response:  # type: ignore[valid-type]
    """The form of a new destination of a kind."""
    if kind not in FORMS:
        return shell.go("/settings/destinations")
    return _form(visit, channels.get(kind), None, {"name": "", "enabled": "on"}, None)


@router.post("/settings/destinations")
def create(visit: session.changes(Scope.WEBHOOKS_ADMIN), keys: deps.SigningKeys, settings: deps.Config, given: session.Given) -> Response:  # type: ignore[valid-type]
    """Set up a destination, or show its form again with what is wrong."""
    channel = channels.get(given.get("kind", ""))
    guard = outbound.guard(settings)
    try:
        config = _config(channel.kind, given)
        made = destinations.create(visit.db, keys, guard, visit.who, kind=channel.kind, name=given.get("name", ""), config=config)
    except Invalid as problem:
        return _form(visit, channel, None, given, problem)
    return shell.go(f"/settings/destinations/{ids.show(ids.Prefix.DESTINATION, made.id)}?saved=true")


@router.get("/settings/destinations/{destination_id}")
def one(
    visit: session.sees(Scope.WEBHOOKS_ADMIN),  # type: ignore[valid-type]
    keys: deps.SigningKeys,
    destination_id: str,
    saved: Annotated[str, Query(max_length=5)] = "",
) -> Response:
    """One destination: its form without secrets, the Test button, and the last messages."""
    row = _get(visit, destination_id)
    config = destinations.redacted(visit.db, keys, row)
    given = {field.key: _text(field, config.get(field.key)) for field in FORMS[row.kind]}
    given |= {"name": row.name, "enabled": "on" if row.enabled else ""}
    return _form(visit, row.channel, row, given, None, saved=bool(saved))


@router.post("/settings/destinations/{destination_id}")
def change(
    visit: session.changes(Scope.WEBHOOKS_ADMIN),  # type: ignore[valid-type]
    keys: deps.SigningKeys,
    settings: deps.Config,
    destination_id: str,
    given: session.Given,
) -> Response:
    """Keep changes, or show the form again with what is wrong."""
    row = _get(visit, destination_id)
    guard = outbound.guard(settings)
    try:
        config = {field.key: None for field in FORMS[row.kind]} | _config(row.kind, given)  # an emptied field is taken away
        enabled = bool(given.get("enabled"))
        destinations.change(visit.db, keys, guard, visit.who, row.id, name=given.get("name", ""), enabled=enabled, config=config)
    except Invalid as problem:
        return _form(visit, row.channel, row, given, problem)
    return shell.go(f"/settings/destinations/{destination_id}?saved=true")


@router.post("/settings/destinations/{destination_id}/test")
def test(visit: session.changes(Scope.WEBHOOKS_ADMIN), installation: deps.Installed, destination_id: str) -> Response:  # type: ignore[valid-type]
    """Queue a test message; the page shows what becomes of it."""
    row = _get(visit, destination_id)
    on_demand.test(visit.db, installation, visit.who, row.id)
    if shell.is_partial(visit.request):
        return _latest(visit, row)
    return shell.go(f"/settings/destinations/{destination_id}")


@router.get("/settings/destinations/{destination_id}/latest")
def latest(visit: session.sees(Scope.WEBHOOKS_ADMIN), destination_id: str) -> Response:  # type: ignore[valid-type]
    """The last messages to a destination, asked for again while one is on its way."""
    if not shell.is_partial(visit.request):
        return shell.go(f"/settings/destinations/{destination_id}")
    return _latest(visit, _get(visit, destination_id))


@router.post("/settings/destinations/{destination_id}/delete")
def delete(visit: session.changes(Scope.WEBHOOKS_ADMIN), destination_id: str) -> Response:  # type: ignore[valid-type]
    """Remove a destination."""
    destinations.delete(visit.db, visit.who, _get(visit, destination_id).id)
    return shell.go("/settings/destinations")


def _get(visit: Visit, text: str) -> Destination:
    wanted = shell.shown_id(ids.Prefix.DESTINATION, text)
    if wanted is None:
        raise NotFound("there is no such destination")
    return destinations.get(visit.db, wanted)


def _config(kind: str, given: dict[str, str]) -> Json:
    """Return the config that a form holds; raises Invalid for a header line without a colon."""
    return {field.key: _value(field, given[field.key]) for field in FORMS[kind] if given.get(field.key)}


def _value(field: Field, text: str) -> Any:  # noqa: ANN401 - JSON
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if field.kind == "list":
        return lines
    if field.kind != "headers":
        return text
    wrong = [line for line in lines if ":" not in line]
    if wrong:
        raise Invalid(f"{wrong[0][:60]!r} is no header", details={f"config.{field.key}": "one per line, as Name: value"})
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _text(field: Field, value: Any) -> str:  # noqa: ANN401 - JSON
    if value is None:
        return ""
    if field.kind == "list":
        return "\n".join(value)
    return "\n".join(f"{name}: {text}" for name, text in value.items()) if field.kind == "headers" else str(value)


def _form(
    visit: Visit,
    channel: Channel,
    row: Destination | None,
    given: dict[str, str],
    problem: EverfixError | None,
    *,
    saved: bool = False,
) -> Response:
    wrong = {key.removeprefix("config.").partition(".")[0]: text for key, text in (problem.details if problem else {}).items()}
    return shell.page(
        visit,
        "destinations/form.html",
        status=problem.status if problem else 200,
        channel=channel,
        row=None if row is None else {"id": ids.show(ids.Prefix.DESTINATION, row.id), "name": row.name},
        fields=[
            {
                "key": field.key,
                "label": field.label,
                "hint": field.hint,
                "kind": field.kind,
                "needed": field.needed,
                "value": given.get(field.key, ""),
                "wrong": wrong.get(field.key, ""),
            }
            for field in FORMS[channel.kind]
        ],
        given={"name": "", "enabled": "", **given},
        wrong={"name": "", **wrong},
        problem="" if problem is None else problem.message,
        bullets=BULLETS,
        saved=saved,
        latest=[] if row is None else _messages(visit, row),
    )


def _latest(visit: Visit, row: Destination) -> Response:
    named = {"id": ids.show(ids.Prefix.DESTINATION, row.id), "name": row.name}
    return shell.page(visit, "destinations/latest.html", row=named, latest=_messages(visit, row))


def _messages(visit: Visit, row: Destination) -> list[Json]:
    reader = shown.Reader.of(visit.here)
    query = select(Delivery).where(Delivery.destination_id == row.id).order_by(Delivery.id.desc()).limit(5)
    return [
        {
            "status": one.status,
            "pill": PILLS.get(one.status, ""),
            "words": outbox.needs_words(one),
            "at": reader.moment(one.created_at),
            "active": one.status not in outbox.FINAL,
        }
        for one in visit.db.execute(query).scalars()
    ]


def _last(visit: Visit, wanted: list[Any]) -> dict[Any, Json]:
    query = select(Delivery).where(Delivery.destination_id.in_(wanted)).ext(distinct_on(Delivery.destination_id))
    found = visit.db.execute(query.order_by(Delivery.destination_id, Delivery.id.desc())).scalars()
    return {
        row.destination_id: {"status": row.status, "pill": PILLS.get(row.status, ""), "words": outbox.needs_words(row)} for row in found
    }
