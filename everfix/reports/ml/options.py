"""Options of an ML report: each switch with its default, its other names and the kinds it is for; unknown keys are ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from everfix.core.db import Json
from everfix.errors import Invalid

KINDS = ("experiment", "model", "project", "synthgen", "deployment")
TEXTS = {"title": 200, "comments": 10_000}
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True, slots=True)
class Switch:
    """One yes or no: what it removes when it is off."""

    default: bool
    meaning: str
    aliases: tuple[str, ...] = ()
    kinds: tuple[str, ...] = field(default=KINDS)


SWITCHES: dict[str, Switch] = {
    "llm_insights": Switch(
        False, "commentary and recommendations, written by a model where one is configured", ("insights", "ai_insights")
    ),
    "include_metrics": Switch(True, "tables of performance metrics", ("metrics",)),
    "include_charts": Switch(True, "every chart, whatever the finer switches say", ("charts",)),
    "include_hyperparameters": Switch(True, "hyperparameters and configuration", ("hyperparameters",)),
    "include_data_summary": Switch(True, "statistics of the data", ("data_summary",)),
    "include_leaderboard": Switch(True, "the leaderboard", ("leaderboard",), ("experiment",)),
    "include_feature_importance": Switch(True, "feature importance", ("feature_importance",), ("experiment", "model")),
    "include_confusion_matrix": Switch(True, "the confusion matrix", ("confusion_matrix",), ("experiment", "model")),
    "include_roc_curve": Switch(True, "ROC and precision–recall curves", ("include_roc", "roc_curve"), ("experiment", "model")),
    "include_learning_curves": Switch(True, "learning curves", ("include_learning_curve", "learning_curves"), ("model",)),
}
NAMES = {alias: name for name, switch in SWITCHES.items() for alias in (name, *switch.aliases)}


def read(given: Mapping[str, Any] | None) -> Json:
    """Return the options as they are kept: canonical names, defaults filled in; raises Invalid naming the key, what came and what is allowed.

    Where a switch comes under several names, its own name wins.
    """
    found: Json = {name: switch.default for name, switch in SWITCHES.items()}
    given = given or {}
    for key in sorted(given, key=lambda key: key in SWITCHES):
        if key in NAMES:
            found[NAMES[key]] = _switch(key, given[key])
        elif key in TEXTS and given[key] is not None:
            found[key] = _text(key, given[key])
    return found


def _switch(key: str, value: object) -> bool:
    if isinstance(value, bool):
        return value
    if value is None:
        return SWITCHES[NAMES[key]].default
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in YES + NO:
        return value.lower() in YES
    raise Invalid(f"options.{key}: {str(value)[:60]!r} is not allowed; true or false is", details={f"options.{key}": "true or false"})


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > TEXTS[key]:
        came = f"{len(value):,} characters" if isinstance(value, str) else type(value).__name__
        raise Invalid(
            f"options.{key}: {came} came; text of at most {TEXTS[key]:,} characters is allowed",
            details={f"options.{key}": f"text of at most {TEXTS[key]:,} characters"},
        )
    return value.strip()
