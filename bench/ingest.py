"""Failures a second, accepted and through the whole loop, against Bugsink on the same failures."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import bugsink_server, everfix_server, failures, figures, load, peers

ROUNDS = 3  # of each contestant, taking turns; both databases grow from round to round
BATCHED, SINGLE, ENVELOPES = 4_000, 600, 500  # failures of one round
BATCH = 500
CONNECTIONS = 4
LIMIT = 150.0  # seconds that one round may take


def run() -> figures.Result:
    """Measure, in turns; the best round of each counts, since other work on the machine only ever slows one down."""
    result = figures.Result(
        "Ingest: failures of about 3 KB, accepted and through the loop",
        ("program", "accepted", "through the loop", "slowest round", "request p50", "request p99"),
    )
    sample = list(failures.stream(ROUNDS * (BATCHED + SINGLE)))
    rounds: dict[str, list[Round]] = {"batch": [], "single": [], "bugsink": []}
    with tempfile.TemporaryDirectory(prefix="everfix-bench-", ignore_cleanup_errors=True) as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        folder.chmod(0o755)  # the embedded database of a root user runs as another one
        ours = stack.enter_context(everfix_server.running(folder))
        try:
            peer = stack.enter_context(bugsink_server.running(folder))
        except peers.Missing as problem:
            result.missing.append(f"Bugsink: {problem}")
            peer = None
        for number in range(ROUNDS):
            _round(number, sample, ours, peer, rounds)
        _show(result, rounds, sample, ours, peer)
    return result


class Round:
    """One contestant's figures of one round, in failures a second."""

    def __init__(self, count: int, accepted: float, through: float, sent: load.Sent) -> None:
        self.accepted, self.through = count / accepted, count / through
        self.p50 = statistics.median(sent.seconds)
        self.p99 = sorted(sent.seconds)[int(len(sent.seconds) * 0.99)]


def _round(
    number: int,
    sample: Sequence[failures.Failure],
    ours: everfix_server.Everfix,
    peer: bugsink_server.Bugsink | None,
    rounds: dict[str, list[Round]],
) -> None:
    start = number * (BATCHED + SINGLE)
    many, few = sample[start : start + BATCHED], sample[start + BATCHED : start + BATCHED + SINGLE]
    for name, part, requests in (("batch", many, ours.batches(many, BATCH)), ("single", few, ours.singles(few))):
        rounds[name].append(_send(ours.port, requests, len(part), lambda part=part: _ours_done(ours, len(part))))
    if peer is not None:
        before = peer.digested()
        rounds["bugsink"].append(
            _send(peer.port, peer.envelopes(many[:ENVELOPES]), ENVELOPES, lambda: peer.wait(before + ENVELOPES, LIMIT))
        )


def _ours_done(ours: everfix_server.Everfix, count: int) -> None:
    ours.sent += count
    ours.wait(ours.sent, LIMIT)


def _send(port: int, requests: list[load.Request], count: int, finish: object) -> Round:
    with figures.clock() as through:
        with figures.clock() as accepted:
            sent = load.send(port, requests, CONNECTIONS)
        if sent.refused:
            raise RuntimeError(f"{len(sent.refused)} of {len(requests)} requests were refused, the first with {sent.refused[0]}")
        finish()  # type: ignore[operator]
    return Round(count, accepted[0], through[0], sent)


def _show(
    result: figures.Result,
    rounds: dict[str, list[Round]],
    sample: Sequence[failures.Failure],
    ours: everfix_server.Everfix,
    peer: bugsink_server.Bugsink | None,
) -> None:
    names = {"batch": f"Everfix, batches of {BATCH}", "single": "Everfix, one at a time", "bugsink": "Bugsink, one at a time"}
    best = {name: max(done, key=lambda one: one.through) for name, done in rounds.items() if done}
    for name, one in best.items():
        slowest = min(other.through for other in rounds[name])
        result.add(
            names[name],
            figures.per_second(max(other.accepted for other in rounds[name]), 1),
            figures.per_second(one.through, 1),
            figures.per_second(slowest, 1),
            f"{one.p50 * 1000:.0f} ms",
            f"{one.p99 * 1000:.0f} ms",
        )
    reached = best["batch"].through / best["bugsink"].through if "bugsink" in best else None
    result.goals.append(figures.Goal("through the loop, batches, against Bugsink digested", reached, 8.0, at_least=True))
    if "bugsink" in best:
        alone = best["single"].through / best["bugsink"].through
        result.notes.append(f"one at a time against Bugsink: {figures.ratio(alone)}")
        pairs = zip(rounds["batch"], rounds["bugsink"], strict=True)
        result.notes.append(
            "batches against Bugsink, round by round: " + ", ".join(figures.ratio(one.through / two.through) for one, two in pairs)
        )
    counts = ours.counts()
    result.notes.append(
        "stored by Everfix: "
        + ", ".join(f"{count:,} {name}" for name, count in counts.items())
        + f"; {ours.done():,} issues through the loop"
    )
    if peer is not None:
        result.notes.append(
            f"stored by Bugsink {peers.version('bugsink')}: {peer.digested():,} events in {peer.issues():,} issues;"
            f" {bugsink_server.WEB_WORKERS} web workers, 4 digesting"
        )
    mean = failures.size([failures.ours(one) for one in sample[:500]]), failures.size([failures.sentry(one) for one in sample[:500]])
    causes = len({one.cause for one in sample})
    result.notes.append(
        f"{len(sample):,} failures of {causes} causes over 30 days; {mean[0]:,.0f} bytes each for Everfix, {mean[1]:,.0f} for Bugsink;"
        f" {CONNECTIONS} connections; both with their makers' durability"
    )


if __name__ == "__main__":
    print("\n".join(run().lines()))
