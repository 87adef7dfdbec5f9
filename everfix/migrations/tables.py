"""All tables of Everfix, gathered: importing this imports every module that defines one."""

from __future__ import annotations

from everfix import audit
from everfix.core import breakers, jobs, limits, prompt_logs
from everfix.core.db import Base
from everfix.delivery import destinations, feed, messages, outbox, personal, preferences
from everfix.exports import requests as exports
from everfix.failures import (
    alerts,
    analyses,
    changes,
    clusters,
    corrections,
    discussions,
    figures,
    learned,
    patterns,
    predictions,
    pushes,
    recommendations,
    verifications,
    views,
    watches,
)
from everfix.identity import ai, members, organisations, tokens, users, workspaces
from everfix.ingest import events
from everfix.ml import datasets, deployments, experiments, imports, models, monitors, privacy, projects, synthgen
from everfix.ml import tables as ml_tables
from everfix.reports import definitions, overdue, runs, schedules, stories
from everfix.reports.ml import subjects

MODULES = (
    alerts,
    ai,
    analyses,
    audit,
    breakers,
    changes,
    clusters,
    corrections,
    datasets,
    definitions,
    deployments,
    destinations,
    discussions,
    events,
    experiments,
    feed,
    exports,
    figures,
    imports,
    jobs,
    learned,
    limits,
    members,
    messages,
    ml_tables,
    models,
    monitors,
    organisations,
    overdue,
    outbox,
    patterns,
    personal,
    predictions,
    preferences,
    privacy,
    projects,
    prompt_logs,
    pushes,
    recommendations,
    runs,
    schedules,
    stories,
    subjects,
    synthgen,
    tokens,
    users,
    verifications,
    views,
    watches,
    workspaces,
)
METADATA = Base.metadata
