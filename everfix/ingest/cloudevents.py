"""Failures from CloudEvents 1.0 in JSON (structured mode or a batch); `data` is read like any plain record."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from typing import Any

from everfix.ingest import columns, records

PAYLOAD = ("data", "data_base64", "specversion", "time")


def is_event(value: dict[str, Any]) -> bool:
    """Tell a CloudEvent from other objects."""
    return "specversion" in value and "type" in value


def event(value: dict[str, Any], layout: Callable[[tuple[str, ...]], columns.Columns]) -> dict[str, Any]:
    """Build the failure of one event; its id is unique with its source, as the specification says. Raises BadValueError."""
    if value.get("specversion") != "1.0":
        raise records.BadValueError("specversion", value.get("specversion"), "1.0")
    for field in ("id", "source", "type"):
        if not isinstance(value.get(field), str) or not value[field].strip():
            raise records.BadValueError(field, value.get(field), "a text that is not empty")
        records.check_text(field, value[field])
    values = columns.flat(_data(value))
    about = " ".join(str(value[field]) for field in ("type", "subject") if value.get(field))
    found = layout(tuple(values))
    if not any(records.present(values.get(name)) for field in ("title", "body", "stacktrace", "error_type") for name in found.order[field]):
        values["title"] = about
        found = layout(tuple(values))
    made = columns.event(values, found, source="cloudevents", place=value["source"])
    made["external_id"] = records.bounded_id(f"{value['source']}#{value['id']}")
    if value.get("time"):
        made.setdefault("source_created_at", records.moment("time", value["time"]))
    context = {f"ce_{key}": text for key, text in value.items() if key not in PAYLOAD and records.present(text)}
    made["metadata"] = columns.metadata(columns.flat(context)) | made["metadata"]
    return made


def _data(value: dict[str, Any]) -> dict[str, Any]:
    data = value.get("data")
    if "data_base64" in value:
        try:
            text = base64.b64decode(str(value["data_base64"]), validate=True).decode("utf-8")
            data = json.loads(text) if "json" in str(value.get("datacontenttype", "json")) else text
        except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise records.BadValueError("data_base64", value["data_base64"], f"base64 of UTF-8 text or JSON ({error})") from error
    if data is None or isinstance(data, dict):
        return dict(data or {})
    return {"message": data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)}
