"""The built-in playbook: kinds of cause, the words that betray them, and the fixes that usually end them. Data only.

`holds` is the share of such fixes expected to hold before the workspace has verified any; it is a prior, not a measurement.
`fits` is the share of failures of this kind that the fix addresses at all.
"""
# ruff: noqa: E501 - a table of sentences: one row, one line
# fmt: off

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FixType = Literal["code_fix", "config_change", "process", "monitoring"]
Effort = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Play:
    """One fix that the playbook knows. `key` never changes: verified outcomes are counted by it."""

    key: str
    title: str
    type: FixType
    effort: Effort
    fits: float
    holds: float
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Cause:
    """A kind of cause: `words` are what its failures say, most telling first; a trailing * stands for any ending."""

    title: str
    words: tuple[str, ...]
    plays: tuple[Play, ...]


UNKNOWN = "unknown"

CAUSES: dict[str, Cause] = {
    "timeout": Cause(
        "a call that takes too long",
        ("timeout", "timed out", "timeoutexception", "deadline exceeded", "etimedout", "read timed", "gateway timeout", "504", "slow*"),
        (
            Play("timeout.budget", "Give every call on this path its own time budget, with retries that back off", "code_fix", "medium", 0.6, 0.65,
                 ("Trace one slow request and note where the time goes", "Set a time-out per call that fits the budget of the request",
                  "Retry only what is safe to repeat, with back-off and jitter", "Load the path as on its worst day and watch the slowest percent")),
            Play("timeout.config", "Align the time-outs of client, proxy and server", "config_change", "low", 0.35, 0.5,
                 ("List the time-out of every hop from client to database", "Make each hop give up a little before its caller does", "Roll out, then compare the rate of time-outs")),
            Play("timeout.index", "Make the slow query or call faster where it spends its time", "code_fix", "medium", 0.4, 0.75,
                 ("Find the slowest calls in traces or the query log", "Add the missing index, batch the calls or cache the answer", "Keep the plan in a regression check")),
        ),
    ),
    "memory": Cause(
        "memory that runs out",
        ("outofmemory*", "out of memory", "oom*", "heap space", "memoryerror", "memory leak", "cannot allocate memory", "evicted"),
        (
            Play("memory.leak", "Find and end the growth of memory", "code_fix", "medium", 0.6, 0.7,
                 ("Take two heap profiles an hour apart and compare what grew", "Bound or release what grew", "Run the service under load for a day and watch that memory stays level")),
            Play("memory.limit", "Set memory limits from measured use, with room for peaks", "config_change", "low", 0.5, 0.5,
                 ("Read the peak use of the last month", "Set request and limit above it, and the heap below the limit", "Alert when use passes 85 percent of the limit")),
            Play("memory.alert", "Alert on steady growth before memory runs out", "monitoring", "low", 0.25, 0.6,
                 ("Alert when the trend reaches the limit within a day", "Name the runbook in the alert")),
        ),
    ),
    "capacity": Cause(
        "demand above capacity",
        ("overload*", "too many requests", "429", "503", "throttl*", "capacity", "rate limit", "queue full", "backlog", "saturat*", "traffic", "load spike", "high load", "flood"),
        (
            Play("capacity.limit", "Shed load before it hurts: limits per caller, bounded queues", "code_fix", "medium", 0.5, 0.65,
                 ("Find which callers bring the peaks", "Limit per caller and answer quickly when over it", "Bound every queue on the path", "Replay the peak and see the service stay up")),
            Play("capacity.scale", "Scale on the signal that leads the failures", "config_change", "low", 0.5, 0.55,
                 ("Find the signal that rises first: queue depth, concurrency or CPU", "Scale on it, with a floor for known peaks", "Rehearse the peak")),
            Play("capacity.plan", "Plan capacity each month from trend and launches", "process", "medium", 0.3, 0.6,
                 ("Chart demand against the tested limit", "Name an owner and a date for each shortfall")),
        ),
    ),
    "pool": Cause(
        "connections, threads or handles that run out",
        ("connection pool", "pool exhausted", "too many connections", "too many open files", "emfile", "no available connection", "thread pool", "deadlock*", "lock wait"),
        (
            Play("pool.leak", "Return every connection on every path", "code_fix", "medium", 0.55, 0.75,
                 ("Log where connections held too long were taken", "Close them in all branches, errors included", "Add a test that fails when one is left over")),
            Play("pool.size", "Size the pools from the limits of what they feed", "config_change", "low", 0.45, 0.5,
                 ("Add up the pools of all instances", "Keep the sum below the server's limit", "Wait briefly for a connection, then fail clearly")),
        ),
    ),
    "disk": Cause(
        "storage that fills up or fails to write",
        ("no space left", "disk full", "enospc", "disk usage", "quota exceeded", "read only file system", "i/o error", "inode*"),
        (
            Play("disk.retention", "Rotate and expire what fills the disk", "config_change", "low", 0.65, 0.7,
                 ("Find the largest growing folder", "Set rotation and expiry", "Alert when a disk would be full within three days")),
            Play("disk.grow", "Grow storage by rule, not by hand", "config_change", "medium", 0.35, 0.7, ("Turn on automatic growth with an upper bound", "Review the bound each quarter")),
        ),
    ),
    "configuration": Cause(
        "a wrong or missing setting",
        ("config*", "misconfig*", "environment variable", "missing key", "invalid value", "not configured", "feature flag", "yaml", "keyerror", "unknown option", "parameter"),
        (
            Play("config.validate", "Check settings at start and before roll-out", "code_fix", "low", 0.6, 0.75,
                 ("Describe every setting with type and bounds", "Refuse to start when one is wrong, naming it", "Run the same check in the pipeline")),
            Play("config.review", "Treat settings as code: reviewed, staged, reversible", "process", "medium", 0.45, 0.7,
                 ("Keep settings in version control", "Roll out to one place first and watch it", "Make the way back one command")),
        ),
    ),
    "change": Cause(
        "a release or change that broke something",
        ("deploy*", "release", "rollout", "regression", "after upgrade", "new version", "migration", "rolled back", "rollback", "code change"),
        (
            Play("change.guard", "Add a test for this failure to the release gate", "code_fix", "low", 0.5, 0.8,
                 ("Write the smallest test that fails as this did", "Run it before every release")),
            Play("change.canary", "Release in steps that stop by themselves", "process", "medium", 0.5, 0.65,
                 ("Send a small share of traffic to the new version", "Compare its error rate with the old one", "Go back automatically when it is worse")),
        ),
    ),
    "defect": Cause(
        "a defect in the code",
        ("nullpointer*", "null pointer", "typeerror", "attributeerror", "undefined is not", "cannot read propert*", "nil pointer", "indexerror", "indexoutofbounds*", "assert*",
         "illegalstate*", "illegalargument*", "classcast*", "segmentation fault", "sigsegv", "panic", "heap buffer overflow", "use after free", "valueerror", "unhandled",
         "exception", "bug", "crash*"),
        (
            Play("defect.fix", "Fix the failing line and test the case that broke it", "code_fix", "medium", 0.8, 0.8,
                 ("Reproduce it with the input of one failure", "Write the test that fails", "Fix the cause, not the line that noticed it", "Search for the same mistake elsewhere")),
            Play("defect.validate", "Check the input at the border and refuse it clearly", "code_fix", "low", 0.4, 0.65,
                 ("Collect the inputs of all failures of this pattern", "Refuse or repair them where they enter", "Count the refusals")),
        ),
    ),
    "race": Cause(
        "an order of events that nobody planned for",
        ("race condition", "data race", "concurrentmodification*", "stale", "version conflict", "optimistic lock*", "could not serialize", "duplicate key", "already exists"),
        (
            Play("race.order", "Make the step safe to repeat and to run twice at once", "code_fix", "medium", 0.65, 0.7,
                 ("Write down the two orders and which one fails", "Use a constraint, a lock or a compare-and-set", "Test both orders many times")),
        ),
    ),
    "dependency": Cause(
        "another system that fails",
        ("third party", "third-party", "upstream", "bad gateway", "502", "connection refused", "econnrefused", "service unavailable", "provider", "vendor", "external", "unreachable"),
        (
            Play("dependency.isolate", "Fail softly: circuit breaker and a fallback answer", "code_fix", "medium", 0.6, 0.65,
                 ("Decide what the user sees while it is away", "Open the circuit after a few failures, try again slowly", "Rehearse by blocking the dependency")),
            Play("dependency.agree", "Agree on availability and on notices of change with the owner", "process", "medium", 0.3, 0.5,
                 ("Bring the list of failures to its owner", "Agree on a target and on who is told of changes")),
            Play("dependency.watch", "Watch the dependency from where you use it", "monitoring", "low", 0.3, 0.6,
                 ("Probe it every minute with a real call", "Route the alert to who can act")),
        ),
    ),
    "network": Cause(
        "a network that loses, delays or misroutes",
        ("network", "packet loss", "dns", "connection reset", "econnreset", "no route to host", "name resolution", "getaddrinfo", "tls handshake", "router", "bgp", "switch*"),
        (
            Play("network.retry", "Retry what is safe to repeat, over more than one path", "code_fix", "low", 0.45, 0.6,
                 ("Mark the calls that are safe to repeat", "Retry with back-off on another address", "Count retries, and alert when they rise")),
            Play("network.redundant", "Remove the single path", "config_change", "high", 0.45, 0.75,
                 ("Draw the path of a failing call", "Add a second resolver, route or zone", "Pull the first one on purpose and watch")),
        ),
    ),
    "hardware": Cause(
        "a machine or its power that fails",
        ("hardware", "power*", "ecc", "memory dimm", "cpu", "disk failure", "node down", "fan", "cooling", "temperature", "raid", "interconnect", "machine check", "host down"),
        (
            Play("hardware.replace", "Take the part out of service and replace it", "process", "medium", 0.6, 0.75,
                 ("Count failures per part and find the few that repeat", "Drain and replace them", "Test for a day before they take work again")),
            Play("hardware.spread", "Spread the work so that one machine may fail", "config_change", "medium", 0.4, 0.7,
                 ("Place replicas on different machines and power", "Move work automatically when a machine goes away", "Switch one off on purpose")),
        ),
    ),
    "access": Cause(
        "credentials, certificates or permissions",
        ("certificate", "expired", "unauthorized", "401", "403", "forbidden", "permission denied", "access denied", "token", "credential*", "authentication", "ssl"),
        (
            Play("access.renew", "Renew by machine, long before the end", "config_change", "low", 0.6, 0.8,
                 ("List every certificate and secret with its end", "Renew automatically at two thirds of its life", "Alert at three weeks and at one")),
            Play("access.rights", "Grant the missing right by rule and test it", "config_change", "low", 0.4, 0.65,
                 ("Find which right each failure lacked", "Add it to the role in code", "Check the role in the pipeline")),
        ),
    ),
    "data": Cause(
        "data that does not fit",
        ("schema", "constraint", "foreign key", "parse error", "json decode", "malformed", "invalid format", "corrupt*", "encoding", "unicode*", "deserializ*", "null value", "column"),
        (
            Play("data.contract", "Write the contract of the data down and check it on arrival", "code_fix", "medium", 0.6, 0.7,
                 ("Describe fields, types and bounds", "Set aside rows that break it and tell the sender", "Check every change of the schema against it")),
            Play("data.repair", "Repair the rows that are wrong now", "process", "low", 0.35, 0.4, ("Count the rows that fail", "Repair them with a script that can run twice", "Look for how they came in")),
        ),
    ),
    "flaky": Cause(
        "a test that passes and fails on the same code",
        ("flaky", "intermittent", "test_failure", "js_test_failure", "failing test", "testcase", "junit", "pytest", "jenkins*", "spec failed"),
        (
            Play("flaky.wait", "Wait for the condition instead of a time", "code_fix", "low", 0.5, 0.7,
                 ("Run the test a hundred times under load and keep a failing trace", "Replace sleeps and fixed ports by the condition they stand for", "Run it a hundred times again")),
            Play("flaky.isolate", "Give the test its own state", "code_fix", "medium", 0.45, 0.7,
                 ("Run it alone, and in another order", "Give it its own files, ports and clock", "Forbid the shared state")),
            Play("flaky.quarantine", "Move it out of the gate, with an owner and a date", "process", "low", 0.3, 0.45,
                 ("Mark it, name an owner and a date", "Run it beside the gate and count", "Bring it back or delete it by the date")),
        ),
    ),
    "batch": Cause(
        "a job that fails, is late or is killed",
        ("cron", "job failed", "batch", "scheduled", "backup", "etl", "pipeline", "worker", "consumer lag", "dead letter*", "queue"),
        (
            Play("batch.resume", "Make the job safe to run again and let it resume", "code_fix", "medium", 0.6, 0.7,
                 ("Save progress after each part", "Make each part safe to repeat", "Retry by itself, then tell a person")),
            Play("batch.late", "Alert when the job is late, not when someone asks", "monitoring", "low", 0.3, 0.65, ("State when it must have ended", "Alert when it has not")),
        ),
    ),
    "operator": Cause(
        "a step done by hand that went wrong",
        ("human error", "operator", "manual*", "by mistake", "accident*", "runbook", "typo", "wrong environment", "maintenance"),
        (
            Play("operator.script", "Turn the step into a script that asks before it harms", "process", "medium", 0.6, 0.7,
                 ("Write the steps down as they are done", "Script them with a dry run", "Ask for a second pair of eyes on what cannot be undone")),
        ),
    ),
    UNKNOWN: Cause(
        "a cause not yet known",
        (),
        (
            Play("unknown.observe", "Record what is missing to name the cause", "monitoring", "low", 0.3, 0.5,
                 ("Read the last five failures side by side and note what is missing", "Log the input, version and dependency state at the failing place", "Name the cause at the next one")),
            Play("unknown.review", "Hold a short review of the last recurrences with the owner", "process", "low", 0.35, 0.5,
                 ("Put the timeline of the last recurrences on one page", "Ask what they have in common", "Decide on one change and a date")),
        ),
    ),
}
