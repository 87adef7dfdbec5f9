"""Failures from what Prometheus Alertmanager sends (webhook version 4) or lists (`/api/v2/alerts`): one for each alert."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from everfix.ingest import columns, records

SEVERITY = {
    "critical": "p1", "page": "p1", "disaster": "p1", "high": "p2", "error": "p2", "major": "p2", "warning": "p3", "medium": "p3",
    "info": "p4", "low": "p4", "none": "p4", "minor": "p4",
}  # fmt: skip
LABELS = {
    "service": ("service", "app", "app_kubernetes_io_name", "component", "job", "deployment", "namespace"),
    "team": ("team", "owner", "squad"),
    "environment": ("environment", "env", "stage", "cluster"),
    "error_type": ("alertname",),
}


def is_payload(value: dict[str, Any]) -> bool:
    """Tell a webhook body or one listed alert from other objects."""
    return isinstance(value.get("alerts"), list) or (isinstance(value.get("labels"), dict) and "startsAt" in value)


def alerts(payload: dict[str, Any]) -> Iterator[dict[str, Any] | records.BadValueError]:
    """One failure per alert; an alert that cannot be taken gives its error in its place."""
    listed = payload["alerts"] if isinstance(payload.get("alerts"), list) else [payload]
    for position, alert in enumerate(listed):
        try:
            yield _event(alert, payload, position)
        except records.BadValueError as error:
            yield error


def _event(alert: object, payload: dict[str, Any], position: int) -> dict[str, Any]:
    if not isinstance(alert, dict):
        raise records.BadValueError(f"alerts[{position}]", alert, "an object with labels, annotations and startsAt")
    labels, annotations = _texts(alert, "labels"), _texts(alert, "annotations")
    began = records.moment("startsAt", alert.get("startsAt", ""))
    if began is None:
        raise records.BadValueError("startsAt", alert.get("startsAt"), records.TIME_ALLOWED)
    name = labels.get("alertname", "")
    title = records.line_of(annotations.get("summary") or annotations.get("message") or annotations.get("title") or name)
    if not title:
        raise records.BadValueError("labels.alertname", name, "a text, or an annotation summary")
    fingerprint = str(alert.get("fingerprint") or records.identity(json.dumps(labels, sort_keys=True))[:16])
    made: dict[str, Any] = {
        "external_id": records.bounded_id(records.check_text("fingerprint", f"{fingerprint}:{began}")),
        "source": "prometheus_alertmanager",
        "title": title,
        "severity": SEVERITY.get(labels.get("severity", labels.get("priority", "")).lower(), "p3"),
        "kind": "incident",
        "source_created_at": began,
        "metadata": columns.metadata(_metadata(labels, annotations, payload)),
    }
    made.update(_state(alert))
    body = annotations.get("description") or annotations.get("message") or ""
    if body and body != title:
        made["body"] = records.shortened(body, records.TEXT_LIMITS["body"])
    for field, keys in LABELS.items():
        found = next((labels[key] for key in keys if labels.get(key)), None)
        if found:
            made[field] = found[: records.NAME_LIMIT]
    if alert.get("generatorURL"):
        made["external_url"] = records.check_text("generatorURL", str(alert["generatorURL"]))[:2_048]
    return made


def _state(alert: dict[str, Any]) -> dict[str, Any]:
    """Status and times of the end; the API nests the status (`{"state": "active"}`), the webhook does not."""
    state = alert.get("status")
    if isinstance(state, dict):
        state = state.get("state")
    ended = records.moment("endsAt", alert["endsAt"]) if alert.get("endsAt") else None
    made: dict[str, Any] = {"status": "open"}
    if state == "resolved":
        made["status"] = "resolved"
        if ended:
            made["resolved_at"] = ended
    if alert.get("updatedAt"):
        made["source_updated_at"] = records.moment("updatedAt", alert["updatedAt"])
    return made


def _texts(alert: dict[str, Any], field: str) -> dict[str, str]:
    value = alert.get(field, {})
    if not isinstance(value, dict):
        raise records.BadValueError(field, value, "an object of names and texts")
    return {str(key): records.check_text(f"{field}.{key}", str(text)) for key, text in value.items()}


def _metadata(labels: dict[str, str], annotations: dict[str, str], payload: dict[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {f"label.{key}": value for key, value in labels.items()}
    runbook = annotations.get("runbook_url") or annotations.get("runbook")
    if runbook:
        kept["runbook_url"] = runbook
    if isinstance(payload.get("receiver"), str):
        kept["receiver"] = payload["receiver"]
    return kept
