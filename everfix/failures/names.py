"""Names: what a pattern is called: its signature, made fit to be read aloud."""

from __future__ import annotations

import re

LONGEST = 200
UNNAMED = "Unnamed failure"
VARYING = re.compile(r"<[a-z_]+>")
GAPS = re.compile(r"…(?:[\s,;:/_-]*…)+")
PATH = re.compile(r"(?<= in )(?:[\w$@-]+[./])+(?=[\w$@<>*()-]{3,}[.#][\w$@<>*()-]+)")


def of(signature: str) -> str:
    """Return a pattern's name for people: what varies becomes "…", a dotted path keeps its last two parts.

    "ConnectException in com.acme.orders.Pool.take" → "ConnectException in Pool.take"; "p<num> <num>, slow" → "p…, slow"
    """
    words = GAPS.sub("…", VARYING.sub("…", signature))
    return " ".join(PATH.sub("", words).split())[:LONGEST] or UNNAMED
