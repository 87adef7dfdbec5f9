"""Sources about which fixes deserve the credit for what was prevented.

A conversion is the returns that one watched fix prevented in the period; its touchpoints are what was done on the pattern before
it: recommendations carried out, steps ticked off, and changes to its service, from one proof window before the fix on.
"""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.measures import HOLDS, SEGMENT, inside, watched
from everfix.metrics.sources import DAYS, Param, Source, column

MODELS = ("linear", "last_touch", "first_touch", "time_decay", "position_based")
MODEL = Param("model", "linear", choices=MODELS)
HALF_LIFE = Param("halfLifeDays", 7, 1, 365)
_PATTERN, _CONVERSION = (Param(key, None, 0, 60, kind="text") for key in ("customerId", "conversionId"))
# The share of touchpoint `place` of `n`, and for decay the weight by its distance from the conversion.
_WEIGHT = """CASE cast(:model AS text)
    WHEN 'last_touch' THEN (place = n)::int WHEN 'first_touch' THEN (place = 1)::int WHEN 'linear' THEN 1.0 / n
    WHEN 'time_decay' THEN power(0.5, (extract(epoch FROM last - at) / 86400.0 / :halfLifeDays)::float)
    ELSE CASE WHEN n = 1 THEN 1.0 WHEN n = 2 THEN 0.5 WHEN place IN (1, n) THEN 0.4 ELSE 0.2 / (n - 2) END END"""
CREDITED = f"""
    conversions AS (
        SELECT v.id, v.pattern_id, p.name, p.service, p.team, v.claimed_at, v.claimed_at - make_interval(days => w.ai_proof_window_days) AS since,
            least(v.window_ends_at, cast(:end AS timestamptz)) AS at, {watched(":start", ":end")} AS prevented, w.loop_cost
        FROM verifications v JOIN patterns p ON p.id = v.pattern_id, workspaces w
        WHERE {HOLDS} AND {inside("p")} AND (cast(:customerId AS text) IS NULL OR p.id::text = :customerId)
            AND (cast(:conversionId AS text) IS NULL OR v.id::text = :conversionId)
    ), touches AS (
        SELECT c.id AS conversion, r.id AS fix, r.title, 'recommendation' AS kind, v.claimed_at AS at FROM conversions c
        JOIN verifications v ON v.pattern_id = c.pattern_id AND v.verdict <> 'failed' JOIN recommendations r ON r.id = v.recommendation_id
        WHERE v.claimed_at >= c.since AND v.claimed_at <= c.at
        UNION ALL
        SELECT c.id, s.id, s.title, 'step', s.completed_at FROM conversions c JOIN recommendation_patterns rp ON rp.pattern_id = c.pattern_id
        JOIN recommendation_steps s ON s.recommendation_id = rp.recommendation_id WHERE s.completed_at >= c.since AND s.completed_at <= c.at
        UNION ALL
        SELECT c.id, g.id, g.title, 'change', g.occurred_at FROM conversions c JOIN changes g ON g.service = c.service
        WHERE g.kind IN ('fix', 'config', 'flag') AND g.occurred_at >= c.since AND g.occurred_at <= c.at
    ), placed AS (
        SELECT t.*, row_number() OVER o AS place, count(*) OVER (PARTITION BY conversion) AS n, max(at) OVER (PARTITION BY conversion) AS last
        FROM touches t WINDOW o AS (PARTITION BY conversion ORDER BY at, kind, fix)
    ), weighed AS (SELECT *, {_WEIGHT} AS weight FROM placed),
    credited AS (
        SELECT w.*, c.pattern_id, c.name AS pattern, c.service, c.team, c.prevented, c.loop_cost, w.weight / sum(w.weight) OVER (PARTITION BY conversion) AS credit
        FROM weighed w JOIN conversions c ON c.id = w.conversion
    )"""
_COMMON = (DAYS, MODEL, HALF_LIFE, SEGMENT, _PATTERN, _CONVERSION)

SOURCES = (
    Source(
        "attribution_credit",
        "Credit by fix",
        "Which fixes deserve the credit for the returns prevented in the period, by the model chosen: linear shares evenly, "
        "first and last touch give all to one, time decay favours what came later, position-based gives 40 % to the first, 40 % "
        "to the last and 20 % to those between.",
        (
            column("fix", "Fix", wide=True),
            column("kind", "Kind"),
            column("pattern", "Pattern", wide=True),
            column("service", "Service"),
            column("prevented", "Returns prevented", Unit.NUMBER, better="up", bar=True),
            column("value", "Exposure avoided", Unit.MONEY, better="up"),
        ),
        f"""
        WITH {CREDITED}
        SELECT title, kind, min(pattern), min(service), round(sum(credit * prevented)::numeric, 2), round(sum(credit * prevented * loop_cost)::numeric, 2), min(pattern_id::text)
        FROM credited GROUP BY fix, title, kind HAVING sum(credit * prevented) > 0 ORDER BY 5 DESC, fix LIMIT :limit
        """,
        (*_COMMON, Param("limit", 20, 1, 1000)),
        page="/patterns/{}",
        empty="No fix was being watched in this period.",
    ),
    Source(
        "attribution_by_kind",
        "Credit by kind of fix",
        "The credit of all fixes of a kind: recommendations carried out, steps ticked off, changes to the service.",
        (
            column("kind", "Kind"),
            column("touchpoints", "Touchpoints", Unit.COUNT),
            column("prevented", "Returns prevented", Unit.NUMBER, better="up", bar=True),
            column("value", "Exposure avoided", Unit.MONEY, better="up"),
        ),
        f"""
        WITH {CREDITED}
        SELECT kind, count(*), round(sum(credit * prevented)::numeric, 2), round(sum(credit * prevented * loop_cost)::numeric, 2)
        FROM credited GROUP BY kind HAVING sum(credit * prevented) > 0 ORDER BY 3 DESC, kind
        """,
        _COMMON,
        empty="No fix was being watched in this period.",
    ),
    Source(
        "attribution_paths",
        "Paths to prevented returns",
        "For each watched fix: what was done on its pattern, in order, with the share of the credit that each step gets.",
        (
            column("pattern", "Pattern", wide=True),
            column("conversion", "Conversion"),
            column("at", "When", Unit.DATETIME),
            column("fix", "Fix", wide=True),
            column("kind", "Kind"),
            column("touchpoint", "Touchpoint"),
            column("credit", "Credit", Unit.PERCENT, bar=True),
            column("value", "Exposure avoided", Unit.MONEY, better="up"),
        ),
        f"""
        WITH {CREDITED}
        SELECT pattern, conversion::text, at, title, kind, fix::text, credit, round((credit * prevented * loop_cost)::numeric, 2), pattern_id
        FROM credited WHERE prevented > 0 ORDER BY prevented DESC, conversion, place LIMIT :limit
        """,
        (*_COMMON, Param("limit", 100, 1, 1000)),
        page="/patterns/{}",
        ids=("conversion", "touchpoint"),
        empty="No fix was being watched in this period.",
    ),
)
