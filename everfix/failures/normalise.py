"""Texts without their accidents: ids, numbers, times, paths, addresses and quoted values become placeholders."""

from __future__ import annotations

import functools
import re
import unicodedata

SHORT = 4  # words of a name up to which a host in it says which thing failed
LONGEST = 20_000  # characters looked at; a failure's identity is never further down, and cost stays bounded

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[@-Z\\-_]")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*"
_CLOCK = r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d{1,9})?(?:\s?[AaPp][Mm]\b)?"
_ZONE = r"(?:\s?(?:Z|UTC|GMT|[A-Z]{3,4}\b|[+-]\d{2}:?\d{2}))?"

_FILE = r"([A-Za-z_][\w+-]*(?:\.[\w+-]+)*\.[A-Za-z]\w{0,9})"
_WINDOWS = rf"(?<![\w])[A-Za-z]:[\\/](?:[^\\/:*?\"<>|\s]+[\\/])*(?:{_FILE}(?![\w\\/])|[^\\/:*?\"<>|\s]*)"
_UNIX = rf"(?<![\w<.])(?:~|\.{{1,2}})?/(?:[\w.@%+=:,#~-]+/)+(?:{_FILE}(?![\w/])|[\w.@%+=,#~-]*)"

# One regular expression a rule, first match wins at a position only in the order given: wide shapes before narrow ones.
MASKS: tuple[tuple[str, str], ...] = (
    (r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,15}://[^\s\"'<>)\]}]+", "<url>"),
    (r"\b[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+\b", "<email>"),
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "<uuid>"),
    # What Kubernetes appends to a workload's name: a replica set's hash and a pod's letters, both without vowels.
    (r"(?<=[A-Za-z0-9])-[456789bcdf]{8,10}-[bcdfghjklmnpqrstvwxz2456789]{5}(?![\w-])", "-<pod>"),
    (rf"\b(?:{_DAY},?\s+)?{_MONTH}\s+\d{{1,2}},?(?:\s+\d{{4}})?\s+{_CLOCK}{_ZONE}(?:\s+\d{{4}})?\b", "<time>"),
    (rf"\b(?:{_DAY},?\s+)?\d{{1,2}}[\s/-]{_MONTH}[\s/-]\d{{2,4}}(?:[\s:]+{_CLOCK}{_ZONE})?\b", "<time>"),
    (rf"\b\d{{4}}[-/.]\d{{2}}[-/.]\d{{2}}(?:[T\s_]{_CLOCK}{_ZONE})?", "<time>"),
    (rf"(?<![\w.:]){_CLOCK}(?![\w:])", "<time>"),
    (r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?:/\d{1,2}\b)?(?::\d{1,5}\b)?(?![\w.]*\d)", "<ip>"),
    (r"(?<![\w:])(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}(?![\w:])", "<mac>"),
    (r"(?<![\w:])(?=[0-9a-fA-F:]*[0-9a-fA-F]{1,4}:)(?:[0-9a-fA-F]{0,4}:){3,7}[0-9a-fA-F]{0,4}(?![\w:])", "<ip>"),
    (_WINDOWS, "<path>"),
    (_UNIX, "<path>"),
    (r"\b0[xX][0-9a-fA-F]+\b", "<hex>"),
    (r"\b(?=[0-9a-fA-F]*\d)(?=[0-9a-fA-F]*[a-fA-F])[0-9a-fA-F]{7,}\b", "<hex>"),
    (r"(?<![A-Za-z])[-+]?\b\d[\d.,:]*(?<![.,:])", "<num>"),
    (r"\d+", "<num>"),
)
_MASKS = tuple((re.compile(pattern), word) for pattern, word in MASKS)
_RUNS = re.compile(r"<num>(?:[_\-.:,/]?<(?:num|hex)>)+")
_UNITS = re.compile(r"<num> ?(?:[KMGTP]i?B|[kmg]b|B|bytes?|ns|us|µs|ms|s|secs?|seconds?|mins?|minutes?|hours?|h|days?|%)(?!\w)")
_LABEL = r"(?:<(?:num|hex|ip)>|[A-Za-z0-9_\-])+"
_TOP = (
    r"(?:com|net|org|edu|gov|mil|int|info|biz|io|dev|app|cloud|local|localdomain|internal|intranet|lan|corp|home|arpa|cluster|svc"
    r"|(?!(?:js|py|so|rb|go|cc|rs|ts|sh|md|kt|cs|pl|hs|ml|gz|db|id|to|is|in|at|of|on|or)\b)[a-z]{2})"
)
_HOSTS = re.compile(rf"(?<![\w.@/>-])(?:{_LABEL}\.){{1,8}}(?:{_LABEL}\.){_TOP}\b\.?(?![\w(])")

# A quoted word or short phrase such as 'user_id' or "git clean" names what failed and stays; a value (digits, odd signs, long) is masked.
_QUOTED = re.compile(r"(?<![\w])(?:\"([^\"\n]{0,400})\"|'([^'\n]{0,400})'|`([^`\n]{0,400})`|«([^»\n]{0,400})»)(?![\w])")
_NAME = re.compile(r"[A-Za-z_$][A-Za-z_$.\-]{0,60}")
_PHRASE = re.compile(r"[A-Za-z\-. ]{1,40}")
_NAMES = re.compile(rf"{MASKS[0][0]}|{MASKS[1][0]}|(?<![\w.])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?![\w.]*\d)|{_HOSTS.pattern}")
_PLACEHOLDER = re.compile(r"<[a-z]+>")
_ALONE = re.compile(r"(?<![\w.:-])\d{1,15}(?:\.\d{1,9})?(?![\w.:-])")
_SPACE = re.compile(r"[^\S\n]+")
_WORD = re.compile(r"[^\W\d]{2,}")  # letters of any script, and underscores
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")


def clean(text: str) -> str:
    """Return `text` cut to LONGEST, in Unicode NFC, without terminal colours and control characters, lines ending in a bare newline."""
    text = text[:LONGEST].replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return _CONTROL.sub(" ", _ANSI.sub("", text)) if not text.isprintable() else text
    text = text.encode("utf-8", "replace").decode("utf-8")
    return _CONTROL.sub(" ", _ANSI.sub("", unicodedata.normalize("NFC", text)))


def _value(match: re.Match[str]) -> str:
    inner = next((g for g in match.groups() if g is not None), "")
    return match.group(0) if _NAME.fullmatch(inner) or _PHRASE.fullmatch(inner) else "<value>"


def _file(match: re.Match[str]) -> str:
    """A path's directories belong to a machine, its file's name belongs to the failure."""
    return f"<path>/{match.group(1)}" if match.group(1) else "<path>"


def mask(text: str, *, quoted: bool = True) -> str:
    """Return `text` with every accident replaced by a placeholder such as <num> or <path>; blanks collapsed, line breaks kept.

    `quoted=False` leaves quoted values alone except for what the other rules find in them.
    """
    return _mask(clean(text), quoted)


@functools.lru_cache(maxsize=4096)
def _mask(text: str, quoted: bool) -> str:
    if quoted and not _QUOTED.search(text):
        quoted = False
    if quoted:
        text = _QUOTED.sub(_value, text)
    for pattern, word in _MASKS:
        text = pattern.sub(_file if pattern.groups else word, text)
    text = _HOSTS.sub("<host>", _UNITS.sub("<num>", _RUNS.sub("<num>", text)))
    return "\n".join(line.strip() for line in _SPACE.sub(" ", text).split("\n"))


def mask_but_names(text: str) -> str:
    """Return a name masked only as far as it still tells failures apart by itself, for where nothing else is told.

    As it is where fewer than two words would be left, or no more words than numbers («Incident #17», «Rack 5 | Node 12»); with its hosts,
    addresses and links where it is short («Proxy a.example.org»).
    """
    plain = mask(text)
    left = len({w for w in words(without_placeholders(plain)) if len(w) > 2})
    if left < 2 or left <= plain.count("<num>"):
        return _SPACE.sub(" ", clean(text)).strip()
    kept = _NAMES.findall(clean(text)) if left <= SHORT else []
    return f"{plain} {' '.join(kept)}" if kept else plain


def without_placeholders(text: str) -> str:
    """Return a masked text without its placeholders."""
    return _PLACEHOLDER.sub(" ", text)


def lines(text: str, *, most: int = 60) -> tuple[str, ...]:
    """Return the masked lines of `text` that say something, in order, at most `most` of them."""
    found = [line for line in mask(text).split("\n") if any(c.isalpha() for c in _PLACEHOLDER.sub("", line))]
    return tuple(found[:most])


def headline(text: str) -> str:
    """Return the first masked line that says something, or the first line at all."""
    said = lines(text, most=1)
    return said[0] if said else mask(text).strip().split("\n")[0]


def numbers(line: str, *, most: int = 4) -> tuple[float, ...]:
    """Return the numbers that stand alone in a line, in order."""
    return tuple(float(n) for n in _ALONE.findall(line)[:most])


def words(text: str) -> list[str]:
    """Return the lower-case words of `text`, names in camelCase and snake_case given whole and in parts."""
    out: list[str] = []
    for word in _WORD.findall(text):
        out.append(word.lower())
        parts = [p for p in _CAMEL.split(word) if len(p) > 1]
        if len(parts) > 1:
            out.extend(p.lower() for p in parts)
    return out
