"""The ledger: a row before any work, one per slot and recipient, an end in words, and never a second message by another key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from everfix import audit
from everfix.core import ids, jobs, outbound
from everfix.delivery import destinations, messages, outbox, send, targets
from everfix.delivery.envelope import Target
from everfix.delivery.outbox import Status
from everfix.errors import Conflict, Invalid
from tests import delivering, make, sinks

SLOT = datetime(2026, 3, 16, 9, 0, tzinfo=UTC)
ANNA, BEN = Target("mail", "anna@shop.example", "anna@shop.example"), Target("mail", "ben@shop.example", "ben@shop.example")


def test_planning_a_slot_twice_gives_the_same_rows(alice: make.Workspace) -> None:
    schedule = ids.new()
    with alice.db() as db:
        first = outbox.plan(db, [ANNA, BEN], schedule=schedule, slot=SLOT)
    with alice.db() as db:
        second = outbox.plan(db, [BEN, ANNA, ANNA], schedule=schedule, slot=SLOT)
        later = outbox.plan(db, [ANNA], schedule=schedule, slot=SLOT + timedelta(days=7))
    assert [row.id for row in second] == [first[1].id, first[0].id]
    assert later[0].key not in {row.key for row in first}
    assert {row.status for row in first} == {"planned"}


def test_a_key_depends_on_slot_and_recipient_only(alice: make.Workspace, bob: make.Workspace) -> None:
    schedule = ids.new()
    keys = []
    for workspace in (alice, bob):
        with workspace.db() as db:
            keys.append(outbox.plan(db, [ANNA], schedule=schedule, slot=SLOT)[0].key)
    assert keys[0] == keys[1] == outbox.key(f"{schedule}|{SLOT.isoformat()}", ANNA)


def test_release_queues_one_job_per_row_and_only_once(alice: make.Workspace) -> None:
    with alice.db() as db:
        rows = outbox.plan(db, [ANNA, BEN], run=ids.new())
        said = messages.write(db, kind="report", subject="Weekly\n failures")
        assert said.subject == "Weekly failures"
        assert len(outbox.release(db, rows, said.id)) == 2
        assert outbox.release(db, rows, said.id) == []
    with alice.db() as db:
        queued = db.execute(select(jobs.Job.payload).where(jobs.Job.kind == "delivery.send")).scalars().all()
    assert sorted(item["delivery"] for item in queued) == sorted(str(row.id) for row in rows)


@pytest.mark.parametrize(("verb", "status"), [(outbox.skip, "skipped"), (outbox.fail, "failed"), (outbox.hold, "held")])
def test_settling_needs_a_reason_and_touches_only_what_waits(alice: make.Workspace, verb: object, status: str) -> None:
    settle = {outbox.skip: outbox.skip, outbox.fail: outbox.fail, outbox.hold: outbox.hold}[verb]  # type: ignore[index]
    with alice.db() as db:
        rows = outbox.plan(db, [ANNA, BEN], run=ids.new())
        with pytest.raises(ValueError, match="reason"):
            settle(db, rows, " ")
        settle(db, rows[:1], "the data are stale")
        assert (rows[0].status, rows[0].reason) == (status, "the data are stale")
        assert (rows[0].finished_at is None) == (status == "held")
        outbox.fail(db, rows[1:], "gone")
        assert settle(db, rows[1:], "again") == []
        assert rows[1].reason == "gone"


def test_what_is_held_can_be_released(alice: make.Workspace) -> None:
    with alice.db() as db:
        rows = outbox.hold(db, outbox.plan(db, [ANNA], run=ids.new()), "the data are stale")
        assert "waits: the data are stale" in outbox.needs_words(rows[0])
        assert outbox.release(db, rows, messages.write(db, kind="report", subject="x").id) == rows
        assert (rows[0].status, rows[0].reason) == ("queued", "")


def test_only_what_failed_is_sent_again_and_under_the_same_key(alice: make.Workspace) -> None:
    with sinks.http() as sink:
        here = delivering.reaching(alice)
        place = delivering.destination(here, "webhook", {"url": sink.url})
        sink.answers = [sinks.Answer(403, b"no"), sinks.Answer()]
        (row,) = delivering.send(here, chosen=[place])
        here.work()
        with here.db() as db:
            failed = outbox.get(db, row)
            assert failed.status == "failed"
            assert "403" in outbox.needs_words(failed)
            outbox.resend(db, row, here.principal)
        here.work()
        with here.db() as db:
            assert outbox.get(db, row).status == "sent"
            with pytest.raises(Conflict, match="only what failed"):
                outbox.resend(db, row, here.principal)
            actions = set(db.execute(select(audit.Entry.action)).scalars())
        assert {"delivery.failed", "delivery.resent"} <= actions
        keys = [got.headers["idempotency-key"] for got in sink.got]
        assert len(keys) == 2
        assert keys[0] == keys[1] == failed.key


def test_a_report_that_was_never_made_cannot_be_resent(alice: make.Workspace) -> None:
    with alice.db() as db:
        (row,) = outbox.fail(db, outbox.plan(db, [ANNA], run=ids.new()), "the report could not be made: a column is gone")
        assert outbox.needs_words(row).endswith("Run the report again.")
        with pytest.raises(Conflict, match="nothing to send again"):
            outbox.resend(db, row.id, alice.principal)


def test_a_passing_failure_is_tried_again_and_the_wait_grows(alice: make.Workspace) -> None:
    with sinks.http() as sink:
        here = delivering.reaching(alice)
        place = delivering.destination(here, "webhook", {"url": sink.url})
        sink.answers = [sinks.Answer(503, headers={"Retry-After": "120"}), sinks.Answer(500), sinks.Answer()]
        (row,) = delivering.send(here, chosen=[place])
        here.work_once()
        first = delivering.row(here, row)
        assert (first.status, first.attempts) == ("queued", 1)
        assert first.next_try_at is not None
        assert timedelta(seconds=110) < first.next_try_at - datetime.now(UTC) <= timedelta(seconds=120)
        assert "will be tried again" in outbox.needs_words(first)
        here.work()
        done = delivering.row(here, row)
        assert (done.status, done.attempts, [item["outcome"] for item in done.tries]) == ("sent", 3, ["not taken", "not taken", "sent"])
        assert outbox.needs_words(done).endswith("was sent at try 3.")
        assert [got.headers["x-everfix-attempt"] for got in sink.got] == ["1", "2", "3"]


def test_it_gives_up_after_five_tries(alice: make.Workspace) -> None:
    with sinks.http() as sink:
        here = delivering.reaching(alice)
        place = delivering.destination(here, "webhook", {"url": sink.url})
        sink.answers = [sinks.Answer(503)]
        (row,) = delivering.send(here, chosen=[place])
        here.work()
        done = delivering.row(here, row)
        assert (done.status, done.attempts, len(sink.got)) == ("failed", 5, 5)
        assert "after 5 tries" in outbox.needs_words(done)


@pytest.mark.parametrize("sent_before_death", [True, False])
def test_a_worker_killed_in_mid_send(alice: make.Workspace, sent_before_death: bool) -> None:
    """Whether the other side took it is unknown: it is sent again under the same key, and the ledger says so."""
    with sinks.http() as sink:
        here = delivering.reaching(alice)
        place = delivering.destination(here, "webhook", {"url": sink.url})
        (row,) = delivering.send(here, chosen=[place])
        with here.db() as db:
            taken = send._take(db, here.id, here.installation, row, send.ATTEMPTS)
            assert isinstance(taken, send.Taken)
        if sent_before_death:
            taken.channel.send(taken.envelope)
        assert delivering.row(here, row).status == "sending"
        here.work()  # the job of the dead worker is taken over
        done = delivering.row(here, row)
        assert (done.status, [item["outcome"] for item in done.tries]) == ("sent", ["lost", "sent"])
        assert len({got.headers["idempotency-key"] for got in sink.got}) == 1
        assert len(sink.got) == 1 + sent_before_death


def test_a_worker_killed_at_every_try_ends_as_failed(alice: make.Workspace) -> None:
    with sinks.http() as sink:
        here = delivering.reaching(alice)
        (row,) = delivering.send(here, chosen=[delivering.destination(here, "webhook", {"url": sink.url})])
        for _ in range(send.ATTEMPTS):
            with here.db() as db:
                assert isinstance(send._take(db, here.id, here.installation, row, send.ATTEMPTS), send.Taken)
        here.work()
        done = delivering.row(here, row)
        assert done.status == "failed"
        assert "given up after 5 tries" in done.reason


def test_a_row_whose_job_died_of_our_own_fault_does_not_stay_sending(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    with sinks.http() as sink:
        here = delivering.reaching(alice)
        (row,) = delivering.send(here, chosen=[delivering.destination(here, "webhook", {"url": sink.url})])
        monkeypatch.setattr("everfix.delivery.webhook.payload", lambda _: 1 / 0)
        here.work()
        done = delivering.row(here, row)
        assert done.status == "failed"
        assert "ZeroDivisionError" in done.reason


def test_deleted_and_disabled_destinations(alice: make.Workspace) -> None:
    with sinks.http() as sink:
        here = delivering.reaching(alice)
        deleted, off = (delivering.destination(here, "webhook", {"url": sink.url}, name=name) for name in ("deleted", "off"))
        rows = delivering.send(here, chosen=[deleted, off])
        with here.db() as db:
            destinations.delete(db, here.principal, deleted)
            guard = outbound.guard(here.installation.settings)
            destinations.change(db, here.installation.keys, guard, here.principal, off, enabled=False)
        here.work()
        first, second = (delivering.row(here, row) for row in rows)
        assert (first.status, first.reason) == ("failed", "the destination was deleted")
        assert (second.status, second.reason) == ("skipped", "the destination off is switched off")
        assert sink.got == []


def test_targets_name_the_wrong_recipient(alice: make.Workspace) -> None:
    with alice.db() as db:
        assert targets.check(db, ["Anna@Shop.Example", "#C012AB3CD", "C012AB3CD", "Anna@shop.example"]) == [
            "Anna@shop.example",
            "C012AB3CD",
        ]
        for wrong in (
            "",
            "anna",
            "anna@",
            "@x",
            "a b@x.example",
            "anna@x..example",
            "anna@x.example\nBcc: b@x.example",
            "c012ab3cd",
            "x" * 300,
        ):
            with pytest.raises(Invalid) as caught:
                targets.check(db, ["ben@shop.example", wrong])
            assert "recipients" in caught.value.details


def test_one_person_gets_one_message(alice: make.Workspace) -> None:
    here = delivering.reaching(alice)
    place = delivering.destination(
        here, "ops_email", {"fromEmail": "ops@shop.example", "recipients": ["anna@shop.example", "ben@shop.example"]}
    )
    with here.db() as db:
        found = targets.of(db, here.installation.keys, outbound.guard(here.installation.settings), ["anna@shop.example"], [place])
    assert [(target.recipient, target.destination_id) for target in found] == [("anna@shop.example", None), ("ben@shop.example", place)]


def test_final_states_are_those_of_the_issue() -> None:
    assert {status.value for status in outbox.FINAL} == {"sent", "skipped", "failed"}
    assert set(Status) >= {Status.PLANNED, Status.HELD}
