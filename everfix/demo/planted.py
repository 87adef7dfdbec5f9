"""All planted causes together, checked when they are imported."""

from __future__ import annotations

from everfix.demo import checks, company, defects, incidents
from everfix.demo.causes import Cause

CAUSES: tuple[Cause, ...] = incidents.CAUSES + defects.CAUSES + checks.CAUSES
BY_KEY: dict[str, Cause] = {cause.key: cause for cause in CAUSES}

if len(BY_KEY) != len(CAUSES) or any(cause.service not in company.SERVICE for cause in CAUSES):
    raise ValueError("a planted cause is there twice, or sits in a service that the company does not have")
