"""Turns one row or object of any shape into a failure: columns found by their usual names or by the caller's mapping."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from everfix.ingest import records

ALIASES: dict[str, str] = {
    "external_id": "external_id id key issue_key incident_id incident_number incident number issue_id short_id ticket ticket_id uuid guid"
    " event_id alert_id",
    "title": "title summary short_description subject headline issue_title alert_title name alertname culprit",
    "body": "body message description details detail text content summary long_description msg log error_message comment",
    "severity": "severity priority sev urgency level alert_severity criticality",
    "kind": "kind issue_type work_item_type",
    "service": "service service_name services component components component_s application app affected_service business_service cmdb_ci"
    " system project_name project repository repo module category scope",
    "team": "team team_name owner_team owning_team assignment_group first_group squad escalation_policy_name",
    "environment": "environment env stage deployment_environment",
    "error_type": "error_type exception_type exception error_class crash_type error_kind error_code",
    "stacktrace": "stacktrace stack_trace stack traceback trace backtrace",
    "release": "release version app_version affects_version_s affects_version build_version",
    "external_url": "external_url url html_url permalink link web_url self_url",
    "source_created_at": "source_created_at occurred_at created_at created created_on opened_at opened started_at starts_at start_time"
    " first_seen firstseen triggered_at timestamp time date datetime reported_at detected_at create_time",
    "source_updated_at": "source_updated_at updated_at updated last_updated sys_updated_on last_seen lastseen modified",
    "acknowledged_at": "acknowledged_at acked_at first_acknowledged_at",
    "resolved_at": "resolved_at resolved resolved_on resolutiondate closed_at closed closed_on ended_at ends_at end_time",
    "status": "status state incident_state",
    "source": "source",
}
_FIELDS: dict[str, tuple[str, ...]] = {field: tuple(names.split()) for field, names in ALIASES.items()}
_TIMES = ("source_created_at", "source_updated_at", "acknowledged_at", "resolved_at")
_COMPOSED = ("category", "subcategory", "symptom")  # what a service desk has in place of a title
_SOURCE = re.compile(r"[a-z0-9][a-z0-9_.\-]{0,63}")
_NAME_LIMITS = {"service": 200, "team": 200, "environment": 100, "error_type": 300, "release": 200}
URL_LIMIT = 2_048
DEPTH_LIMIT = 16


def normal(name: str) -> str:
    """A column's name as aliases are compared: lower case, `_` between words ("Component/s" is component_s)."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip()).lower()).strip("_")


def parse_mapping(text: str) -> dict[str, str]:
    """Read `title=Summary,external_id=Key` into {field: column}; an empty column switches a field off. Raises UnreadableFileError."""
    mapping: dict[str, str] = {}
    for part in text.split(","):
        field, equals, column = part.partition("=")
        if not equals:
            raise records.UnreadableFileError(f"map: {records.quoted(part)} is not allowed; allowed: field=column, such as title=Summary")
        mapping[field.strip()] = column.strip()
    return checked_mapping(mapping)


def checked_mapping(mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the mapping as a dict; raises UnreadableFileError for a field that a failure does not have."""
    for field in mapping:
        if field not in _FIELDS:
            raise records.UnreadableFileError(f"map: field {records.quoted(field)} is not allowed; allowed: {', '.join(_FIELDS)}")
    return dict(mapping)


def flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Nested objects as dotted keys, lists of objects as JSON text; raises BadValueError where they nest too deeply."""
    return dict(_flat("", values, 0))


def _flat(prefix: str, value: object, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > DEPTH_LIMIT:
        raise records.BadValueError(prefix.split(".", maxsplit=1)[0], "…", f"objects nested at most {DEPTH_LIMIT} deep")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner, depth + 1)
    elif isinstance(value, list):
        plain = all(not isinstance(inner, (dict, list)) for inner in value)
        yield prefix, Several(value) if plain else json.dumps(value, ensure_ascii=False)
    else:
        yield prefix, value


class Several(list[Any]):
    """A list of plain values: a name field takes the first, a text shows all."""

    def __str__(self) -> str:
        return ", ".join(str(value) for value in self if value is not None)


class Columns:
    """Which column gives which field, decided once per set of column names; `title_of_pattern` names the parts of a bare pattern."""

    def __init__(self, names: tuple[str, ...], mapping: Mapping[str, str], pattern_parts: tuple[str, ...] = ()) -> None:
        self.mapped = {field: column for field, column in mapping.items() if column}
        by_normal: dict[str, str] = {}
        for name in names:
            by_normal.setdefault(normal(name), name)
        self.order: dict[str, tuple[str, ...]] = {}
        for field, aliases in _FIELDS.items():
            if field in mapping:
                column = mapping[field]
                self.order[field] = tuple(name for name in (column, by_normal.get(normal(column))) if name in names)[:1] if column else ()
            else:
                self.order[field] = tuple(by_normal[alias] for alias in aliases if alias in by_normal)
        self.pattern = by_normal.get("pattern")
        self.composed = tuple(by_normal[name] for name in _COMPOSED if name in by_normal)
        self.pattern_parts = pattern_parts

    def give_a_title(self) -> bool:
        """Tell whether any column could become a failure's title."""
        return bool(self.pattern or self.composed or any(self.order[field] for field in ("title", "body", "stacktrace", "error_type")))


def missing_from(columns: Columns, names: tuple[str, ...]) -> list[str]:
    """The columns that the caller's mapping names and the file does not have."""
    known = {*names, *(normal(name) for name in names)}
    return [column for column in columns.mapped.values() if column not in known and normal(column) not in known]


def event(values: Mapping[str, Any], columns: Columns, *, source: str, place: str) -> dict[str, Any]:
    """Build the failure of one flat row; `place` (file and line) makes ids for rows without one. Raises BadValueError."""
    left = {name: value for name, value in values.items() if records.present(value)}
    for name, value in left.items():
        if isinstance(value, (str, Several)):
            records.check_text(name, str(value))
    raw = _taken(left, columns)
    made: dict[str, Any] = {"source": source}
    composed = [str(values[name]) for name in columns.composed if records.present(values.get(name))]
    _texts(made, raw, left, columns, " · ".join(composed))
    _choices(made, raw, left, columns)
    for field in _TIMES:
        if field in raw:
            found = records.moment(field, raw[field])
            if found is not None:
                made[field] = found
    given = str(raw.get("external_id", "")).strip()
    content = json.dumps(values, sort_keys=True, default=str)
    made["external_id"] = records.bounded_id(given) if given else records.identity(source, place, content)
    made["metadata"] = metadata(left)
    return made


def _taken(left: dict[str, Any], columns: Columns) -> dict[str, Any]:
    """Move the value of each field out of `left`: the first of its columns that says something and is not taken."""
    raw: dict[str, Any] = {}
    for field, names in columns.order.items():
        name = next((name for name in names if name in left), None)
        if name is None or field in ("kind", "status", "source"):
            continue
        raw[field] = left.pop(name)
        if isinstance(raw[field], Several) and field in _NAME_LIMITS:
            if len(raw[field]) > 1:
                left[name] = raw[field]  # all of them stay in the metadata
            raw[field] = next(inner for inner in raw[field] if records.present(inner))
    return raw


def _texts(made: dict[str, Any], raw: dict[str, Any], left: dict[str, Any], columns: Columns, composed: str) -> None:
    body = str(raw.get("body", "")).strip()
    trace = str(raw.get("stacktrace", "")).strip("\r\n")
    title = " ".join(str(raw.get("title", "")).split())
    if not title and columns.pattern and columns.pattern in left:
        title = pattern_title(str(left[columns.pattern]), columns.pattern_parts)
    title = title or records.line_of(body) or composed or records.line_of(trace)
    title = title or " ".join(str(raw.get("error_type") or raw.get("external_id") or "").split())
    if not title:
        raise records.BadValueError("title", "", "a text in a column such as title, summary, message, stacktrace or pattern")
    if len(title) > records.TITLE_LIMIT:
        body = body if body.startswith(title[:50]) else f"{title}\n\n{body}".strip()
        title = records.line_of(title)
    made["title"] = title
    if body and body != title:
        made["body"] = records.shortened(body, records.TEXT_LIMITS["body"])
    if trace:
        made["stacktrace"] = records.shortened(trace, records.TEXT_LIMITS["stacktrace"])
    for field, limit in _NAME_LIMITS.items():
        text = " ".join(str(raw.get(field, "")).split())
        if text:
            made[field] = text if len(text) <= limit else text[: limit - 1] + "…"
    url = str(raw.get("external_url", "")).strip()
    if url.lower().startswith(("http://", "https://")) and len(url) <= URL_LIMIT:
        made["external_url"] = url
    elif url:
        left["external_url"] = url  # a path or another word: kept where nobody follows it


def _choices(made: dict[str, Any], raw: dict[str, Any], left: dict[str, Any], columns: Columns) -> None:
    """Severity must be right; a kind, status or source found by its name may mean something else and then stays in the metadata."""
    if "severity" in raw:
        made["severity"] = records.severity(raw["severity"])
    for field, read in (("kind", records.kind), ("status", records.status), ("source", _source)):
        name = next((name for name in columns.order[field] if name in left), None)
        if name is None:
            continue
        try:
            made[field] = read(left[name])
        except records.BadValueError:
            if field in columns.mapped:
                raise
        else:
            del left[name]


def _source(value: object) -> str:
    text = str(value).strip().lower().replace(" ", "_")
    if not _SOURCE.fullmatch(text):
        raise records.BadValueError("source", value, "1 to 64 of a-z, 0-9, _ . -, such as pagerduty")
    return text


def pattern_title(pattern: str, parts: tuple[str, ...]) -> str:
    """The title of a bare pattern key: itself where it has words, else its parts with their columns' names ("system 24, node 0")."""
    pieces = re.split(r"[|/]", pattern)
    if parts and len(parts) == len(pieces):
        return ", ".join(f"{name.replace('_', ' ')} {piece}" for name, piece in zip(parts, pieces, strict=True))
    return " · ".join(piece.strip() for piece in pattern.split("|") if piece.strip()) or pattern


def pattern_parts(rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Name each part of the `pattern` column by the column that equals it in all sample rows; () where it has words or no such columns."""
    split = [(re.split(r"[|/]", str(row["pattern"])), row) for row in rows if row.get("pattern")]
    if not split or any(len(pieces) != len(split[0][0]) or re.search("[A-Za-z]{3}", str(row.get("pattern"))) for pieces, row in split):
        return ()
    names: list[str] = []
    for position in range(len(split[0][0])):
        free = (name for name in rows[0] if name != "pattern" and name not in names)
        name = next((name for name in free if all(row.get(name) == pieces[position] for pieces, row in split)), None)
        if name is None:
            return ()
        names.append(name)
    return tuple(names)


def metadata(left: Mapping[str, Any]) -> dict[str, Any]:
    """What no field took, flat and bounded: at most 100 keys, texts of at most 2,000 characters (cut with an ellipsis)."""
    kept: dict[str, Any] = {}
    for name, value in list(left.items())[: records.METADATA_KEYS]:
        text = value if isinstance(value, (bool, int)) or (isinstance(value, float) and math.isfinite(value)) else str(value).strip()
        key = records.check_text("metadata", name.strip())[:100]
        if isinstance(text, str) and len(text) > records.METADATA_VALUE:
            text = text[: records.METADATA_VALUE - 1] + "…"
        if key:
            kept[key] = text
    return kept
