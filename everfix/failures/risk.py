"""Risk: 0–100, a sum of parts that are shown. Pattern: severity ≤ 30, frequency ≤ 25, probability of return ≤ 30, trend ≤ 15.
Issue: its own severity ≤ 40 and 60 % of its pattern's score.
"""

from __future__ import annotations

import json
import math

SEVERITY = {"p1": 30, "p2": 22, "p3": 13, "p4": 5}
SEVERITY_POINTS_JSON = json.dumps({"p1": 40, "p2": 29, "p3": 17, "p4": 7})
FREQUENT = 60  # failures a month that earn all points for frequency
FREQUENCY, PROBABILITY, TREND = 25, 30, 15


def of_pattern(severity: str, last_month: int, month_before: int, probability: float) -> dict[str, int]:
    """Return the parts of a pattern's risk from its usual severity, failures of the last 30 and the 30 days before, and probability 0–1."""
    frequency = FREQUENCY * min(1.0, math.log1p(last_month) / math.log1p(FREQUENT))
    growth = (last_month - month_before) / (last_month + month_before + 2)  # -1 … 1; the 2 keeps one failure from being a trend
    return {
        "severity": SEVERITY[severity],
        "frequency": round(frequency),
        "probability": round(PROBABILITY * probability),
        "trend": round(TREND * max(0.0, growth)),
    }


def total(parts: dict[str, int]) -> int:
    """Return the score that the parts add up to."""
    return max(0, min(100, sum(parts.values())))
