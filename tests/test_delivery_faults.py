"""The fault matrix of delivery: whatever goes wrong, the ledger ends in a defined state, and says why in words."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from everfix.core import breakers, ids, outbound
from everfix.delivery import destinations, outbox, preferences, send
from everfix.delivery.preferences import Frequency, Named
from everfix.identity import workspaces
from tests import conftest, delivering, make, sinks


@dataclasses.dataclass
class World:
    """What a fault happens in: a workspace, an HTTP server, a mail server."""

    here: make.Workspace
    sink: sinks.Sink
    mail: sinks.MailSink
    patch: pytest.MonkeyPatch
    rows: list[UUID] = dataclasses.field(default_factory=list)

    def hook(self, **config: Any) -> UUID:
        return delivering.destination(self.here, "webhook", {"url": f"{self.sink.url}/in", **config}, name="Hook")

    def to_hook(self, **message: Any) -> None:
        self.rows = delivering.send(self.here, chosen=[self.hook()], **message)

    def to_mail(self, *people: str, **message: Any) -> None:
        self.rows = delivering.send(self.here, people or ["anna@shop.example"], **message)

    def with_settings(self, **settings: Any) -> None:
        self.here = delivering.reaching(self.here, **settings)

    def refuse(self, step: str, words: str) -> None:
        self.mail.refuse = lambda at, _text: words if at == step else None
        self.to_mail()


Arrange = Callable[[World], None]


def answer(status: int, body: bytes = b"no", **headers: str) -> Arrange:
    def arrange(world: World) -> None:
        world.sink.answers = [sinks.Answer(status, body, {name.replace("_", "-"): value for name, value in headers.items()})]
        world.to_hook()

    return arrange


def refused_connection(world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    place = delivering.destination(world.here, "webhook", {"url": f"http://127.0.0.1:{port}/"})
    world.rows = delivering.send(world.here, chosen=[place])


def unknown_name(world: World) -> None:
    world.rows = delivering.send(world.here, chosen=[delivering.destination(world.here, "webhook", {"url": "https://nowhere.invalid/"})])


def private_address(world: World) -> None:
    world.rows = delivering.send(world.here, chosen=[delivering.destination(world.here, "webhook", {"url": "https://10.1.2.3/"})])


def private_by_now(world: World) -> None:
    world.to_hook()
    world.with_settings(outbound_allow=())


def bad_tls(world: World) -> None:
    port = world.sink.url.rpartition(":")[2]
    world.rows = delivering.send(world.here, chosen=[delivering.destination(world.here, "webhook", {"url": f"https://127.0.0.1:{port}/"})])


def slow(world: World) -> None:
    world.patch.setattr(outbound.call, "__kwdefaults__", {**outbound.call.__kwdefaults__, "timeout": 0.2})  # type: ignore[dict-item]
    world.sink.answers = [sinks.Answer(wait=0.6)]
    world.to_hook()


def endless(status: int) -> Arrange:
    return answer(status, b"x" * (outbound.ANSWER_BYTES + 1))


def deleted(world: World) -> None:
    place = world.hook()
    world.rows = delivering.send(world.here, chosen=[place])
    with world.here.db() as db:
        destinations.delete(db, world.here.principal, place)


def deleted_before_planning(world: World) -> None:
    world.rows = delivering.send(world.here, chosen=[ids.new()])


def disabled(world: World) -> None:
    place = world.hook()
    world.rows = delivering.send(world.here, chosen=[place])
    with world.here.db() as db:
        guard = outbound.guard(world.here.installation.settings)
        destinations.change(db, world.here.installation.keys, guard, world.here.principal, place, enabled=False)


def failing_again_and_again(world: World) -> None:
    world.sink.answers = [sinks.Answer(503)]
    place = world.hook()
    for _ in range(breakers.THRESHOLD):
        delivering.send(world.here, chosen=[place])
    world.here.work_once()
    world.rows = delivering.send(world.here, chosen=[place])


def lost_key(world: World) -> None:
    world.to_hook()
    with world.here.db() as db:
        db.execute(text("UPDATE destinations SET sealed = sealed || '\\x00'::bytea"))


def dropped_recipient(world: World) -> None:
    config = {"fromEmail": "ops@shop.example", "recipients": ["anna@shop.example", "ben@shop.example"]}
    place = delivering.destination(world.here, "ops_email", config)
    world.rows = delivering.send(world.here, chosen=[place])
    with world.here.db() as db:
        guard = outbound.guard(world.here.installation.settings)
        given = {"recipients": ["ben@shop.example"]}
        destinations.change(db, world.here.installation.keys, guard, world.here.principal, place, config=given)


def other_domain(world: World) -> None:
    world.to_mail()
    with world.here.db() as db:
        workspaces.here(db).mail_domains = ["elsewhere.example"]


def chosen(**choice: Any) -> Arrange:
    def arrange(world: World) -> None:
        with world.here.db() as db:
            preferences.choose(db, Named(world.here.id, "mail", "anna@shop.example", None), everything=True, **choice)
        world.to_mail()
        if "frequency" in choice:
            with world.here.db() as db:
                db.execute(text("UPDATE deliveries SET schedule_id = :id, slot = now()"), {"id": ids.new()})

    return arrange


def dead_mail_server(world: World) -> None:
    world.with_settings(smtp="smtp://127.0.0.1:1")
    world.to_mail()


def no_mail_server(world: World) -> None:
    world.with_settings(smtp_url=None)
    world.to_mail()


def no_sender(world: World) -> None:
    world.with_settings(mail_from=None)
    world.to_mail()


def needs_tls(world: World) -> None:
    world.with_settings(smtp=world.mail.url.replace("smtp://", "smtp+starttls://"))
    world.to_mail()


def one_of_several(world: World) -> None:
    world.mail.refuse = lambda step, said: "550 5.1.1 no such user" if step == "rcpt" and said.startswith("ben") else None
    world.to_mail("ben@shop.example", "anna@shop.example")


def other_than_the_refused(world: World) -> None:
    one_of_several(world)
    world.rows.reverse()


def missing_file(world: World) -> None:
    item = delivering.artifact(world.here, "weekly.pdf", b"%PDF")
    world.to_mail(artifacts=[item.model_copy(update={"storage_key": f"{world.here.id}/gone"})])


def changed_file(world: World) -> None:
    item = delivering.artifact(world.here, "weekly.pdf", b"%PDF")
    world.to_mail(artifacts=[item.model_copy(update={"sha256": "0" * 64})])


def too_big(world: World) -> None:
    world.patch.setattr("everfix.delivery.files.MOST_BYTES", 100)
    world.to_mail(artifacts=[delivering.artifact(world.here, "weekly.pdf", bytes(500), file_id=ids.new())])


def channel_without_bot(world: World) -> None:
    world.rows = delivering.send(world.here, ["C012AB3CD"])


def killed(times: int) -> Arrange:
    def arrange(world: World) -> None:
        world.to_hook()
        for _ in range(times):
            with world.here.db() as db:
                assert isinstance(send._take(db, world.here.id, world.here.installation, world.rows[0], send.ATTEMPTS), send.Taken)

    return arrange


def our_own_fault(world: World) -> None:
    world.patch.setattr("everfix.delivery.webhook.payload", lambda _: 1 / 0)
    world.to_hook()


def never_made(world: World) -> None:
    world.to_hook()
    with world.here.db() as db:
        db.execute(text("UPDATE deliveries SET status = 'planned', message_id = NULL"))
        outbox.fail(db, [outbox.get(db, world.rows[0])], "the report could not be made: a column is gone")


MATRIX: tuple[tuple[str, Arrange, str, str], ...] = (
    ("429 with Retry-After", answer(429, Retry_After="30"), "queued", "answered 429: no"),
    ("500", answer(500), "queued", "answered 500"),
    ("503", answer(503), "queued", "answered 503"),
    ("408", answer(408), "queued", "answered 408"),
    ("400", answer(400), "failed", "answered 400"),
    ("404", answer(404), "failed", "answered 404"),
    ("410", answer(410), "failed", "answered 410"),
    ("redirect", answer(302, Location="http://10.0.0.1/"), "failed", "redirects elsewhere"),
    ("refused connection", refused_connection, "queued", "cannot be reached"),
    ("name not found", unknown_name, "queued", "cannot be resolved"),
    ("private address", private_address, "failed", "private address 10.1.2.3"),
    ("private since it was set up", private_by_now, "failed", "must be set up again"),
    ("no TLS on the other side", bad_tls, "queued", "cannot be reached"),
    ("slow server", slow, "queued", "did not answer within"),
    ("endless answer after acceptance", endless(200), "sent", "was sent"),
    ("endless refusal", endless(500), "failed", "more than 1,000,000 bytes"),
    ("destination deleted", deleted, "failed", "the destination was deleted"),
    ("destination deleted before", deleted_before_planning, "failed", "the destination was deleted"),
    ("destination switched off", disabled, "skipped", "is switched off"),
    ("destination fails again and again", failing_again_and_again, "held", "Hook failed 5 times in a row"),
    ("sealed config cannot be opened", lost_key, "failed", "EVERFIX_MASTER_KEY"),
    ("recipient taken off the list", dropped_recipient, "skipped", "no longer names this recipient"),
    ("domain not allowed", other_domain, "skipped", "sends no mail to this domain"),
    ("unsubscribed", chosen(unsubscribed=True), "skipped", "has unsubscribed"),
    ("snoozed", chosen(snooze_days=7), "skipped", "has paused mail until"),
    ("wants a digest", chosen(frequency=Frequency.DAILY), "held", "daily digest"),
    ("mail server dead", dead_mail_server, "queued", "cannot be reached"),
    ("no mail server", no_mail_server, "failed", "no mail server is set up"),
    ("no sender", no_sender, "failed", "mail has no sender"),
    ("mail server without TLS", needs_tls, "failed", "offers no TLS"),
    ("greylisted", lambda world: world.refuse("rcpt", "450 4.2.0 greylisted"), "queued", "greylisted"),
    ("mailbox full", lambda world: world.refuse("rcpt", "452 4.2.2 full"), "queued", "452 4.2.2"),
    ("too many connections", lambda world: world.refuse("mail", "421 4.7.0 busy"), "queued", "421 4.7.0"),
    ("no such user", lambda world: world.refuse("rcpt", "550 5.1.1 unknown"), "failed", "550 5.1.1 unknown"),
    ("called spam", lambda world: world.refuse("data", "554 5.7.1 spam"), "failed", "554 5.7.1 spam"),
    ("one of several refused", one_of_several, "failed", "refused ben@shop.example"),
    ("the others of several", other_than_the_refused, "sent", "was sent"),
    ("file gone", missing_file, "failed", "no longer kept"),
    ("file changed", changed_file, "failed", "SHA-256 differs"),
    ("files too big", too_big, "sent", "was sent"),
    ("channel id without a bot", channel_without_bot, "failed", "needs a Slack destination with a bot token"),
    ("worker killed once in mid-send", killed(1), "sent", "was sent at try 2"),
    ("worker killed at every try", killed(5), "failed", "given up after 5 tries"),
    ("our own fault", our_own_fault, "queued", "has not been sent yet"),
    ("report never made", never_made, "failed", "Run the report again"),
)


@pytest.fixture
def world(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    with sinks.http() as sink, sinks.mail() as mail:
        yield World(delivering.reaching(alice, smtp=mail.url), sink, mail, monkeypatch)


@pytest.mark.parametrize(("name", "arrange", "status", "words"), MATRIX, ids=[row[0] for row in MATRIX])
def test_a_fault_ends_in_a_state_and_in_words(world: World, name: str, arrange: Arrange, status: str, words: str) -> None:
    arrange(world)
    world.here.work_once()
    row = delivering.row(world.here, world.rows[0])
    seen = "queued" if (row.status, name) == ("sending", "our own fault") else row.status  # its job is tried again, and ends as failed
    assert seen == status, row.reason
    assert words in outbox.needs_words(row) + row.reason
    assert (row.finished_at is not None) == (status in outbox.FINAL)


def test_the_matrix_is_large_enough() -> None:
    assert len(MATRIX) >= 40
    assert len({row[0] for row in MATRIX}) == len(MATRIX)


def test_a_retry_after_is_kept(world: World, time: conftest.Clock) -> None:
    answer(429, Retry_After="90")(world)
    world.here.work_once()
    row = delivering.row(world.here, world.rows[0])
    assert row.next_try_at is not None
    assert (row.next_try_at - time.at).total_seconds() == 90
