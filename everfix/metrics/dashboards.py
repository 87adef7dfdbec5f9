"""Dashboards: each an ordered list of parts over sources. One entry is a page, an export and a report that can be saved from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from everfix.errors import Invalid
from everfix.metrics import query

PERIODS = {"today": 1, "7d": 7, "14d": 14, "30d": 30, "90d": 90}
DEFAULT_PERIOD = "7d"


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One source on a dashboard. `saved`: a report saved from the dashboard holds it; `span` of 12 columns is its width on the page."""

    source: str
    title: str = ""
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    span: int = 12
    saved: bool = True

    def given(self, days: int, segment: str | None) -> dict[str, Any]:
        """Return the parameters of this part for a period and a segment, where its source has such."""
        known = {param.key for param in query.find(self.source).params}
        wanted = {"days": days, "segmentId": segment or None}
        return {**self.params, **{key: value for key, value in wanted.items() if key in known and value is not None}}


@dataclasses.dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard. `segments`: whether its figures can be narrowed to a service, a team or a domain."""

    key: str
    name: str
    about: str
    parts: tuple[Part, ...]
    segments: bool = True

    @property
    def saved(self) -> tuple[Part, ...]:
        """The parts that a report holds, in the order of the reference."""
        return tuple(part for part in self.parts if part.saved)


DASHBOARDS = {
    dashboard.key: dashboard
    for dashboard in (
        Dashboard(
            "executive",
            "Executive",
            "What broke, what came back, what was proven fixed and what is due next.",
            (
                Part("summary_with_comparison", "At a glance"),
                Part("offer_performance", "What was due, by pattern", {"limit": 10}),
                Part("anomaly_candidates", "Anomalies", {"limit": 20}, span=6),
                Part("offer_performance_grouped", "What was due, by service", {"groupBy": "segment", "limit": 10}, span=6),
                Part("segment_patterns", "Where which pattern fails", span=12, saved=False),
            ),
        ),
        Dashboard(
            "business",
            "Business",
            "What failures cost, by service, team and domain, and what fixes avoided.",
            (
                Part("exposure_figures", "At a glance", saved=False),
                Part("exposure_trend", "Exposure a day", span=6, saved=False),
                Part("revenue_trend", "Exposure avoided a day", span=6),
                Part("exposure_by_segment", "Exposure by service", {"by": "service", "limit": 10}, span=6),
                Part("exposure_by_segment", "Exposure by team", {"by": "team", "limit": 10}, span=6, saved=False),
                Part("exposure_by_segment", "Exposure by domain", {"by": "domain", "limit": 10}, span=6, saved=False),
                Part("offer_performance", "Costliest patterns", {"limit": 20}, span=12),
                Part("channel_effectiveness", "Effectiveness by source", span=6),
                Part("funnel", "From issue to proven fix", span=6),
                Part("budget_burn", "Failure budgets", {"limit": 10}, span=12),
            ),
        ),
        Dashboard(
            "operations",
            "Operations",
            "How fast failures are analysed, what waits and what was given up.",
            (
                Part("latency_summary", "At a glance"),
                Part("latency_trend", "Latency a day", span=6, saved=False),
                Part("latency_runs", "Latency of each run", {"limit": 40}, span=6, saved=False),
                Part("decision_traces_summary", "The loop, stage by stage", span=12),
                Part("acceptance_rate", "Prevention rate by pattern", span=12, saved=False),
                Part("mtta_mttr", "Time to acknowledge and to resolve", {"limit": 10}, span=12),
                Part("queue_backlog", "Queue", span=12),
                Part("connector_runs", "Runs", {"limit": 30}, span=12),
                Part("dead_letters", "Dead letters", span=12),
                Part("circuit_breakers", "Circuit breakers", {"limit": 50}, span=12),
                Part("breaker_changes", "Changes of circuit breakers", {"limit": 50}, span=12, saved=False),
            ),
        ),
        Dashboard(
            "model-health",
            "Model Health",
            "How right the predictions were, how sure they are, and whether they drift.",
            (
                Part("prediction_accuracy", "At a glance"),
                Part("grouping_quality", "Grouping, as people corrected it"),
                Part("prediction_calibration", "Said and happened", span=6),
                Part("model_metrics_trend", "Quality week by week", {"modelId": "predictions"}, span=6, saved=False),
                Part("model_auc_summary_with_prev", "AUC by model"),
                Part("model_drift", "Drift by model"),
                Part("prediction_outcomes", "Forecasts: hits and misses", span=6, saved=False),
                Part("score_distribution", "How the probabilities lie", span=6, saved=False),
            ),
        ),
        Dashboard(
            "data-health",
            "Data Health",
            "What comes in, how fresh it is, and what was refused.",
            (
                Part("ingest_volume", "Failures a day, against usual", span=12, saved=False),
                Part("connector_health", "Volume by source, against usual", {"limit": 50}, span=12),
                Part("sync_freshness", "Freshness by source", {"limit": 50}, span=12),
                Part("rejects", "Refused records", {"limit": 20}, span=12),
                Part("dead_letters", "Dead letters", span=12),
                Part("late_arrivals", "Late arrivals", {"limit": 20}, span=12),
                Part("failed_checks", "Failed checks", {"limit": 20}, span=12),
                Part("source_schemas", "Shape of what comes in", {"limit": 50}, span=12),
                Part("connector_runs", "Runs", {"limit": 30}, span=12, saved=False),
                Part("circuit_breakers", "Circuit breakers", {"limit": 50}, span=12),
            ),
            segments=False,
        ),
        Dashboard(
            "attribution",
            "Attribution",
            "Which fixes deserve the credit for what was prevented.",
            (
                Part("attribution_credit", "Credit by fix", span=12),
                Part("attribution_by_kind", "Credit by kind of fix", span=6, saved=False),
                Part("attribution_paths", "Paths to prevented returns", {"limit": 50}, span=12),
            ),
        ),
    )
}


def get(key: str) -> Dashboard:
    """Return a dashboard; raises Invalid naming those there are."""
    found = DASHBOARDS.get(key)
    if found is None:
        raise Invalid(f"there is no dashboard {key[:40]!r}", details={"dashboard": f"one of {', '.join(DASHBOARDS)}"})
    return found


def days(period: str) -> int:
    """Return a period's length in days; raises Invalid naming those there are."""
    found = PERIODS.get(period.lower())
    if found is None:
        raise Invalid(f"{period[:40]!r} is no period", details={"period": f"one of {', '.join(PERIODS)}"})
    return found


def saved(dashboard: Dashboard, length: int, segment: str | None, more: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return the sections of a report saved from a dashboard, with what is on screen baked into their parameters."""
    made = []
    for part in dashboard.saved:
        known = {param.key for param in query.find(part.source).params}
        chosen = {key: value for key, value in (more or {}).items() if key in known}
        made.append({"id": part.source, "title": part.title, "source": part.source, "params": part.given(length, segment) | chosen})
    return made
