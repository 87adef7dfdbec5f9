"""Sources about circuit breakers: which destinations are left alone now, and what changed."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.sources import LIMIT, Source, column

SOURCES = (
    Source(
        "circuit_breakers",
        "Circuit breakers",
        "Each destination that ever failed, and the mail server: open (left alone until the next try), half open (being tried), or closed (all is well); "
        "with the deliveries that wait for it now.",
        (
            column("breaker", "Breaker"),
            column("state", "State"),
            column("failures", "Failures in a row", Unit.COUNT, better="down"),
            column("held", "Held", Unit.COUNT, better="down"),
            column("since", "Since", Unit.DATETIME),
            column("retry_at", "Next try", Unit.DATETIME),
            column("cause", "Last cause", wide=True),
        ),
        """
        SELECT b.title, b.state, b.failures, (SELECT count(*) FROM deliveries d WHERE d.status = 'held' AND d.held_since IS NOT NULL
            AND b.name = CASE WHEN d.channel = 'mail' OR d.destination_id IS NULL THEN d.channel ELSE 'destination:' || d.destination_id END),
            b.changed_at, b.retry_at, b.cause FROM breakers b ORDER BY array_position(ARRAY['open', 'half_open', 'closed'], b.state), b.failures DESC, b.title, b.id LIMIT :limit
        """,
        (LIMIT,),
        counts="SELECT count(*) FROM breakers",
        empty="No destination has failed.",
    ),
    Source(
        "breaker_changes",
        "Changes of circuit breakers",
        "When a breaker opened, was tried and closed in the period, newest first, with the cause.",
        (
            column("at", "When", Unit.DATETIME),
            column("breaker", "Breaker"),
            column("state", "State"),
            column("cause", "Cause", wide=True),
        ),
        """
        SELECT (h ->> 'at')::timestamptz, b.title, h ->> 'state', h ->> 'cause' FROM breakers b, jsonb_array_elements(b.history) WITH ORDINALITY AS x(h, n)
        WHERE (h ->> 'at')::timestamptz >= :start AND (h ->> 'at')::timestamptz < :end ORDER BY 1 DESC, b.title, n DESC LIMIT :limit
        """,
        (LIMIT,),
        empty="No breaker changed in this period.",
    ),
)
