"""Redaction: what tells who somebody is, or opens a door, is replaced before a text leaves this host, and put back in what comes back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

VERSION = "1"
SHORTEST_NAME = 4  # letters of a first or last name that is hidden when it stands alone
_HEX = r"[0-9a-fA-F]"

# kind → what it looks like, in the order in which they are looked for; a group named `it` is what is hidden, else all of it.
PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL)),
    ("token", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?")),  # a JSON web token
    ("key", re.compile(r"\b(?:sk|pk|rk)[-_](?:live|test|ant|proj|or)?[-_]?[A-Za-z0-9_-]{16,}")),
    ("key", re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\b(?:gh[pousr]|github_pat)_\w{20,}|\bglpat-[\w-]{16,}")),
    ("token", re.compile(r"\bxox[abeoprs]-[\w-]{10,}|\befx_(?:pat|sat|ses|lnk)_\w{16,}")),
    ("token", re.compile(r"(?i)\b(?:bearer|basic)\s+(?P<it>[A-Za-z0-9+/=._~-]{12,})")),
    (
        "secret",
        re.compile(
            r"(?i)\b(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|client[_-]?secret|auth)"
            r"[\"']?\s*[:=]\s*[\"']?(?P<it>[^\s\"',;&]{4,})"
        ),
    ),
    ("secret", re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://(?P<it>[^\s/@:]+:[^\s/@]+)@")),  # user:password in an address
    ("e-mail", re.compile(r"[\w.+%'-]+@(?:[\w-]+\.)+[A-Za-z]{2,}", re.UNICODE)),
    ("address", re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w]|\.\d)")),
    ("address", re.compile(rf"(?<![\w:])(?:{_HEX}{{1,4}}:){{7}}{_HEX}{{1,4}}(?![\w:])")),
    ("address", re.compile(rf"(?<![\w:])(?:{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{0,6}})?::(?:{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{0,6}})(?![\w:])")),
    ("address", re.compile(rf"(?<![\w:-])(?:{_HEX}{{2}}[:-]){{5}}{_HEX}{{2}}(?![\w:-])")),  # of a network card
    ("phone", re.compile(r"(?<![\w.])\+\d{1,3}[ .()/-]?(?:\(?\d{1,4}\)?[ .()/-]?){2,5}\d{2,4}(?![\w])")),
    ("phone", re.compile(r"(?<![\w.-])\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w.-])")),
    ("phone", re.compile(r"(?<![\w.-])0\d{2,4}[ /-]\d{3,4}[ -]?\d{2,5}(?![\w.-])")),
    (
        "card",
        re.compile(r"(?<![\w.-])(?:\d{4}[ -]){3}\d{4}(?![\w.-])|(?<![\w])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?(?![\w])"),
    ),
)
PLACE = re.compile(r"\[(?:key|token|secret|e-mail|address|phone|card|name) [A-Z]+\]")


class Redactor:
    """Hides and shows again. The same value gets the same place-holder, so that a reader of the hidden text can still tell who is who."""

    def __init__(self, people: Iterable[tuple[str, str]] = ()) -> None:
        """Take the people of the workspace as (name, e-mail address)."""
        self._places: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self._people = _names(people)

    def hide(self, text: str) -> str:
        """Return `text` with everything that must not leave replaced by a place-holder such as "[e-mail A]"."""
        for kind, pattern in PATTERNS:
            text = pattern.sub(lambda match, kind=kind: self._hidden(kind, match), text)  # type: ignore[misc]
        return self._people.sub(lambda match: self._place("name", match.group()), text) if self._people else text

    def show(self, text: str) -> str:
        """Return `text` with every place-holder replaced by what it stands for."""
        return PLACE.sub(lambda match: self._values.get(match.group(), match.group()), text)

    def _hidden(self, kind: str, match: re.Match[str]) -> str:
        whole = match.group()
        it = match.groupdict().get("it") or whole
        if PLACE.fullmatch(it) or it.startswith("["):
            return whole
        start = match.start("it") - match.start() if "it" in match.groupdict() else 0
        return whole[:start] + self._place(kind, it) + whole[start + len(it) :]

    def _place(self, kind: str, value: str) -> str:
        if value not in self._places:
            self.counts[kind] += 1
            place = f"[{kind} {_letters(self.counts[kind])}]"
            self._places[value], self._values[place] = place, value
        return self._places[value]


def _letters(number: int) -> str:
    """Return A, B, … Z, AA, …: letters, because a number in a narrative is a claim."""
    said = ""
    while number:
        number, rest = divmod(number - 1, 26)
        said = chr(65 + rest) + said
    return said


def _names(people: Iterable[tuple[str, str]]) -> re.Pattern[str] | None:
    found: set[str] = set()
    for name, email in people:
        whole = " ".join(name.split())
        parts = [part for part in whole.split(" ") if len(part) >= SHORTEST_NAME and part[0].isupper()]
        local = email.partition("@")[0]
        found |= {whole, *parts} | ({local} if len(local) >= SHORTEST_NAME and not local.isalpha() else set())
    words = sorted((word for word in found if len(word) > 1), key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(re.escape(word) for word in words) + r")(?!\w)") if words else None
