"""The state machine of circuit breakers, by its laws: whatever happens, in whatever order, at whatever time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from everfix.core import breakers
from everfix.core.breakers import CLOSED, LEASE_SECONDS, LONGEST_ASKED_SECONDS, LONGEST_SECONDS, THRESHOLD, State

CALLERS = st.sampled_from("abc")


class Laws(RuleBasedStateMachine):
    """Callers ask, succeed, fail, turn back and die, while time passes; a model counts beside the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.circuit, self.row = datetime(2026, 11, 25, tzinfo=UTC), CLOSED, 0
        self.probes: list[tuple[str, datetime]] = []  # who was let through since it last was not half open, and when

    @rule(seconds=st.sampled_from([0.0, 1.0, 59.0, 61.0, 181.0, 3_000.0, 40_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(who=CALLERS)
    def asks(self, who: str) -> None:
        before = self.circuit
        self.circuit, allowed = breakers.asked(before, who, self.now)
        again = breakers.asked(self.circuit, who, self.now)
        assert again == (self.circuit, allowed), "who asks twice hears the same"
        if before.state == State.CLOSED:
            assert (allowed, self.circuit) == (True, before)
        elif allowed and before.probe != who:
            assert before.retry_at is not None
            assert before.retry_at <= self.now, "nobody gets through before the wait, or the lease, is over"
            self.probes = [(name, at) for name, at in self.probes if at > self.now - timedelta(seconds=LEASE_SECONDS)]
            assert self.probes == [], "one probe at a time"
            self.probes.append((who, self.now))
        elif not allowed:
            assert self.circuit == before
            assert before.retry_at is not None
            assert breakers.asked(before, who, before.retry_at)[1], "nobody waits longer than it says"

    @rule(wait=st.none() | st.floats(0, 1e9))
    def fails(self, wait: float | None) -> None:
        before = self.circuit
        self.circuit = breakers.failed(before, self.now, wait)
        self.row += 1
        if before.state == State.OPEN:
            assert self.circuit.retry_at == before.retry_at, "what was under way when it opened prolongs nothing"
        elif self.circuit.state == State.OPEN:
            self.probes = []
            assert before.state == State.HALF_OPEN or self.row >= THRESHOLD
            assert self.circuit.retry_at is not None
            lasts = (self.circuit.retry_at - self.now).total_seconds()
            assert breakers.FIRST_SECONDS <= lasts <= max(LONGEST_SECONDS, LONGEST_ASKED_SECONDS)
            assert lasts >= min(wait or 0.0, LONGEST_ASKED_SECONDS), "the other side's wish is kept"
        else:
            assert self.row < THRESHOLD

    @rule()
    def succeeds(self) -> None:
        self.circuit, self.row, self.probes = CLOSED, 0, []

    @rule(who=CALLERS)
    def turns_back(self, who: str) -> None:
        before = self.circuit
        self.circuit = breakers.given_back(before, who, self.now)
        if self.circuit != before:
            assert before.probe == who
            assert breakers.asked(self.circuit, "another", self.now)[1], "the next one need not wait"
            self.probes = []

    @invariant()
    def holds_together(self) -> None:
        state, probe, retry_at = self.circuit.state, self.circuit.probe, self.circuit.retry_at
        assert (probe is not None) == (state == State.HALF_OPEN)
        assert (retry_at is None) == (state == State.CLOSED)
        assert self.circuit.failures == self.row


TestLaws = Laws.TestCase
TestLaws.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_each_failed_probe_doubles_the_wait_up_to_the_longest() -> None:
    now, circuit, waits = datetime(2026, 11, 25, tzinfo=UTC), CLOSED, []
    for _ in range(THRESHOLD - 1):
        circuit = breakers.failed(circuit, now)
    assert circuit.state == State.CLOSED
    for _ in range(8):
        circuit = breakers.failed(circuit, now)
        assert circuit.retry_at is not None
        waits.append((circuit.retry_at - now).total_seconds())
        now = circuit.retry_at
        circuit, allowed = breakers.asked(circuit, "probe", now)
        assert allowed
    assert waits == [60, 120, 240, 480, 960, 1_800, 1_800, 1_800]
