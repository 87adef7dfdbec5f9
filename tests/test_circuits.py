"""D70: a destination that keeps failing is left alone and tried once in a while; its deliveries are held in words, and none is lost."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from everfix.core import breakers, outbound
from everfix.core.breakers import Breaker
from everfix.delivery import circuits, destinations, on_demand, outbox, send
from everfix.delivery.outbox import Delivery
from everfix.metrics import periods, query
from tests import conftest, delivering, make, sinks
from tests.test_web import Person

DOWN, UP = sinks.Answer(503, b"away"), sinks.Answer()


class Scene:
    """A workspace whose webhook `place` fails, until it is said otherwise."""

    def __init__(self, here: make.Workspace, sink: sinks.Sink, time: conftest.Clock) -> None:
        self.here, self.sink, self.time = delivering.reaching(here), sink, time
        self.place = delivering.destination(self.here, "webhook", {"url": f"{sink.url}/in"}, name="Hook")
        sink.answers = [DOWN]

    def send(self, count: int = 1) -> list[UUID]:
        return [row for _ in range(count) for row in delivering.send(self.here, chosen=[self.place])]

    def breaks(self) -> None:
        """Have five deliveries fail once; they wait for their second try."""
        self.send(breakers.THRESHOLD)
        self.here.work_once()

    def rows(self) -> list[Delivery]:
        query = select(Delivery).where(Delivery.channel == "webhook")  # mail tells the owner
        with self.here.db() as db:
            return list(db.execute(query.order_by(Delivery.created_at, Delivery.id)).scalars())

    def breaker(self) -> Breaker:
        with self.here.db() as db:
            found = breakers.find(db, circuits.of(self.place))
            assert found is not None
            return found

    def statuses(self) -> list[str]:
        return [row.status for row in self.rows()]

    def passes(self, seconds: float) -> int:
        """Let time pass, look for probes, and do what is queued once."""
        self.time.at += timedelta(seconds=seconds)
        done = circuits.tick(self.here.installation, self.time.at)
        self.here.work_once()
        return done


@pytest.fixture
def scene(alice: make.Workspace, time: conftest.Clock) -> Iterator[Scene]:
    with sinks.http() as sink:
        yield Scene(alice, sink, time)


def test_d70_held_in_words_probed_once_and_let_go_together(scene: Scene) -> None:
    scene.breaks()
    late = scene.send(2)
    scene.here.work_once()
    assert scene.statuses() == ["held"] * 7, "whatever asks while the breaker is open is held"
    assert len(scene.sink.got) == breakers.THRESHOLD
    held = delivering.row(scene.here, late[0])
    assert held.attempts == 0, "what is held uses up no try"
    until = scene.time.at + timedelta(seconds=60)
    assert held.next_try_at == until
    assert outbox.needs_words(held) == (
        "The webhook call to Hook waits: Hook failed 5 times in a row (127.0.0.1 answered 503: away);"
        f" next try at {until:%Y-%m-%d %H:%M} UTC."
    )
    assert scene.passes(59) == 0
    assert scene.passes(1) == 1, "one probe, the oldest"
    assert len(scene.sink.got) == breakers.THRESHOLD + 1
    again = delivering.row(scene.here, late[0])
    assert again.next_try_at == scene.time.at + timedelta(seconds=120)
    assert "failed 6 times in a row" in again.reason, "those held hear of each probe"
    scene.here.work_once()
    scene.sink.answers = [UP]
    scene.passes(120)
    scene.here.work_once()
    assert scene.statuses() == ["sent"] * 7
    assert len(scene.sink.got) == breakers.THRESHOLD + 2 + 6, "each once after the probe"
    breaker = scene.breaker()
    assert (breaker.state, breaker.failures, breaker.holds) == ("closed", 0, False)
    assert [change["state"] for change in breaker.history] == ["open", "half_open", "open", "half_open", "closed"]
    assert breaker.history[0]["cause"] == "127.0.0.1 answered 503: away"


def test_d70_operations_shows_each_state_in_its_colour_with_history(scene: Scene) -> None:
    scene.breaks()
    scene.here.work_once()
    period = periods.last(7, scene.time.at + timedelta(seconds=1), "UTC")
    with scene.here.db() as db:
        breakers.note_failure(db, "mail", "The mail server", "it cannot be reached")
        (hook, mail) = query.records(db, "circuit_breakers", period)
        (change,) = query.records(db, "breaker_changes", period)
    assert (hook["breaker"], hook["state"], hook["failures"], hook["held"]) == ("Hook", "open", 5, 5)
    assert (mail["breaker"], mail["state"], mail["failures"], mail["held"]) == ("The mail server", "closed", 1, 0)
    assert (change["breaker"], change["state"], change["cause"]) == ("Hook", "open", "127.0.0.1 answered 503: away")
    scene.here.learn(*make.failures("database", (1,)))
    viewer = Person(scene.here.client).enter(scene.here.secrets["viewer"])
    made = viewer.page("/dashboards/operations")
    shown = re.findall(r'<span class="pill ([\w-]+)">([^<]*)</span>', made)
    assert {("is-open", "open"), ("is-closed", "closed")} <= set(shown), shown
    assert "cannot be reached" in made
    with scene.here.db() as db:
        found = breakers.find(db, circuits.of(scene.place), lock=True)
        assert found is not None
        found.become(breakers.asked(found.circuit, "probe", scene.time.at + timedelta(days=1))[0])
    assert 'class="pill is-half-open">half open<' in viewer.page("/dashboards/operations")


def test_d70_a_breaker_is_one_workspaces_own(scene: Scene, bob: make.Workspace) -> None:
    scene.breaks()
    other = Scene(bob, scene.sink, scene.time)
    (row,) = other.send()
    other.here.work_once()
    assert delivering.row(other.here, row).attempts == 1


def test_a_probe_whose_worker_was_killed_is_followed_by_another(scene: Scene) -> None:
    scene.breaks()
    scene.here.work_once()
    scene.time.at += timedelta(seconds=60)
    assert circuits.tick(scene.here.installation, scene.time.at) == 1
    with scene.here.db() as db:  # taken, and never heard of again
        (probe,) = [row.id for row in scene.rows() if row.status == "queued"]
        assert isinstance(send._take(db, scene.here.id, scene.here.installation, probe, send.ATTEMPTS), send.Taken)
    assert circuits.tick(scene.here.installation, scene.time.at + timedelta(seconds=breakers.LEASE_SECONDS - 1)) == 0
    scene.sink.answers = [UP]
    assert scene.passes(breakers.LEASE_SECONDS) == 1
    scene.here.work()
    assert scene.statuses() == ["sent"] * 5, "the lost one, too"


def test_many_workers_send_one_probe(scene: Scene) -> None:
    scene.breaks()
    scene.here.work_once()
    scene.time.at += timedelta(seconds=60)
    done: list[int] = []

    def look() -> None:
        done.append(circuits.tick(scene.here.installation, scene.time.at))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 0, 0, 1]


def test_a_probe_that_ends_without_a_call_makes_room_at_once(scene: Scene) -> None:
    scene.breaks()
    scene.here.work_once()
    with scene.here.db() as db:
        outbox.get(db, scene.rows()[0].id).message_id = None
    scene.sink.answers = [UP]
    assert scene.passes(60) == 1
    assert scene.statuses() == ["failed", "held", "held", "held", "held"]
    assert scene.passes(0) == 1
    scene.here.work()
    assert scene.statuses() == ["failed", *["sent"] * 4]


@pytest.mark.parametrize("how", ["changed", "tested", "deleted"])
def test_a_person_who_acts_on_the_destination_need_not_wait(scene: Scene, how: str) -> None:
    scene.breaks()
    scene.here.work_once()
    scene.sink.answers = [UP]
    here, installation = scene.here, scene.here.installation
    if how == "changed":
        with here.db() as db:
            guard = outbound.guard(installation.settings)
            destinations.change(db, installation.keys, guard, here.principal, scene.place, config={"url": f"{scene.sink.url}/new"})
    elif how == "tested":
        given: dict[str, Any] = {"kind": "test", "subject": "x", "paragraphs": ["x"]}
        (row,) = on_demand.now(installation.database, installation, here.principal, scene.place, **given)
        assert row.status == "sent"
    else:
        with here.db() as db:
            destinations.delete(db, here.principal, scene.place)
            assert breakers.find(db, circuits.of(scene.place)) is None
    here.work()
    assert set(scene.statuses()) == ({"failed"} if how == "deleted" else {"sent"})


def test_what_was_held_for_a_day_ends_and_its_owner_is_told(scene: Scene) -> None:
    scene.breaks()
    (row,) = scene.send()
    scene.here.work_once()
    scene.time.at += circuits.HELD_LONGEST
    (fresh,) = scene.send()
    scene.here.work_once()  # it is let through, in vain
    assert delivering.row(scene.here, fresh).attempts == 1
    assert scene.passes(breakers.LONGEST_SECONDS) >= breakers.THRESHOLD + 1
    scene.here.work_once()
    done = delivering.row(scene.here, row)
    assert (done.status, done.reason) == ("failed", "its destination did not come back within 24 hours")
    assert done.told_at is not None
    assert delivering.row(scene.here, fresh).status in ("held", "queued")


def test_only_a_server_that_is_unwell_counts(scene: Scene) -> None:
    """Greylisting and refusals of one recipient say nothing against the server; a server that closes does."""
    with sinks.mail() as mail:
        here = delivering.reaching(scene.here, smtp=mail.url)
        for words, state in (("450 4.2.0 greylisted", None), ("550 5.1.1 unknown", None), ("421 4.7.0 busy", "open")):
            mail.refuse = lambda step, _text, words=words: words if step == "rcpt" else None  # type: ignore[misc]
            for place in range(breakers.THRESHOLD):
                delivering.send(here, [f"a{place}@shop.example"])
            here.work_once()
            with here.db() as db:
                found = breakers.find(db, "mail")
                assert (found.state if found else None) == state, words


def test_a_retry_after_is_kept_by_the_breaker(scene: Scene) -> None:
    scene.sink.answers = [sinks.Answer(429, b"", {"Retry-After": "900"})]
    scene.breaks()
    at: datetime | None = scene.breaker().retry_at
    assert at == scene.time.at + timedelta(seconds=900)
