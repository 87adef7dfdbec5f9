"""Circuit breakers: whatever keeps failing is left alone for a while and then tried once. A row each, so that all workers share them.

closed ──▶ open           THRESHOLD failures in a row
open ──▶ half_open        its wait is over; one caller is let through, the probe
half_open ──▶ closed      the probe succeeds (as any success closes a breaker)
half_open ──▶ open        the probe fails: twice the wait, up to LONGEST_SECONDS, and never less than the other side asked for
half_open ──▶ half_open   the probe is not heard of for LEASE_SECONDS (its worker was killed): another one is let through
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import CheckConstraint, Index, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, ids
from everfix.core.db import Base, Json, WorkspaceRow

THRESHOLD = 5
FIRST_SECONDS, LONGEST_SECONDS = 60.0, 1_800.0
LONGEST_ASKED_SECONDS = 6 * 3_600.0  # a Retry-After beyond this is not waited for in full
LEASE_SECONDS = 180.0  # longer than any call takes
REMEMBERED = 50  # changes of state that a breaker remembers


class State(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclasses.dataclass(frozen=True, slots=True)
class Circuit:
    """What decides whether a call goes through. `openings` counts since it last was closed; `retry_at` is when the next one may try."""

    state: State = State.CLOSED
    failures: int = 0
    openings: int = 0
    retry_at: datetime | None = None
    probe: str | None = None


CLOSED = Circuit()


def asked(circuit: Circuit, who: str, now: datetime) -> tuple[Circuit, bool]:
    """Return whether `who` may call now, and what that makes of the breaker."""
    if circuit.state == State.CLOSED or (circuit.state == State.HALF_OPEN and circuit.probe == who):
        return circuit, True
    if circuit.retry_at is not None and now < circuit.retry_at:
        return circuit, False
    lease = now + timedelta(seconds=LEASE_SECONDS)
    return dataclasses.replace(circuit, state=State.HALF_OPEN, probe=who, retry_at=lease), True


def failed(circuit: Circuit, now: datetime, wait: float | None = None) -> Circuit:
    """Return the breaker after one more failure; `wait` is the seconds that the other side asked for."""
    counted = dataclasses.replace(circuit, failures=circuit.failures + 1)
    if circuit.state == State.OPEN or (circuit.state == State.CLOSED and counted.failures < THRESHOLD):
        return counted  # open already: the call was under way when it opened
    own = min(FIRST_SECONDS * 2.0 ** min(circuit.openings, 20), LONGEST_SECONDS)
    seconds = max(own, min(wait or 0.0, LONGEST_ASKED_SECONDS))
    return dataclasses.replace(
        counted, state=State.OPEN, openings=circuit.openings + 1, retry_at=now + timedelta(seconds=seconds), probe=None
    )


def given_back(circuit: Circuit, who: str, now: datetime) -> Circuit:
    """Return the breaker after a probe that made no call: the next one may try at once."""
    if circuit.state != State.HALF_OPEN or circuit.probe != who:
        return circuit
    return dataclasses.replace(circuit, state=State.OPEN, retry_at=now, probe=None)


class Breaker(WorkspaceRow, Base):
    """One breaker, and its last changes of state. `name` is for programs, `title` for people; `holds`: somebody waits for it to close."""

    __tablename__ = "breakers"
    __table_args__ = (
        Index("uq_breakers_name", "workspace_id", "name", unique=True),
        CheckConstraint("state IN ('closed', 'open', 'half_open')", name="state"),
    )

    name: Mapped[str]
    title: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=State.CLOSED)
    failures: Mapped[int] = mapped_column(server_default="0")
    openings: Mapped[int] = mapped_column(server_default="0")
    retry_at: Mapped[datetime | None]
    probe: Mapped[str | None]
    cause: Mapped[str] = mapped_column(server_default="")
    holds: Mapped[bool] = mapped_column(server_default="false")
    changed_at: Mapped[datetime]
    history: Mapped[list[Json]] = mapped_column(server_default="[]")

    @property
    def circuit(self) -> Circuit:
        """What decides."""
        return Circuit(State(self.state), self.failures, self.openings, self.retry_at, self.probe)

    def become(self, new: Circuit, cause: str = "") -> None:
        """Take over what was decided; a change of state is remembered with its cause."""
        if new.state != self.state:
            self.changed_at = clock.now()
            self.history = [*self.history, {"at": self.changed_at.isoformat(), "state": str(new.state), "cause": cause[:300]}][-REMEMBERED:]
        self.state, self.failures, self.openings = new.state, new.failures, new.openings
        self.retry_at, self.probe = new.retry_at, new.probe


def find(db: Session, name: str, *, lock: bool = False) -> Breaker | None:
    """Return one breaker, or None where nothing ever failed; with `lock` nobody else changes it until the transaction ends."""
    query = select(Breaker).where(Breaker.name == name).execution_options(populate_existing=True)
    return db.execute(query.with_for_update() if lock else query).scalar_one_or_none()


def ask(db: Session, name: str, who: str) -> Breaker | None:
    """Return the breaker that does not let `who` call now; None when the call may be made."""
    found = find(db, name)
    if found is None or found.state == State.CLOSED:
        return None  # without a lock: what works is not slowed down
    found = find(db, name, lock=True)
    if found is None:
        return None
    new, allowed = asked(found.circuit, who, clock.now())
    found.become(new, "its wait was over")
    return None if allowed else found


def note_failure(db: Session, name: str, title: str, cause: str, wait: float | None = None) -> Breaker:
    """Count a failure and return the breaker, which may have opened."""
    fresh = {"id": ids.new(), "name": name, "title": title, "changed_at": clock.now()}
    db.execute(insert(Breaker).values(**fresh).on_conflict_do_nothing(index_elements=["workspace_id", "name"]))
    found = find(db, name, lock=True)
    if found is None:
        raise LookupError(f"the breaker {name} was removed at this moment")
    found.title, found.cause = title, cause[:300]
    found.become(failed(found.circuit, clock.now(), wait), cause)
    return found


def note_success(db: Session, name: str, why: str = "a call went through") -> Breaker | None:
    """Close the breaker; returns it when somebody waited for that, else None."""
    found = find(db, name)
    if found is None or found.circuit == CLOSED:
        return None
    found = find(db, name, lock=True)
    if found is None:
        return None
    waited, found.holds = found.holds, False
    found.become(CLOSED, why)
    return found if waited else None


def give_back(db: Session, name: str, who: str) -> None:
    """Let the next one try at once: `who` was the probe and made no call."""
    found = find(db, name)
    if found is not None and found.state == State.HALF_OPEN and (found := find(db, name, lock=True)) is not None:
        found.become(given_back(found.circuit, who, clock.now()), "the probe made no call")
