"""Languages: those in which a narrative may be written, because each claim of it can be proven in them (see `narrative.translation`)."""

from __future__ import annotations

from everfix.errors import Invalid

LANGUAGES = {"en": "English", "de": "Deutsch", "es": "Español", "fr": "Français", "it": "Italiano", "nl": "Nederlands", "pt": "Português"}


def check(code: str) -> str:
    """Return a language's key ("de-CH" is "de"); raises Invalid naming those there are."""
    known = code.strip().lower().replace("_", "-").split("-")[0]
    if known not in LANGUAGES:
        raise Invalid(
            f"narratives cannot be written in {code[:40]!r}: their figures could not be proven in it",
            details={"language": f"one of {', '.join(LANGUAGES)}"},
        )
    return known
