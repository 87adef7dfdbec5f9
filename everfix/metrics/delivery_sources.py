"""Sources about deliveries: what was expected against what arrived."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.sources import LIMIT, Source, column

_IN = "d.created_at >= :start AND d.created_at < :end"

SOURCES = (
    Source(
        "expected_and_delivered",
        "Expected and delivered",
        "Deliveries of the period by schedule: how many were due, and what became of them.",
        (
            column("schedule", "Schedule"),
            column("slots", "Slots", Unit.COUNT),
            column("expected", "Expected", Unit.COUNT),
            column("sent", "Sent", Unit.COUNT, better="up"),
            column("failed", "Failed", Unit.COUNT, better="down"),
            column("skipped", "Left out on purpose", Unit.COUNT),
            column("waiting", "Waiting", Unit.COUNT),
        ),
        f"""
        SELECT coalesce(s.name, CASE WHEN d.schedule_id IS NULL THEN 'by hand' ELSE 'a schedule that was deleted' END),
            count(DISTINCT d.slot), count(*), count(*) FILTER (WHERE d.status = 'sent'), count(*) FILTER (WHERE d.status = 'failed'),
            count(*) FILTER (WHERE d.status = 'skipped'), count(*) FILTER (WHERE d.status IN ('planned', 'held', 'queued', 'sending'))
        FROM deliveries d LEFT JOIN report_schedules s ON s.id = d.schedule_id
        WHERE {_IN} GROUP BY 1 ORDER BY 5 DESC, 3 DESC, 1 LIMIT :limit
        """,
        (LIMIT,),
        empty="Nothing was to be delivered in this period.",
    ),
    Source(
        "failed_deliveries",
        "What did not arrive",
        "Deliveries of the period that failed, newest first, with the cause.",
        (
            column("at", "When", Unit.DATETIME),
            column("recipient", "Recipient"),
            column("channel", "Channel"),
            column("attempts", "Tries", Unit.COUNT),
            column("cause", "Cause", wide=True),
        ),
        f"""
        SELECT d.created_at, d.label, d.channel, d.attempts, left(d.reason, 300) FROM deliveries d
        WHERE {_IN} AND d.status = 'failed' ORDER BY d.created_at DESC, d.id DESC LIMIT :limit
        """,
        (LIMIT,),
        counts=f"SELECT count(*) FROM deliveries d WHERE {_IN} AND d.status = 'failed'",
        empty="Everything that was due arrived.",
    ),
)
