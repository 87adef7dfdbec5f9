"""Text into plain tokens: typographic and Unicode disguises removed first, so that a number looks like a number everywhere."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

MARKS = str.maketrans(
    {
        "−": "-",
        "‐": "-",
        "‑": "-",
        "‒": "-",
        "﹣": "-",
        "⁃": "-",
        "—": "–",
        "―": "–",
        "٪": "%",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "«": '"',
        "»": '"',
        "`": '"',
        "٬": ",",
        "٫": ".",
        "·": ".",
        "½": " half ",
    }
)
SEPARATED = re.compile(r"(?<![\w.,])(\d{1,3})((?:[ '_]\d{3})+)(?![\d])")
TOKEN = re.compile(
    r"(?P<iso>\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2})?)?(?![\w]))"
    r"|(?P<time>\d{1,2}:\d{2}(?![\w:]))"
    r"|(?P<number>\d+(?:,\d{3})*(?:\.\d+)?(?![\w,.]*[^\W\d]))"
    r"|(?P<mixed>\d[\w,.]*\w)"
    r"|(?P<word>[^\W\d]\w*(?:[-'./:@\\]+\w+)*)"
    r"|(?P<mark>\S)",
)


@dataclass(frozen=True, slots=True)
class Token:
    """One piece of a text: `kind` is iso, time, number, mixed (letters and digits), word or mark; `low` is compared."""

    kind: str
    text: str
    low: str
    start: int
    end: int


def plain(text: str) -> str:
    """Return `text` with its disguises removed: any script's digits, spaces, minus signs, quotes, invisible characters."""
    if text.isascii():
        return SEPARATED.sub(_join, text)
    text = text.translate(MARKS)
    text = unicodedata.normalize("NFKC", text).translate(MARKS)
    letters = []
    for letter in text:
        category = unicodedata.category(letter)
        if category == "Nd":
            letters.append(str(unicodedata.digit(letter)))
        elif category in ("Zs", "Zl", "Zp", "Cc"):
            letters.append(" ")
        elif category != "Cf" and not unicodedata.combining(letter):
            letters.append(letter)
    return SEPARATED.sub(_join, "".join(letters))


def _join(match: re.Match[str]) -> str:
    return match.group(1) + re.sub(r"[ '_]", "", match.group(2))


def split(text: str) -> list[Token]:
    """Return the tokens of a text that `plain` has cleaned."""
    return [
        Token(match.lastgroup or "mark", match.group(), match.group().lower(), match.start(), match.end()) for match in TOKEN.finditer(text)
    ]


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Return a lower-case word without its plural or possessive ending: "issues" → "issue", "recoveries" → "recovery"."""
    word = word.lower().removesuffix("'s").removesuffix("'")
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 3 and word.endswith(("xes", "shes", "ches", "sses")):
        return word[:-2]
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def stems(text: str) -> tuple[str, ...]:
    """Return the stems of the words of a short phrase."""
    return tuple(stem(token.low) for token in split(plain(text)) if token.kind != "mark")


def lows(text: str) -> tuple[str, ...]:
    """Return the lower-case tokens of a name, as they are looked for in prose."""
    return tuple(token.low for token in split(plain(text)))


def mixed_alphabets(word: str) -> bool:
    """Return whether one word mixes Latin letters with look-alikes of another alphabet."""
    if word.isascii():
        return False
    scripts = {unicodedata.name(letter, "?").split(" ")[0] for letter in word if letter.isalpha()}
    return "LATIN" in scripts and bool(scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"})
