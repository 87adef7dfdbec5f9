"""What Model Health shows beside its sources: registered models, what they go by, and experiments, as far as the visitor may see them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from everfix.documents.model import Table
from everfix.identity.principals import Principal
from everfix.metrics import registry
from everfix.metrics.model_sources import RETRAIN, WATCH
from everfix.web import shown
from everfix.web.shown import Json

ABOUT = {
    "registered_models": "The newest version of each model that is registered in a project you may see, against the version before. Drift is what "
    f"its deployments' monitors last found, as population stability index: below {WATCH} fine, up to {RETRAIN} to watch, above that to train again.",
    "feature_importance": "What each registered model was told or measured to go by, the most important features first.",
    "experiment_status": "The newest experiments of the projects you may see.",
}


def parts(db: Session, reader: shown.Reader, by: Principal, first: int) -> list[Json]:
    """Return the parts of the page, numbered from `first` on."""
    found = registry.registered(db, by)
    made = (registry.models(found), registry.importance(found), registry.experiments(db, by))
    return [_part(reader, table, f"part-{first + place}") for place, table in enumerate(made)]


def _part(reader: shown.Reader, table: Table, name: str) -> Json:
    return {
        "id": name,
        "title": table.title,
        "about": ABOUT[table.key],
        "span": 12,
        "kind": "table",
        "warning": "",
        "chart": None,
        "table": shown.table(reader, table),
    }
