"""Recipients as a schedule names them: e-mail addresses and Slack channel ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator

from everfix.errors import Invalid

LONGEST = 254  # RFC 5321, 4.5.3.1.3
_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SLACK = re.compile(r"#?([CGDU][A-Z0-9]{6,20})")


def mail(text: str) -> str:
    """Return an e-mail address in the spelling that is compared and stored (domain in lower case, IDNA); raises ValueError."""
    local, at, domain = text.strip().rpartition("@")
    try:
        plain = domain.encode("idna").decode().lower() if domain else ""
    except UnicodeError:
        plain = ""
    sound = at and len(local) <= 64 and _LOCAL.fullmatch(local) and plain and all(_LABEL.fullmatch(part) for part in plain.split("."))
    if not sound or len(local) + 1 + len(plain) > LONGEST:
        raise ValueError(f"{text[:80]!r} is no e-mail address")
    return f"{local}@{plain}"


Mail = Annotated[str, AfterValidator(mail)]


def slack(text: str) -> str | None:
    """Return the Slack channel (or user) id that `text` is, or None."""
    found = _SLACK.fullmatch(text.strip())
    return found.group(1) if found else None


def domain(text: str) -> str:
    """Return a mail domain as it is stored, with or without its @; raises ValueError."""
    try:
        return domain_of(mail(f"x@{text.strip().removeprefix('@')}"))
    except ValueError:
        raise ValueError(f"{text[:80]!r} is no domain") from None


def domain_of(address: str) -> str:
    """Return the domain of a sound address."""
    return address.rpartition("@")[2]


def allowed(address: str, domains: Sequence[str]) -> bool:
    """Tell whether an address lies in one of `domains` or below one; an empty list allows all."""
    own = domain_of(address)
    return not domains or any(own == domain or own.endswith(f".{domain}") for domain in domains)


def check_allowed(address: str, domains: Sequence[str]) -> None:
    """Raise Invalid, naming the address and what is allowed, when the workspace's list keeps it out."""
    if not allowed(address, domains):
        raise Invalid(
            f"{address} is outside of the domains that this workspace sends mail to",
            details={"recipients": f"addresses at {', '.join(domains)}"},
        )
