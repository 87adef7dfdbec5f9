"""`/api/v1/model-governance` and `/api/v1/admin/retention-configs`: who approved a model and whether it drifts; how long what is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy.orm import Session

from everfix import kept
from everfix.api.compat import shapes
from everfix.api.compat.doors import Admin, Viewer
from everfix.core import clock, ids, outbound
from everfix.core import fields as types
from everfix.core.db import Json
from everfix.deps import Config, Db, SigningKeys
from everfix.errors import Invalid, NotFound
from everfix.identity import ai, workspaces
from everfix.metrics import periods, query, registry
from everfix.metrics.model_sources import OUR_MODEL, RETRAIN
from everfix.ml import deployments, models, projects

router = APIRouter(tags=["operations"])
DAYS = 30  # over which the drift of the loop's own predictions is judged


@router.get("/model-governance")
def model_governance(db: Db, who: Viewer, model_id: Annotated[str, Query(alias="modelId", min_length=1, max_length=60)]) -> Json:
    """Who put a model where it serves, and what was last found of its drift; `predictions` is the loop's own model."""
    if model_id == OUR_MODEL:
        return {"modelId": OUR_MODEL, "approvals": [], "driftChecks": _own(db)}
    try:
        wanted = ids.parse(ids.Prefix.MODEL, model_id)
    except ValueError:
        raise NotFound(f"there is no model {model_id!r}") from None
    model = projects.belonging(db, models.Model, wanted, who)
    there = list(db.execute(projects.within(deployments.Deployment, who).where(deployments.Deployment.model_id == model.id)).scalars())
    shown = str(model.id)
    return {
        "modelId": shown,
        "approvals": [
            {
                "id": str(one["entry"].id),
                "deploymentId": str(one["deployment"].id),
                "stage": one["deployment"].stage,
                "action": one["entry"].action,
                "approvedBy": one["entry"].actor_name,
                "approvedAt": shapes.zulu(one["entry"].at),
            }
            for one in registry.approvals(db, there)
        ],
        "driftChecks": [
            {
                "id": str(check.id),
                "modelId": shown,
                "version": model.registered_version,
                "driftDetected": check.drifted,
                "psiScore": check.psi,
                "aucDelta": check.auc_delta,
                "checkedAt": shapes.zulu(check.at),
            }
            for check in registry.checks(db, [one.id for one in there])
        ],
    }


def _own(db: Session) -> list[Json]:
    now = clock.now()
    period = periods.last(DAYS, now, workspaces.here(db).timezone)
    return [
        {
            "id": f"{OUR_MODEL}-{now:%Y-%m-%d}",
            "modelId": OUR_MODEL,
            "version": row["version"],
            "driftDetected": row["psi_score"] > RETRAIN,
            "psiScore": row["psi_score"],
            "aucDelta": row["auc_delta"],
            "checkedAt": shapes.zulu(now),
        }
        for row in query.records(db, "model_drift", period, {"days": DAYS})
    ]


# ---- retention


@dataclasses.dataclass(frozen=True, slots=True)
class Class:
    """A kind of data: how long it is kept (None: nothing removes it) and whether a hold lies on it; `fixed` says why it cannot be changed."""

    about: str
    read: Callable[[Session], tuple[int | None, bool]]
    fixed: str = ""
    holds: bool = True


def _forever(held: bool) -> Callable[[Session], tuple[int | None, bool]]:
    return lambda _: (None, held)


def _files(db: Session) -> tuple[int | None, bool]:
    rule = kept.rule(db)
    return rule.days, rule.hold


_COMPUTED = "it is computed from the failures, which stay as long as the workspace does"
CLASSES = {
    "report_runs": Class("report runs, exports and their files", _files),
    "prompt_logs": Class("prompts to language models and their answers", lambda db: (ai.here(db).prompt_logs_days, False), holds=False),
    "audit": Class("the audit log", _forever(True), "it is append-only: nothing of it is ever removed"),
    "interactions": Class("what was due, prevented and came back", _forever(False), _COMPUTED),
    "decisions": Class("traces of the loop", _forever(False), _COMPUTED),
}


class Retention(shapes.Shape):
    """How long a class of data is kept; what is not sent stays as it is."""

    data_class: types.text(40, 1)  # type: ignore[valid-type]
    retention_days: Annotated[int, Field(ge=1, le=3650)] | None = None
    legal_hold: bool | None = None


@router.get("/admin/retention-configs")
def retention(db: Db, who: Admin) -> Json:
    """How long each class of data is kept."""
    return {"configs": [_config(db, name) for name in CLASSES]}


@router.post("/admin/retention-configs")
def change_retention(db: Db, who: Admin, body: Retention, keys: SigningKeys, settings: Config) -> Json:
    """Change how long a class of data is kept; what is older goes with the next sweep, nothing goes under a legal hold."""
    found = CLASSES.get(body.data_class)
    if found is None:
        raise Invalid(f"there is no data class {body.data_class!r}", details={"dataClass": f"one of {', '.join(CLASSES)}"})
    if found.fixed:
        raise Invalid(f"{body.data_class} cannot be changed: {found.fixed}", details={"dataClass": found.fixed})
    if body.retention_days is None and body.legal_hold is None:
        raise Invalid("nothing is to be changed", details={"retentionDays": "this, or legalHold, must be sent"})
    if body.legal_hold and not found.holds:
        raise Invalid(f"no legal hold can lie on {body.data_class}", details={"legalHold": "false"})
    if body.data_class == "report_runs":
        kept.change(db, who, days=body.retention_days, hold=body.legal_hold)
    elif body.retention_days is not None:
        ai.change(db, keys, outbound.guard(settings), {"prompt_logs_days": body.retention_days}, who)
    return _config(db, body.data_class)


def _config(db: Session, name: str) -> Json:
    days, held = CLASSES[name].read(db)
    return {"dataClass": name, "retentionDays": days, "legalHold": held, "about": CLASSES[name].about, "fixed": CLASSES[name].fixed or None}
