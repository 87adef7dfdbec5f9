"""All tables of Everfix, gathered: importing this imports every module that defines one."""

from __future__ import annotations

from everfix import audit
from everfix.core import jobs
from everfix.core.db import Base
from everfix.failures import changes, learned, patterns, predictions, recommendations, verifications
from everfix.identity import members, organisations, tokens, users, workspaces
from everfix.ingest import events
from everfix.reports import runs

MODULES = (
    audit,
    changes,
    events,
    jobs,
    learned,
    members,
    organisations,
    patterns,
    predictions,
    recommendations,
    runs,
    tokens,
    users,
    verifications,
    workspaces,
)
METADATA = Base.metadata
