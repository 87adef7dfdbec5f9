"""Claims: what somebody says about a fix, and whether a failure speaks against it; pure.

A failure counts against a fix only when it happened where the fix was: after it went out, in the fixed release or a newer one, in
an environment that has it, with its flag on. Everything else is kept as a failure of the pattern, and told as not counted, with why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict

from everfix.core import fields
from everfix.core.db import Json
from everfix.failures import releases

GRACE = timedelta(hours=1)  # failures already under way when the fix went out, where nothing says how long the roll-out took
NEXT = "next"


class Claim(BaseModel):
    """What was done, and where it is in force. `release` names the first release with the fix, or is `next`."""

    model_config = ConfigDict(extra="forbid")

    what: fields.text(2000) = ""  # type: ignore[valid-type]
    link: Annotated[fields.text(2048), AfterValidator(fields.web)] | None = None  # type: ignore[valid-type]
    at: fields.Moment | None = None
    release: fields.text(200, 1) | None = None  # type: ignore[valid-type]
    deploy: fields.text(512, 1) | None = None  # type: ignore[valid-type]  # the external id of a change
    environment: fields.text(100, 1) | None = None  # type: ignore[valid-type]
    flag: fields.text(200, 1) | None = None  # type: ignore[valid-type]
    rollout_ends_at: fields.Moment | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """A failure as a claim looks at it. `flags` are the feature flags it ran with, where its source says."""

    occurred_at: datetime
    release: str | None = None
    environment: str | None = None
    flags: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What the workspace knows of releases: when each was first seen (in a change or in a failure)."""

    first_seen: Mapping[str, datetime] = field(default_factory=dict)

    def next_after(self, at: datetime) -> str | None:
        """Return the first release that appeared after `at` and is not a back-port: older, by its name, than one that was there before."""
        before = [name for name, when in self.first_seen.items() if when <= at]
        later = sorted((when, name) for name, when in self.first_seen.items() if when > at)
        return next((name for _, name in later if not any(releases.compare(name, old) == -1 for old in before)), None)


def read(given: Mapping[str, Any] | None) -> Claim:
    """Return a stored claim; keys of older versions are left aside."""
    return Claim.model_validate({key: value for key, value in (given or {}).items() if key in Claim.model_fields})


def exposed_from(claim: Claim, at: datetime, known: Known) -> datetime | None:
    """Return from when the fix could show that it holds; None while its release has not appeared."""
    if claim.release == NEXT:
        name = known.next_after(at)
        start = known.first_seen[name] if name else None
    else:
        start = max(at, known.first_seen.get(claim.release or "", at))
    return max(start, claim.rollout_ends_at) if start and claim.rollout_ends_at else start


def counts(seen: Seen, claim: Claim, at: datetime, known: Known) -> tuple[bool, str]:
    """Return whether a failure counts against the fix claimed for `at`, and why in words."""
    if claim.environment and seen.environment and seen.environment.lower() != claim.environment.lower():
        return False, f"it happened in {seen.environment}, the fix is in {claim.environment}"
    if claim.flag and seen.flags.get(claim.flag) is False:
        return False, f"the flag {claim.flag} was off"
    if seen.occurred_at <= at:
        return False, "it happened before the fix went out"
    named = _by_release(seen, claim, at, known)
    if named is not None:
        return named
    ends = claim.rollout_ends_at or at + GRACE
    if seen.occurred_at <= ends:
        return False, "it happened while the fix was being rolled out"
    return True, "it happened after the fix was in place"


def _by_release(seen: Seen, claim: Claim, at: datetime, known: Known) -> tuple[bool, str] | None:
    """Decide by the releases that the claim and the failure name; None where they do not say enough."""
    if claim.release is None:
        return None
    wanted = known.next_after(at) if claim.release == NEXT else claim.release
    if wanted is None:
        return False, "the release with the fix has not appeared yet"
    if seen.release is None:
        start = known.first_seen.get(wanted)
        return (False, f"it happened before {wanted} appeared") if start and seen.occurred_at < start else None
    order = releases.compare(seen.release, wanted)
    if order is not None:
        said = {-1: f"it came from {seen.release}, older than {wanted}", 0: f"it came from {seen.release}, which has the fix"}
        return order >= 0, said.get(order, f"it came from {seen.release}, newer than {wanted}")
    return _by_first_seen(seen.release, wanted, at, known)


def _by_first_seen(release: str, wanted: str, at: datetime, known: Known) -> tuple[bool, str]:
    """Decide by when the two releases appeared: names such as commit hashes carry no order."""
    mine, fixed = known.first_seen.get(release), known.first_seen.get(wanted, at)
    if mine is not None and mine < fixed:
        return False, f"{release} appeared before {wanted}"
    return True, f"{release} appeared after {wanted}"


def shown(claim: Claim) -> Json:
    """Return the claim as it is stored: only what was said."""
    return claim.model_dump(mode="json", exclude_none=True, exclude={"what"} if not claim.what else None)
