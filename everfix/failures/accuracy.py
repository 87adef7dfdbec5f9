"""Accuracy: how right the settled predictions were, against what guessing the base rate would have scored.

Only patterns that had failed at least twice are scored: what failed once is no loop yet. `prevented` counts as no return: none came.
Brier (1950) score: mean squared error of the probability. Log loss: mean −log of the probability given to what happened. ECE: mean gap between said and happened
over ten steps of probability, weighted by their size. Base rate: the share of settled predictions that were hits.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from scipy import stats
from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.identity import workspaces

STEPS = 10
TINY = 1e-6  # a probability of 0 or 1 that was wrong would cost infinitely much


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """Predictions of one step of probability: what was said on average, and how often it happened."""

    said: float
    happened: float
    predictions: int


@dataclasses.dataclass(frozen=True, slots=True)
class Accuracy:
    """The track record; figures are None where nothing has settled, or where only one outcome has been seen (`auc`)."""

    settled: int
    hits: int
    misses: int
    prevented: int
    base_rate: float | None
    brier: float | None
    brier_base: float | None
    skill: float | None  # 1 − brier / brier_base: above 0 beats guessing
    log_loss: float | None
    log_loss_base: float | None
    ece: float | None
    auc: float | None
    threshold: float
    alerts: int
    precision: float | None
    recall: float | None
    lead_time_days: float | None
    calibration: list[Step]


def of(db: Session, since: datetime, until: datetime) -> Accuracy:
    """Return the track record of the predictions whose window ended in [since, until)."""
    threshold = workspaces.here(db).alert_threshold
    rows = db.execute(text(_SETTLED), {"since": since, "until": until, "most": timedelta(days=366)}).all()
    said = np.array([row.probability for row in rows], float)
    came = np.array([row.outcome == "hit" for row in rows], float)
    outcomes = [row.outcome for row in rows]
    raised = said >= threshold
    lead = [row.lead for row, high in zip(rows, raised, strict=True) if high and row.lead is not None]
    scores = _scores(said, came)
    return Accuracy(
        settled=len(rows),
        hits=outcomes.count("hit"),
        misses=outcomes.count("miss"),
        prevented=outcomes.count("prevented"),
        base_rate=scores["base_rate"],
        brier=scores["brier"],
        brier_base=scores["brier_base"],
        skill=scores["skill"],
        log_loss=scores["log_loss"],
        log_loss_base=scores["log_loss_base"],
        ece=scores["ece"],
        auc=scores["auc"],
        threshold=threshold,
        alerts=int(raised.sum()),
        precision=float(came[raised].mean()) if raised.any() else None,
        recall=float(raised[came > 0].mean()) if came.any() else None,
        lead_time_days=round(float(np.median(lead)), 3) if lead else None,
        calibration=_calibration(said, came),
    )


# The lead time of a hit: from the prediction to the first failure after it.
_SETTLED = """
SELECT p.probability, p.outcome,
    CASE WHEN p.outcome = 'hit' THEN (SELECT extract(epoch FROM min(i.occurred_at) - p.generated_at) / 86400 FROM issues i
        WHERE i.pattern_id = p.pattern_id AND i.occurred_at > p.generated_at AND i.occurred_at <= p.expires_at) END AS lead
FROM predictions p WHERE p.outcome IS NOT NULL AND p.failures >= 2 AND p.expires_at >= :since AND p.expires_at < :until
    AND p.expires_at >= cast(:until AS timestamptz) - cast(:most AS interval)
"""


def _scores(said: np.ndarray[Any, Any], came: np.ndarray[Any, Any]) -> dict[str, float | None]:
    if not len(said):
        return dict.fromkeys(("base_rate", "brier", "brier_base", "skill", "log_loss", "log_loss_base", "ece", "auc"))
    base = float(came.mean())
    flat = np.full(len(came), base)
    brier, brier_base = _brier(said, came), _brier(flat, came)
    gap = sum(step.predictions * abs(step.said - step.happened) for step in _calibration(said, came)) / len(said)
    return {
        "base_rate": base,
        "brier": brier,
        "brier_base": brier_base,
        "skill": 1 - brier / brier_base if brier_base > 0 else None,
        "log_loss": _log_loss(said, came),
        "log_loss_base": _log_loss(flat, came),
        "ece": gap,
        "auc": _area(said, came),
    }


def _area(said: np.ndarray[Any, Any], came: np.ndarray[Any, Any]) -> float | None:
    """Return the chance that a hit was given more than what was none (Mann and Whitney 1947); None where only one outcome was seen.

    By SciPy, not by scikit-learn, which brings pandas and pyarrow into the server.
    """
    hits, others = said[came > 0], said[came == 0]
    if not len(hits) or not len(others):
        return None
    return float(stats.mannwhitneyu(hits, others, method="asymptotic").statistic / (len(hits) * len(others)))


def _brier(said: np.ndarray[Any, Any], came: np.ndarray[Any, Any]) -> float:
    return float(((said - came) ** 2).mean())


def _log_loss(said: np.ndarray[Any, Any], came: np.ndarray[Any, Any]) -> float:
    p = np.clip(said, TINY, 1 - TINY)
    return float(-(came * np.log(p) + (1 - came) * np.log(1 - p)).mean())


def _calibration(said: np.ndarray[Any, Any], came: np.ndarray[Any, Any]) -> list[Step]:
    step = np.minimum((said * STEPS).astype(int), STEPS - 1)
    groups = [step == number for number in range(STEPS)]
    return [Step(float(said[group].mean()), float(came[group].mean()), int(group.sum())) for group in groups if group.any()]
