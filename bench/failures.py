"""Failures for the ingest bench: error events of some 3 KB from a few hundred causes, the same ones in Sentry's shape and in ours.

A cause is an exception raised at one place of one service; its occurrences differ in numbers, ids, hosts and what went before.
Few causes make most of the failures (Zipf), as in production. The same seed gives the same failures.
"""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Json = dict[str, Any]

SERVICES = (
    "checkout", "billing", "search", "catalog", "identity", "shipping", "inventory", "notify", "pricing", "ledger", "media", "gateway",
)  # fmt: skip
TYPES = (
    ("TimeoutError", "upstream {service} did not answer within {n} ms (attempt {d} of 5)"),
    ("KeyError", "'{word}_{word2}'"),
    ("ValueError", "invalid {word} value {n} for {word2}: expected a positive amount"),
    ("ConnectionError", "connection to 10.{d}.{d}.{d}:{n} refused while writing {word} batch {hex}"),
    ("IntegrityError", 'duplicate key value violates unique constraint "{word}_{word2}_key": Key (id)=({n}) already exists'),
    ("AttributeError", "'NoneType' object has no attribute '{word}'"),
    ("PermissionError", "user {n} may not {word} {word2} of account {hex}"),
    ("RuntimeError", "{word} worker {n} lost its lease on {word2}-{hex}"),
    ("DecodeError", "could not decode {word} payload at byte {n}: unexpected token in {word2}"),
    ("OperationalError", "could not serialize access due to concurrent update of {word} (transaction {n})"),
)
WORDS = (
    "order", "cart", "invoice", "refund", "address", "voucher", "parcel", "session", "profile", "payout", "ledger", "price", "bundle",
    "stock", "label", "webhook", "coupon", "tariff", "quote", "batch", "shard", "tenant", "contact", "digest", "export", "import",
    "receipt", "charge", "policy", "region",
)  # fmt: skip
VERBS = (
    "load", "apply", "resolve", "commit", "fetch", "render", "publish", "merge", "validate", "settle", "reserve", "split", "sync", "build",
    "close",
)  # fmt: skip
LIBRARIES = (
    ("django/core/handlers/base.py", "_get_response", "response = wrapped_callback(request, *callback_args, **callback_kwargs)"),
    ("django/core/handlers/exception.py", "inner", "response = get_response(request)"),
    ("rest_framework/views.py", "dispatch", "response = handler(request, *args, **kwargs)"),
    ("sqlalchemy/engine/base.py", "_execute_context", "self.dialect.do_execute(cursor, statement, parameters, context)"),
    ("celery/app/trace.py", "trace_task", "R = retval = fun(*args, **kwargs)"),
    ("urllib3/connectionpool.py", "urlopen", "httplib_response = self._make_request(conn, method, url, timeout=timeout_obj)"),
)
BROWSERS = ("Firefox 144.0", "Chrome 142.0", "Safari 19.1", "Edge 142.0")


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """One call, outermost first in a cause's list."""

    path: str
    function: str
    line: int
    code: str
    own: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Cause:
    """What goes wrong, and where."""

    service: str
    type: str
    message: str
    frames: tuple[Frame, ...]
    words: tuple[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """One occurrence: the same facts for both programs."""

    id: str
    cause: Cause
    message: str
    at: datetime
    release: str
    tags: dict[str, str]
    crumbs: tuple[Json, ...]
    request: Json


def causes(count: int, seed: int = 7) -> list[Cause]:
    """Return that many causes, each at a place of its own."""
    random = Random(seed)  # noqa: S311 - a bench's data
    return [_cause(random, number) for number in range(count)]


def _cause(random: Random, number: int) -> Cause:
    service = SERVICES[number % len(SERVICES)]
    kind, message = TYPES[random.randrange(len(TYPES))]
    words = (random.choice(WORDS), random.choice(WORDS))
    frames = []
    for depth in range(random.randint(6, 8)):
        if depth % 3 == 1:
            path, function, code = random.choice(LIBRARIES)
            frames.append(Frame(f"/usr/lib/python3/site-packages/{path}", function, random.randint(40, 900), code, own=False))
        else:
            verb, noun = random.choice(VERBS), random.choice(WORDS)
            function = f"{verb}_{noun}" if depth < 4 else f"{verb}_{words[0]}_{number}"
            code = f"return self.{noun}_store.{verb}({noun}, timeout=settings.{noun.upper()}_TIMEOUT)"
            frames.append(Frame(f"/srv/{service}/app/{noun}/{verb}.py", function, random.randint(12, 480), code, own=True))
    last = Frame(
        f"/srv/{service}/app/{words[0]}/{words[1]}.py",
        f"{random.choice(VERBS)}_{words[1]}_{number}",
        random.randint(12, 480),
        f"raise {kind}(reason)",
        own=True,
    )
    return Cause(service, kind, message, (*frames, last), words)


def stream(count: int, *, causes_count: int = 300, seed: int = 11, days: float = 30.0, until: datetime | None = None) -> Iterator[Failure]:
    """Yield `count` failures in the order of time, spread over the `days` before `until` (default: now)."""
    random = Random(seed)  # noqa: S311 - a bench's data
    made = causes(causes_count)
    weights = [1.0 / (rank + 3) for rank in range(causes_count)]
    end = until or datetime.now(UTC)
    step = timedelta(days=days) / max(count, 1)
    for place, cause in enumerate(random.choices(made, weights, k=count)):
        yield _failure(random, cause, (end - step * (count - place)).replace(microsecond=random.randrange(1_000_000)))


def _failure(random: Random, cause: Cause, at: datetime) -> Failure:
    number, short = random.randrange(1000, 99_999), f"{random.getrandbits(40):010x}"
    message = cause.message.format(
        service=cause.service, n=number, d=random.randrange(1, 6), hex=short, word=cause.words[0], word2=cause.words[1]
    )
    release = f"{cause.service}@{at.year}.{at.month}.{at.day}"
    tags = {
        "server_name": f"{cause.service}-{random.getrandbits(20):05x}-{random.randrange(9)}",
        "browser": random.choice(BROWSERS),
        "region": random.choice(("eu-central-1", "us-east-1")),
        "trace_id": f"{random.getrandbits(128):032x}",
        "transaction": f"/api/{cause.words[0]}/{{id}}/{cause.words[1]}",
    }
    crumbs = tuple(
        {
            "timestamp": (at - timedelta(seconds=9 - depth)).isoformat(),
            "category": random.choice(("query", "http", "log")),
            "message": f"{random.choice(VERBS)} {random.choice(WORDS)} {random.randrange(10_000)}",
            "level": "info",
        }
        for depth in range(3)
    )
    request = {
        "method": "POST",
        "url": f"https://{cause.service}.example.com/api/{cause.words[0]}/{number}/{cause.words[1]}",
        "headers": {"User-Agent": tags["browser"], "X-Request-Id": short, "Content-Type": "application/json"},
    }
    return Failure(uuid.UUID(int=random.getrandbits(128), version=4).hex, cause, message, at, release, tags, crumbs, request)


def sentry(failure: Failure) -> Json:
    """Return the failure as a Sentry SDK would send it."""
    frames = [
        {
            "filename": frame.path.partition("/app/")[2] or frame.path.partition("site-packages/")[2],
            "abs_path": frame.path,
            "function": frame.function,
            "lineno": frame.line,
            "context_line": f"    {frame.code}",
            "in_app": frame.own,
        }
        for frame in failure.cause.frames
    ]
    return {
        "event_id": failure.id,
        "timestamp": failure.at.isoformat(),
        "platform": "python",
        "level": "error",
        "release": failure.release,
        "environment": "production",
        "server_name": failure.tags["server_name"],
        "transaction": failure.tags["transaction"],
        "tags": failure.tags,
        "request": failure.request,
        "breadcrumbs": {"values": list(failure.crumbs)},
        "exception": {"values": [{"type": failure.cause.type, "value": failure.message, "stacktrace": {"frames": frames}}]},
    }


def ours(failure: Failure) -> Json:
    """Return the failure as Everfix takes it."""
    lines = ["Traceback (most recent call last):"]
    for frame in failure.cause.frames:
        lines += [f'  File "{frame.path}", line {frame.line}, in {frame.function}', f"    {frame.code}"]
    lines.append(f"{failure.cause.type}: {failure.message}")
    return {
        "external_id": failure.id,
        "source": "sentry",
        "title": f"{failure.cause.type}: {failure.message}"[:300],
        "body": failure.message,
        "severity": "p3",
        "kind": "defect",
        "service": failure.cause.service,
        "environment": "production",
        "release": failure.release,
        "error_type": failure.cause.type,
        "stacktrace": "\n".join(lines),
        "source_created_at": failure.at.isoformat(),
        "metadata": {"tags": failure.tags, "request": failure.request, "breadcrumbs": list(failure.crumbs)},
    }


def size(records: list[Json]) -> float:
    """Return the mean size of the records as JSON, in bytes."""
    return sum(len(json.dumps(record)) for record in records) / len(records)
