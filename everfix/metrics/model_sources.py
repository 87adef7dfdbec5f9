"""Sources about how good our predictions are: precision, recall, AUC, drift and how the probabilities lie."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.failures import overrulings
from everfix.metrics.measures import SEGMENT, inside, issue_inside
from everfix.metrics.sources import DAYS, Param, Picture, Source, column

OUR_MODEL = "predictions"  # the id under which the loop's own predictions stand beside registered models
WATCH, RETRAIN = 0.1, 0.25  # population stability index from which on a model is watched, or trained again
# Predictions that ended, in the period (now) or in the one before; a prevented one says nothing of whether it was right.
_ENDED = f"""
    ended AS (
        SELECT f.id, f.pattern_id, f.probability, f.outcome = 'hit' AS hit, f.generated_at, f.expires_at, f.expires_at >= :start AS now
        FROM predictions f JOIN patterns p ON p.id = f.pattern_id
        WHERE f.outcome IN ('hit', 'miss') AND f.failures >= 2 AND f.expires_at >= :previous_start AND f.expires_at < :end
            AND (f.expires_at >= :start OR f.expires_at < :previous_end) AND {inside("p")}
    )"""
# Area under the ROC curve: the probability that a hit had been given more than a miss (Mann-Whitney, ties count half).
_AUC = """
    ranked AS (
        SELECT now, hit, rank() OVER (PARTITION BY now ORDER BY probability) + (count(*) OVER (PARTITION BY now, probability) - 1) / 2.0 AS place FROM ended
    ), areas AS (
        SELECT now, count(*) AS n, CASE WHEN bool_or(hit) AND NOT bool_and(hit) THEN
            (sum(place) FILTER (WHERE hit) - count(*) FILTER (WHERE hit) * (count(*) FILTER (WHERE hit) + 1) / 2.0)
                / (count(*) FILTER (WHERE hit) * count(*) FILTER (WHERE NOT hit)) END AS auc
        FROM ranked GROUP BY now
    )"""
_PSI = """
    bins AS (
        SELECT b, count(f.id) FILTER (WHERE f.generated_at >= :start) AS now,
            count(f.id) FILTER (WHERE f.generated_at < :previous_end) AS before
        FROM generate_series(0, 9) b LEFT JOIN predictions f ON least(9, floor(f.probability * 10)) = b AND f.failures >= 2
            AND f.generated_at >= :previous_start AND f.generated_at < :end GROUP BY b
    ), psi AS (
        SELECT CASE WHEN sum(now) > 0 AND sum(before) > 0 THEN sum(((now + 0.5) / t - (before + 0.5) / u) * ln((now + 0.5) / t / ((before + 0.5) / u))) END AS psi
        FROM bins, (SELECT sum(now) + 5 AS t, sum(before) + 5 AS u FROM bins) s
    )"""
_BAND = f"CASE WHEN psi < {WATCH} THEN 'fine' WHEN psi <= {RETRAIN} THEN 'watch' WHEN psi > {RETRAIN} THEN 'retrain' END"
MODEL = Param("modelId", None, 0, 60, kind="text", required=True)


def _figures(when: str) -> tuple[str, ...]:
    """Return precision, recall, Brier score and lead time over the ended predictions of one period."""
    said = f"{when} AND probability >= alert_threshold"
    return (
        f"avg(hit::int) FILTER (WHERE {said})::float",
        f"(count(*) FILTER (WHERE {said} AND hit))::float / nullif(count(*) FILTER (WHERE {when} AND hit), 0)",
        f"round((avg(power(probability - hit::int, 2)) FILTER (WHERE {when}))::numeric, 4)",
        f"avg(lead) FILTER (WHERE {when} AND hit)::float",
    )


_PAIRS = ", ".join(f"{now}, {before}" for now, before in zip(_figures("now"), _figures("NOT now"), strict=True))

SOURCES = (
    Source(
        "prediction_accuracy",
        "How right the predictions were",
        "Predictions that ended in the period, of patterns that had failed at least twice. Precision and recall: at the "
        "workspace's alert threshold. Lead time: from the prediction to the failure. Those that a fix prevented are left out.",
        (
            column("settled", "Settled", Unit.COUNT),
            column("settled_before", "Settled before", Unit.COUNT),
            column("precision", "Precision", Unit.PERCENT, better="up"),
            column("precision_before", "Precision before", Unit.PERCENT),
            column("recall", "Recall", Unit.PERCENT, better="up"),
            column("recall_before", "Recall before", Unit.PERCENT),
            column("brier", "Brier score", Unit.NUMBER, better="down"),
            column("brier_before", "Brier score before", Unit.NUMBER),
            column("lead_time", "Lead time", Unit.SECONDS, better="up"),
            column("lead_time_before", "Lead time before", Unit.SECONDS),
        ),
        f"""
        WITH {_ENDED}, timed AS (
            SELECT e.*, extract(epoch FROM (SELECT min(h.hour) FROM pattern_hours h WHERE h.pattern_id = e.pattern_id
                AND h.hour > e.generated_at AND h.hour <= e.expires_at) - e.generated_at) AS lead FROM ended e
        )
        SELECT count(id) FILTER (WHERE now), count(*) FILTER (WHERE NOT now), {_PAIRS} FROM timed RIGHT JOIN (SELECT alert_threshold FROM workspaces) w ON true
        """,
        (DAYS, SEGMENT),
        figures=True,
    ),
    Source(
        "grouping_quality",
        "Grouping, as people corrected it",
        "Failures of the period and what people said of their groups. Corrections per 1,000 assignments count words, not what they moved. Pair "
        "precision: of the pairs that the loop put together in groups a person corrected or closed, the share that is still together; people look "
        "where something seems wrong, so all groups are likely better. Intervals are Wilson's, 95 %; that of precision counts groups, since "
        "the pairs of one group stand or fall together.",
        (
            column("assigned", "Assignments", Unit.COUNT),
            column("words", "Corrections", Unit.COUNT, better="down"),
            column("joined", "Groups joined by people", Unit.COUNT),
            column("parted", "Failures taken out by people", Unit.COUNT),
            column("overruled", "Assignments overruled", Unit.COUNT, better="down"),
            column("per_thousand", "Corrections per 1,000", Unit.NUMBER, better="down"),
            column("per_thousand_low", "Per 1,000, at least", Unit.NUMBER),
            column("per_thousand_high", "Per 1,000, at most", Unit.NUMBER),
            column("groups_seen", "Groups looked at", Unit.COUNT),
            column("pairs_seen", "Pairs in them", Unit.COUNT),
            column("pair_precision", "Pair precision", Unit.PERCENT, better="up"),
            column("pair_precision_low", "Precision, at least", Unit.PERCENT),
            column("pair_precision_high", "Precision, at most", Unit.PERCENT),
        ),
        overrulings.query(issue_inside("i"), inside("p")),
        (DAYS, SEGMENT),
        figures=True,
        ids=("joined", "parted", "overruled", "per_thousand_low", "per_thousand_high", "pairs_seen"),
    ),
    Source(
        "model_auc_summary_with_prev",
        "AUC by model",
        "How well each model tells what fails from what does not: 1 is perfect, 0.5 is chance. Latest evaluation against the "
        "one before; a model without an AUC is left out.",
        (
            column("model", "Model"),
            column("model_type", "Type"),
            column("auc", "AUC", Unit.NUMBER, better="up"),
            column("previous_auc", "AUC before", Unit.NUMBER),
            column("evaluated_on", "Evaluated on", Unit.COUNT),
        ),
        f"""
        WITH {_ENDED}, {_AUC}
        SELECT 'Recurrence predictions', 'forecast', round(a.auc, 4), round(b.auc, 4), a.n
        FROM areas a LEFT JOIN areas b ON NOT b.now WHERE a.now AND a.auc IS NOT NULL
        """,
        (DAYS, SEGMENT),
        empty="No model has an AUC yet: predictions must have ended in this period, some right and some wrong.",
    ),
    Source(
        "model_drift",
        "Drift by model",
        "How far the probabilities of this period lie from those of the period before, as population stability index: below "
        f"{WATCH} fine, up to {RETRAIN} to watch, above that to train again.",
        (
            column("model", "Model"),
            column("version", "Version"),
            column("psi_score", "PSI", Unit.NUMBER, better="down"),
            column("band", "Band"),
            column("auc_delta", "AUC change", Unit.NUMBER, better="up"),
            column("checked_at", "Checked", Unit.DATETIME),
        ),
        f"""
        WITH {_ENDED}, {_AUC}, {_PSI}
        SELECT 'Recurrence predictions', (SELECT max(model_version) FROM predictions WHERE status = 'active'), round(psi, 4), {_BAND},
            round((SELECT auc FROM areas WHERE now) - (SELECT auc FROM areas WHERE NOT now), 4), cast(:end AS timestamptz)
        FROM psi WHERE psi IS NOT NULL
        """,
        (DAYS, SEGMENT),
        empty="Drift needs predictions in this period and in the one before.",
    ),
    Source(
        "model_metrics_trend",
        "Quality of a model over time",
        f"AUC and Brier score of one model by the week in which its predictions ended; `{OUR_MODEL}` are the loop's own.",
        (
            column("date", "Week of", Unit.DATE),
            column("auc", "AUC", Unit.NUMBER, better="up"),
            column("brier", "Brier score", Unit.NUMBER, better="down"),
            column("predictions", "Predictions", Unit.COUNT),
        ),
        f"""
        WITH {_ENDED}, weeks AS (
            SELECT date_trunc('week', expires_at AT TIME ZONE :timezone)::date AS week, hit, probability FROM ended WHERE now AND cast(:modelId AS text) = '{OUR_MODEL}'
        ), ranked AS (
            SELECT *, rank() OVER (PARTITION BY week ORDER BY probability) + (count(*) OVER (PARTITION BY week, probability) - 1) / 2.0 AS place FROM weeks
        )
        SELECT week, CASE WHEN bool_or(hit) AND NOT bool_and(hit) THEN
            round((sum(place) FILTER (WHERE hit) - count(*) FILTER (WHERE hit) * (count(*) FILTER (WHERE hit) + 1) / 2.0)
                / (count(*) FILTER (WHERE hit) * count(*) FILTER (WHERE NOT hit)), 4) END, round(avg(power(probability - hit::int, 2))::numeric, 4), count(*)
        FROM ranked GROUP BY week ORDER BY week
        """,
        (MODEL, DAYS, SEGMENT),
        picture=Picture("line", "date", ("auc", "brier"), "AUC and Brier score of the model, week by week."),
        empty="No prediction of this model has ended in this period.",
    ),
    Source(
        "score_distribution",
        "How the probabilities lie",
        "Standing predictions in ten steps of probability, together or by source (channel), pattern (offer) or domain "
        "(category); filterId keeps one of those.",
        (
            column("group", "Group"),
            column("from_score", "From", Unit.PROBABILITY),
            column("to_score", "To", Unit.PROBABILITY),
            column("count", "Predictions", Unit.COUNT, bar=True),
        ),
        f"""
        WITH standing AS (
            SELECT f.id, least(9, floor(f.probability * 10))::int AS b, g.name, g.key FROM predictions f JOIN patterns p ON p.id = f.pattern_id, LATERAL (
                SELECT 'all' AS name, '' AS key WHERE cast(:groupBy AS text) IS NULL
                UNION ALL SELECT p.name, p.id::text WHERE cast(:groupBy AS text) = 'offer'
                UNION ALL SELECT p.domain, p.domain WHERE cast(:groupBy AS text) = 'category' AND p.domain IS NOT NULL
                UNION ALL SELECT DISTINCT i.source, i.source FROM issues i WHERE i.pattern_id = p.id AND cast(:groupBy AS text) = 'channel'
            ) g WHERE f.status = 'active' AND f.failures >= 2 AND {inside("p")}
        )
        SELECT name, b / 10.0, (b + 1) / 10.0, count(*) FROM standing
        WHERE cast(:filterId AS text) IS NULL OR cast(:filterId AS text) IN (key, name) GROUP BY name, key, b ORDER BY name, key, b LIMIT :limit
        """,
        (
            Param("groupBy", None, choices=("channel", "offer", "category")),
            Param("filterId", None, 0, 200, kind="text"),
            DAYS,
            Param("limit", 500, 1, 1000),
            SEGMENT,
        ),
        empty="No pattern has a prediction yet.",
    ),
)
