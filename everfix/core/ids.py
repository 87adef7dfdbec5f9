"""Ids: UUIDv7 in the database, the same 128 bits as a prefixed ULID (`iss_01J…`) on the `/v1` surface; each accepts both."""

from __future__ import annotations

import os
import threading
import time
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base32
ULID_LENGTH = 26
_VALUES = {letter: value for value, letter in enumerate(ALPHABET)} | {letter.lower(): value for value, letter in enumerate(ALPHABET)}
_VALUES |= {"I": 1, "i": 1, "L": 1, "l": 1, "O": 0, "o": 0}  # Crockford: letters a reader confuses


class Prefix(StrEnum):
    """What an id names, as its first letters say."""

    ALERT_RULE = "alr"
    CHANGE = "chg"
    CLUSTER = "clu"
    COMMENT = "cmt"
    CONNECTOR = "con"
    CORRECTION = "cor"
    DATASET = "dat"
    DATASET_VERSION = "dsv"
    DEPLOYMENT = "dep"
    EXPERIMENT = "exp"
    DELIVERY = "dlv"
    DESTINATION = "dst"
    EXPORT = "exp"
    FILE = "fil"
    INGEST_JOB = "ing_job"
    ISSUE = "iss"
    JOB = "job"
    MEMBER = "mem"
    ML_IMPORT = "imp"
    ML_MEMBER = "mlm"
    ML_PROJECT = "mlp"
    ML_TABLE = "tbl"
    MODEL = "mod"
    MONITOR = "mon"
    MESSAGE = "msg"
    NOTIFICATION = "ntf"
    ORGANIZATION = "org"
    PATTERN = "pat"
    PREDICTION = "prd"
    PREDICTION_PART = "prt"
    PRIVACY_SESSION = "prv"
    RECOMMENDATION = "rec"
    REPORT = "rep"
    RUN = "run"
    SAVED_VIEW = "svw"
    SCHEDULE = "sch"
    SERVICE_ACCOUNT = "sa"
    STEP = "stp"
    SYNTHGEN_RUN = "syn"
    TOKEN = "tok"
    USER = "usr"
    VERIFICATION = "ver"
    WORKSPACE = "ws"


_lock = threading.Lock()
_last = 0


def new() -> UUID:
    """Return a UUIDv7 (RFC 9562, method 1): milliseconds, then a counter that grows within the millisecond, then randomness."""
    global _last  # noqa: PLW0603 - ids of one process must grow
    with _lock:
        tick = (time.time_ns() // 1_000_000) << 12
        _last = max(tick, _last + 1)
        stamp = _last
    value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | int.from_bytes(os.urandom(8)) >> 2
    return UUID(int=value)


def show(prefix: Prefix, value: UUID) -> str:
    """Return the prefixed ULID of the same 128 bits."""
    number, letters = value.int, []
    for _ in range(ULID_LENGTH):
        letters.append(ALPHABET[number & 31])
        number >>= 5
    return f"{prefix}_{''.join(reversed(letters))}"


def parse(prefix: Prefix, text: object) -> UUID:
    """Return the UUID that `text` names, as a prefixed ULID, a bare ULID or a UUID; raises ValueError saying what is allowed."""
    if isinstance(text, UUID):
        return text
    if not isinstance(text, str):
        raise ValueError(f"an id is text like {prefix}_… or a UUID, not {type(text).__name__}")  # noqa: TRY004 - pydantic needs ValueError
    bare = text.removeprefix(f"{prefix}_")
    if len(bare) == ULID_LENGTH and all(letter in _VALUES for letter in bare) and _VALUES[bare[0]] < 8:
        number = 0
        for letter in bare:
            number = number << 5 | _VALUES[letter]
        return UUID(int=number)
    try:
        return UUID(text)
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no id: expected {prefix}_ and 26 letters of Crockford's base32, or a UUID") from None


def field(prefix: Prefix) -> Any:  # noqa: ANN401 - an Annotated type made at import
    """Return the type of a field that holds such an id: reads both spellings, writes the prefixed one."""
    return Annotated[
        UUID,
        BeforeValidator(lambda text: parse(prefix, text)),
        PlainSerializer(lambda value: show(prefix, value), return_type=str),
        WithJsonSchema(
            {"type": "string", "pattern": f"^{prefix}_[0-9A-HJKMNP-TV-Z]{{26}}$", "examples": [f"{prefix}_01K4X9T3QKJ2M4N5P6R7S8T9V0"]}
        ),
    ]
