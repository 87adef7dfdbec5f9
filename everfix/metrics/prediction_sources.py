"""Sources about predictions: what is due, and how right we were."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.sources import LIMIT, Source, column

_NOW = "f.status = 'active' AND f.failures >= 2"  # what failed once is no loop yet
_SETTLED = "outcome IS NOT NULL AND failures >= 2 AND expires_at >= :start AND expires_at < :end"
_SETTLED_BEFORE = "outcome IS NOT NULL AND failures >= 2 AND expires_at >= :previous_start AND expires_at < :previous_end"
_HIT = "(CASE WHEN outcome = 'hit' THEN 1.0 ELSE 0.0 END)"

SOURCES = (
    Source(
        "prediction_figures",
        "Predictions",
        "How many predictions stand for patterns that failed at least twice, and how those that ended in the period did. Brier score: mean squared error of the probability, 0 is perfect.",
        (
            column("total", "Predictions", Unit.COUNT),
            column("high", "At 80 % and more", Unit.COUNT, better="down"),
            column("above_threshold", "Above alert threshold", Unit.COUNT, better="down"),
            column("average", "Average probability", Unit.PROBABILITY, better="down"),
            column("settled", "Settled", Unit.COUNT),
            column("brier", "Brier score", Unit.NUMBER, better="down"),
            column("brier_before", "Brier score before", Unit.NUMBER),
            column("brier_base", "Brier score of the base rate", Unit.NUMBER),
        ),
        f"""
        SELECT (SELECT count(*) FROM predictions f WHERE {_NOW}), (SELECT count(*) FROM predictions f WHERE {_NOW} AND f.probability >= 0.8),
            (SELECT count(*) FROM predictions f, workspaces w WHERE {_NOW} AND f.probability >= w.alert_threshold),
            (SELECT avg(f.probability) FROM predictions f WHERE {_NOW}),
            count(*) FILTER (WHERE {_SETTLED}), round((avg(power(probability - {_HIT}, 2)) FILTER (WHERE {_SETTLED}))::numeric, 4),
            round((avg(power(probability - {_HIT}, 2)) FILTER (WHERE {_SETTLED_BEFORE}))::numeric, 4),
            round((avg({_HIT}) FILTER (WHERE {_SETTLED}) * (1 - avg({_HIT}) FILTER (WHERE {_SETTLED})))::numeric, 4)
        FROM predictions
        """,
    ),
    Source(
        "predictions_due",
        "Likely to come back",
        "The standing predictions, most probable first.",
        (
            column("pattern", "Pattern", wide=True),
            column("service", "Service"),
            column("probability", "Probability", Unit.PROBABILITY, better="down", bar=True),
            column("lower", "From", Unit.PROBABILITY),
            column("upper", "To", Unit.PROBABILITY),
            column("window_days", "Within", Unit.DAYS),
            column("impact", "Impact"),
            column("likely_trigger", "Likely trigger", wide=True),
        ),
        f"""
        SELECT p.name, p.service, f.probability, f.lower, f.upper, f.window_days, f.impact, f.likely_trigger, p.id
        FROM predictions f JOIN patterns p ON p.id = f.pattern_id WHERE {_NOW} ORDER BY f.probability DESC, p.risk_score DESC, p.id LIMIT :limit
        """,
        (LIMIT,),
        counts=f"SELECT count(*) FROM predictions f WHERE {_NOW}",
        page="/patterns/{}",
        empty="No pattern has a prediction yet.",
    ),
    Source(
        "prediction_matrix",
        "Probability and impact",
        "The standing predictions, most probable first, each by its probability and its pattern's risk.",
        (
            column("pattern", "Pattern", wide=True),
            column("likelihood", "Likelihood", Unit.PROBABILITY, better="down"),
            column("impact", "Impact", Unit.SCORE, better="down"),
        ),
        f"""
        SELECT p.name, f.probability, p.risk_score, p.id
        FROM predictions f JOIN patterns p ON p.id = f.pattern_id WHERE {_NOW} ORDER BY f.probability DESC, p.risk_score DESC, p.id LIMIT :limit
        """,
        (LIMIT,),
        counts=f"SELECT count(*) FROM predictions f WHERE {_NOW}",
        page="/patterns/{}",
        empty="No pattern has a prediction yet.",
    ),
    Source(
        "prediction_calibration",
        "Said and happened",
        "Settled predictions of the period in steps of probability: what was said against how often it happened.",
        (
            column("said", "Said", Unit.PROBABILITY),
            column("happened", "Happened", Unit.PROBABILITY),
            column("predictions", "Predictions", Unit.COUNT),
        ),
        f"""
        SELECT round(avg(probability)::numeric, 4), round(avg({_HIT}), 4), count(*) FROM predictions WHERE {_SETTLED}
        GROUP BY least(9, floor(probability * 10)) ORDER BY 1
        """,
        empty="No prediction has ended in this period yet.",
    ),
    Source(
        "prediction_outcomes",
        "Outcomes a week",
        "Settled predictions by week: the pattern failed again (hit), a fix prevented it, or nothing came (miss).",
        (
            column("week", "Week of", Unit.DATE),
            column("hits", "Hit", Unit.COUNT),
            column("prevented", "Prevented", Unit.COUNT),
            column("misses", "Miss", Unit.COUNT),
            column("brier", "Brier score", Unit.NUMBER, better="down"),
        ),
        f"""
        SELECT date_trunc('week', expires_at AT TIME ZONE :timezone)::date, count(*) FILTER (WHERE outcome = 'hit'),
            count(*) FILTER (WHERE outcome = 'prevented'), count(*) FILTER (WHERE outcome = 'miss'), round(avg(power(probability - {_HIT}, 2))::numeric, 4)
        FROM predictions WHERE {_SETTLED} GROUP BY 1 ORDER BY 1
        """,
        empty="No prediction has ended in this period yet.",
    ),
    Source(
        "forecast_by_day",
        "Failures expected",
        "Open loops expected to fail in the coming window, observed for the past: mean number of distinct patterns failing per window.",
        (
            column("day", "Day", Unit.DATE),
            column("observed", "Observed", Unit.NUMBER),
            column("expected", "Expected", Unit.NUMBER),
            column("lower", "Low", Unit.NUMBER),
            column("upper", "High", Unit.NUMBER),
        ),
        """
        WITH weeks AS (
            SELECT d AS at, n FROM generate_series(0, 11) n, LATERAL (SELECT cast(:end AS timestamptz) - make_interval(days => 7 * n) AS d) x
        ), past AS (
            SELECT (w.at AT TIME ZONE :timezone)::date AS day, count(DISTINCT h.pattern_id)::float AS observed
            FROM weeks w LEFT JOIN pattern_hours h ON h.hour > w.at - interval '7 days' AND h.hour <= w.at
                AND EXISTS (SELECT FROM patterns p WHERE p.id = h.pattern_id AND p.issue_count >= 2)
            GROUP BY 1
        ), next AS (
            SELECT sum(f.probability) AS mean, sqrt(sum(f.probability * (1 - f.probability))) AS sd
            FROM predictions f JOIN patterns p ON p.id = f.pattern_id WHERE f.status = 'active' AND f.failures >= 2
        )
        SELECT day, observed, NULL::float, NULL::float, NULL::float FROM past
        UNION ALL SELECT (cast(:end AS timestamptz) AT TIME ZONE :timezone)::date + 7, NULL, round(mean::numeric, 1), round(greatest(0, mean - 1.645 * sd)::numeric, 1),
            round((mean + 1.645 * sd)::numeric, 1) FROM next WHERE mean IS NOT NULL
        ORDER BY 1
        """,
    ),
)
