"""What a workspace believes of forecasts before it has settled any of its own: a level and a weight for each feature.

Written by bench/fit_forecasts.py, which says what it read. Weights are log-odds for one standard deviation of a feature; the level is the
log-odds of a pattern whose features are all usual. Every workspace moves away from them with its own hits and misses.
"""

from __future__ import annotations

import numpy as np

from everfix.failures import features

Floats = features.Floats

TOLD: dict[str, float] = {
    "level": -1.320,
    "share_1": -0.480,
    "share_3": 0.184,
    "share_8": 0.383,
    "share_20": -0.102,
    "share_60": 0.014,
    "count_1": 0.172,
    "count_4": 0.082,
    "count_16": 0.114,
    "recency": -0.611,
    "recency_squared": 0.047,
    "overdue": -0.241,
    "age": -0.161,
    "known": 0.312,
    "burst": -0.154,
    "activity": 0.037,
    "siblings_1": 0.249,
    "siblings_8": -0.074,
    "failures_0.5": 0.095,
    "failures_1": -0.051,
    "failures_2": -0.110,
    "failures_4": -0.003,
    "failures_8": 0.030,
    "slot_0": -0.107,
    "slot_1": 0.005,
    "slot_2": -0.003,
    "slot_3": 0.037,
    "gap_longer": -0.178,
    "gap_hazard": 0.063,
    "base_1": -0.074,
    "base_3": 0.060,
    "base_20": 0.051,
    "newborn": 0.029,
    "young": 0.020,
    "few": -0.076,
    "share_x_recency": -0.059,
    "share_x_known": 0.238,
    "recency_x_known": -0.071,
    "share_squared": -0.078,
    "age_x_recency": 0.233,
    "activity_x_share": 0.010,
    "activity_x_recency": 0.025,
    "last_failures": 0.279,
    "week": 0.354,
    "day": 0.454,
    "week_x_share": 0.000,
}

TOLD_PLAINLY: dict[str, float] = {
    "level": -1.312,
    "share_1": -0.534,
    "share_3": 0.428,
    "share_8": 0.603,
    "share_20": -0.009,
    "share_60": -0.099,
    "count_1": 0.238,
    "count_4": -0.003,
    "count_16": 0.084,
    "recency": -0.430,
    "recency_squared": 0.199,
    "overdue": -0.233,
    "age": -0.349,
    "known": 0.561,
    "burst": -0.060,
    "activity": 0.042,
    "share_squared": 0.024,
    "week": 0.349,
    "day": 0.498,
}


def _vector(told: dict[str, float]) -> Floats:
    return np.array([told.get(name, 0.0) for name in ("level", *features.NAMES)])


WHOLE = _vector(TOLD)  # for learners that see every feature
PLAIN = _vector(TOLD_PLAINLY)  # for the one that sees the core features alone
