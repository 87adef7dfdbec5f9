"""Destinations: sealed at rest, shown without secrets, changed without entering secrets again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from everfix.core.crypto import BadEnvelope
from everfix.core.outbound import Guard
from everfix.delivery import destinations
from everfix.delivery.envelope import BULLETS
from everfix.errors import Invalid, Malformed, NotFound, Outbound
from tests import delivering, make

HOOK = {"url": "https://hooks.example/in", "secret": "s3cr3t-value", "headers": {"X-Team": "shop", "Authorization": "Bearer abc"}}
MAIL = {"fromEmail": "Ops <ops@shop.example>", "recipients": ["anna@shop.example"]}


def change(workspace: make.Workspace, found: Any, **given: Any) -> destinations.Destination:
    with workspace.db() as db:
        return destinations.change(db, workspace.installation.keys, Guard(), workspace.principal, found, **given)


def opened(workspace: make.Workspace, found: Any) -> dict[str, Any]:
    with workspace.db() as db:
        return destinations._opened(db, workspace.installation.keys, destinations.get(db, found))


def test_secrets_are_not_in_the_database_and_not_shown(alice: make.Workspace) -> None:
    place = delivering.destination(alice, "webhook", HOOK)
    with alice.db() as db:
        found = destinations.get(db, place)
        shown = destinations.redacted(db, alice.installation.keys, found)
        raw = bytes(db.execute(text("SELECT sealed FROM destinations")).scalar_one())
        row = str(db.execute(text("SELECT * FROM destinations")).one())
    assert b"s3cr3t" not in raw
    assert "s3cr3t" not in row
    assert shown == {"url": HOOK["url"], "secret": BULLETS, "headers": {"X-Team": BULLETS, "Authorization": BULLETS}}
    assert (found.summary, BULLETS) == ("hooks.example", "••••••••")


def test_an_envelope_opens_in_its_own_row_only(alice: make.Workspace, bob: make.Workspace) -> None:
    one, two = (delivering.destination(alice, "webhook", HOOK, name=name) for name in ("one", "two"))
    with alice.db() as db:
        db.execute(
            text("UPDATE destinations SET sealed = (SELECT sealed FROM destinations WHERE id = :one) WHERE id = :two"),
            {"one": one, "two": two},
        )
    with alice.db() as db, pytest.raises(Outbound, match="cannot be opened"):
        destinations.redacted(db, alice.installation.keys, destinations.get(db, two))
    with pytest.raises(BadEnvelope):
        alice.installation.keys.unseal("destination", f"{bob.id}/{one}", b"\x01" + bytes(200))
    with bob.db() as db, pytest.raises(NotFound):
        destinations.get(db, one)


def test_bullets_leave_secrets_and_unsent_fields_stay(alice: make.Workspace) -> None:
    place = delivering.destination(alice, "webhook", HOOK)
    change(alice, place, config={"url": "https://other.example/", "secret": BULLETS, "headers": {"X-Team": BULLETS, "X-New": "1"}})
    assert opened(alice, place) == {"url": "https://other.example/", "secret": "s3cr3t-value", "headers": {"X-Team": "shop", "X-New": "1"}}
    change(alice, place, config={"secret": "new"})
    assert opened(alice, place)["secret"] == "new"
    change(alice, place, config={"secret": None})
    assert "secret" not in opened(alice, place)
    assert opened(alice, place)["url"] == "https://other.example/"
    assert change(alice, place, name="  Renamed  ", enabled=False).name == "Renamed"


@pytest.mark.parametrize(
    ("kind", "config", "field"),
    [
        ("webhook", {}, "config.url"),
        ("webhook", {"url": "http://hooks.example/"}, "config.url"),
        ("webhook", {"url": "ftp://hooks.example/"}, "config.url"),
        ("webhook", {"url": "https://"}, "config.url"),
        ("webhook", {"url": "nonsense"}, "config.url"),
        ("webhook", {"url": 5}, "config.url"),
        ("webhook", {"url": "https://x.example", "headers": {"Host": "y"}}, "config.headers"),
        ("webhook", {"url": "https://x.example", "headers": {"X-A": "a\r\nX-B: b"}}, "config.headers"),
        ("webhook", {"url": "https://x.example", "headers": {"X A": "a"}}, "config.headers"),
        ("webhook", {"url": "https://x.example", "colour": "red"}, "config.colour"),
        ("ops_email", {"recipients": ["anna@shop.example"]}, "config.fromEmail"),
        ("ops_email", {"fromEmail": "ops@shop.example"}, "config.recipients"),
        ("ops_email", {"fromEmail": "ops@shop.example", "recipients": []}, "config.recipients"),
        ("ops_email", {"fromEmail": "ops@shop.example", "recipients": ["nobody"]}, "config.recipients.0"),
        ("ops_email", {**MAIL, "replyTo": "x"}, "config.replyTo"),
        ("ops_email", {**MAIL, "smtpUrl": "http://x"}, "config.smtpUrl"),
        ("ops_email", {**MAIL, "fromEmail": "Ops\r\nBcc: x <ops@shop.example>"}, "config.fromEmail"),
    ],
)
def test_a_config_that_does_not_fit(alice: make.Workspace, kind: str, config: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        delivering.destination(alice, kind, config)
    assert field in caught.value.details


def test_an_error_never_repeats_a_secret(alice: make.Workspace) -> None:
    with pytest.raises(Invalid) as caught:
        delivering.destination(alice, "ops_email", {**MAIL, "smtpUrl": "http://user:pa55word@x"})
    assert "pa55word" not in str(caught.value) + str(caught.value.details)


def test_names_and_kinds(alice: make.Workspace) -> None:
    with pytest.raises(Malformed, match="no kind"):
        delivering.destination(alice, "pager", {})
    for name in ("", "   ", "x" * 121):
        with pytest.raises(Invalid) as caught:
            delivering.destination(alice, "webhook", HOOK, name=name)
        assert "name" in caught.value.details
    delivering.destination(alice, "webhook", HOOK, name="x" * 120)
    with alice.db() as db:
        assert [len(found.name) for found in destinations.listed(db, kind="webhook", enabled=True)] == [120]
        assert destinations.listed(db, kind="slack") == []
