"""What every reader of failure files gives back, and how single values (times, severities, long texts) become ours."""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, UnicodeDecodeError)  # what reading on in a truncated or damaged file raises
TITLE_LIMIT = 300
TEXT_LIMITS = {"body": 50_000, "stacktrace": 100_000}
EXTERNAL_ID_LIMIT = 512
NAME_LIMIT = 200
METADATA_KEYS, METADATA_VALUE = 100, 2_000

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_EMPTY = {"", "-", "--", "?", "none", "null", "nil", "n/a", "na", "nan", "unknown", "undefined", "not set", "unset", "unassigned"}

SEVERITY_WORDS = {
    "p1": "critical crit blocker highest urgent emergency emerg fatal page disaster severe panic alert outage",
    "p2": "high major error err important failure average",
    "p3": "medium moderate normal warning warn default",
    "p4": "low minor lowest trivial info information informational notice cosmetic debug ok planning",
}
STATUS_WORDS = {
    "open": "open|new|todo|to do|triggered|firing|unresolved|reopened|backlog|triage|needs triage|pending|active|analyzing|analyzed|opened",
    "in_loop": "in_loop|in loop|pattern_found",
    "mitigating": "mitigating|in_progress|in progress|acknowledged|investigating|identified|monitoring|in review|assigned|on hold|started",
    "resolved": "resolved|fixed|done|verified|recovered|complete|completed|ok",
    "closed": "closed|wont_fix|won't fix|wontfix|cancelled|canceled|duplicate|ignored|rejected|invalid|archived",
}
KIND_WORDS = {
    "incident": "incident|alert|outage|page|problem|event",
    "defect": "defect|bug|error|exception|crash|issue",
    "check": "check|test|test_failure|failed_check|build|ci|pipeline|job|assertion",
}
_SEVERITY = {word: level for level, words in SEVERITY_WORDS.items() for word in words.split()}
_STATUS = {word: status for status, words in STATUS_WORDS.items() for word in words.split("|")}
_KIND = {word: kind for kind, words in KIND_WORDS.items() for word in words.split("|")}
_LEVEL = re.compile(r"(?:p|s|sev|severity|prio|priority)?[\s_\-]*([0-5])(?!\d)(?:\s*[-–:(.].*)?", re.DOTALL)

_CLOCK_FORMATS = (
    "%d/%b/%y %I:%M %p",  # an export of Jira
    "%d/%b/%Y %I:%M %p",
    "%d/%b/%y %H:%M",
    "%b %d, %Y %I:%M:%S %p",
    "%b %d, %Y %I:%M %p",
    "%d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d",
)
TIME_ALLOWED = "ISO 8601 such as 2026-03-01T12:30:00Z, seconds or milliseconds since 1970, or 01/Mar/26 12:30 PM"


class UnreadableFileError(ValueError):
    """The file as a whole cannot be read as failures; the message says what came and what is allowed."""


class Record(dict[str, Any]):
    """One failure with the keys of `Event`, and where it stood: `index` from 0 over the whole file, `line` from 1 or None."""

    def __init__(self, values: dict[str, Any], *, index: int, line: int | None) -> None:
        super().__init__(values)
        self.index = index
        self.line = line


@dataclass(frozen=True, slots=True)
class Reject:
    """One record that was left out, why, and where it stood."""

    index: int
    reason: str
    line: int | None = None


def breakage(error: Exception) -> str:
    """Say where and how a file that raised one of BROKEN is damaged."""
    if isinstance(error, UnicodeDecodeError):
        return f"not valid {error.encoding} text at byte {error.start}: {error.reason}"
    return f"the gzip file is broken: {error}"


class BadValueError(ValueError):
    """One value of a record cannot be taken; the record is rejected, its neighbours are not."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field}: {quoted(value)} is not allowed; allowed: {allowed}")


def quoted(value: object) -> str:
    """Show a value that came from outside in an error: printable, and never longer than 80 characters."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "…" + text[-1]


def present(value: object) -> bool:
    """Tell whether a value says anything: None, "", "n/a", "?", "unknown" and their like do not."""
    if isinstance(value, list):
        return any(present(inner) for inner in value)
    return value is not None and (not isinstance(value, str) or value.strip().lower() not in _EMPTY)


def check_text(field: str, text: str) -> str:
    """Return the text; raises BadValueError where it cannot be stored (a NUL, or bytes that were not valid in the file's encoding)."""
    found = _UNSTORABLE.search(text)
    if found is None:
        return text
    code = ord(found.group())
    if code == 0:
        raise BadValueError(field, text, f"text without NUL characters (one is at position {found.start()})")
    what = f"byte 0x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"surrogate U+{code:04X}"
    raise BadValueError(field, text.encode("utf-8", "replace").decode(), f"valid Unicode text ({what} at position {found.start()} is not)")


def shortened(text: str, limit: int) -> str:
    """Keep the beginning and the end of a text above `limit`, with a line between them that says how much was left out."""
    if len(text) <= limit:
        return text
    kept = limit - 60
    head = kept * 2 // 3
    return f"{text[:head]}\n… {len(text) - kept:,} characters left out …\n{text[len(text) - (kept - head) :]}"


def line_of(text: str, limit: int = TITLE_LIMIT) -> str:
    """The first line that says something, spaces collapsed, cut with an ellipsis at `limit`."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    flat = " ".join(first.split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def identity(*parts: str) -> str:
    """A stable id of at most 40 characters for something that came without one."""
    return hashlib.sha256("\x1f".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]


def bounded_id(text: str) -> str:
    """An external id of at most 512 characters: a longer one keeps its beginning and ends in a hash of all of it."""
    return text if len(text) <= EXTERNAL_ID_LIMIT else f"{text[: EXTERNAL_ID_LIMIT - 41]}~{identity(text)}"


def severity(value: object) -> str:
    """p1 to p4 from the words and numbers of the usual tools ("Sev-1", "3 - Moderate", "Blocker"); raises BadValueError."""
    text = str(value).strip().lower()
    level = _LEVEL.fullmatch(text)
    if level:
        return f"p{min(max(int(level.group(1)), 1), 4)}"
    word = _SEVERITY.get(text) or _SEVERITY.get(re.split(r"[\s/(:\-]", text, maxsplit=1)[0])
    if word is None:
        raise BadValueError("severity", value, "p1 to p4, critical, high, medium, low, or a usual word such as blocker, major, info")
    return word


def status(value: object) -> str:
    """One of our five statuses; raises BadValueError."""
    found = _STATUS.get(str(value).strip().lower())
    if found is None:
        raise BadValueError(
            "status", value, "open, in_loop, mitigating, resolved, closed, or a usual word such as triggered, in progress, fixed"
        )
    return found


def kind(value: object) -> str:
    """incident, defect or check; raises BadValueError."""
    found = _KIND.get(str(value).strip().lower())
    if found is None:
        raise BadValueError("kind", value, "incident, defect, check, or a usual word such as alert, bug, test")
    return found


def moment(field: str, value: object) -> str | None:
    """A time as ISO 8601 in UTC; a local time without zone counts as UTC, the zero time of Go as none; raises BadValueError."""
    try:
        found = _parsed(value)
        if found is None:
            raise BadValueError(field, value, TIME_ALLOWED)
        if found.tzinfo is None:
            found = found.replace(tzinfo=UTC)
        if found.year <= 1:
            return None
        found = found.astimezone(UTC)
    except (OverflowError, OSError) as error:
        raise BadValueError(field, value, TIME_ALLOWED) from error
    if not 1970 <= found.year <= 2100:
        raise BadValueError(field, value, "a time between 1970 and 2100")
    return found.isoformat().replace("+00:00", "Z")


def _parsed(value: object) -> datetime | None:
    if isinstance(value, bool):
        return None
    text = str(value).strip()
    if re.fullmatch(r"\d{9,11}(\.\d+)?|\d{12,14}", text):
        number = float(text)
        return datetime.fromtimestamp(number / 1000 if number >= 1e11 else number, UTC)
    if re.match(r"\d{4}-\d", text):
        text = re.sub(r"\s+(UTC|GMT)$", "Z", text)
        text = re.sub(r"(\.\d{6})\d+", r"\1", text)  # nanoseconds
        with suppress(ValueError):
            return datetime.fromisoformat(text)
    for form in _CLOCK_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text, form)  # noqa: DTZ007 - moment() gives it the zone
    with suppress(ValueError):
        return parsedate_to_datetime(text) if re.match(r"[A-Z][a-z]{2}, \d", text) else None
    return None
