"""Templates: the built-in reports, each an ordered list of sections; one entry makes a new report."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from everfix.core.db import Json
from everfix.errors import Invalid
from everfix.reports.ml import options
from everfix.reports.sections import SECTIONS

ID = re.compile(r"[a-z][a-z0-9_]{0,63}")


@dataclasses.dataclass(frozen=True, slots=True)
class Template:
    """A report that is always there."""

    key: str
    name: str
    description: str
    sections: tuple[str, ...]
    window: str = "30d"
    format: str = "pdf"


TEMPLATES = {
    template.key: template
    for template in (
        Template(
            "executive_summary",
            "Executive summary",
            "What failed, what came back, what was proven fixed and what to do next, on two pages.",
            ("kpis", "top_patterns", "risk_trend", "loops_prevented", "recommended_fixes", "predictions_due", "what_changed"),
        ),
        Template(
            "pattern_analysis",
            "Pattern analysis",
            "Every pattern with its risk, how often it failed and what would fix it.",
            ("pattern_kpis", "pattern_frequency", "recommended_fixes", "pattern_list"),
        ),
        Template(
            "issue_digest",
            "Issue digest",
            "The issues of the period with the summary of their analysis.",
            ("issue_kpis", "issue_volume", "issue_list"),
        ),
        Template(
            "prediction_report",
            "Prediction report",
            "What is likely to come back, how sure we are, and how right we were.",
            ("prediction_kpis", "forecast", "probability_matrix", "predictions_due", "model_accuracy"),
        ),
        Template(
            "recommendation_coverage",
            "Recommendation coverage",
            "Each recommended fix with its status, its proof and its attestation.",
            ("recommendation_kpis", "recommendation_status", "loops_prevented", "recommendation_list"),
        ),
        Template("blank", "Blank report", "Sections chosen by hand.", ()),
    )
}


# Reports on ML work (`everfix.reports.ml`): one part that names its entity and becomes all of the report's sections.
ML = {
    f"ml_{kind}": Template(f"ml_{kind}", name, f"{about} Its one section takes params.entity_id and params.options.", (f"ml_{kind}",))
    for kind, name, about in (
        ("experiment", "Experiment report", "The leaderboard of a search, how its models compare, and the best of them."),
        ("model", "Model report", "How good one model is, where it fails and what it rests on."),
        ("project", "Project report", "Everything in an ML project with its status."),
        ("synthgen", "Synthetic-data report", "How alike, how valid and how private synthetic data is."),
        ("deployment", "Deployment report", "Volume, latency, errors, drift and quality of a model in use."),
        ("privacy", "Privacy report", "What personal data was found, what was done with it, and what risk is left."),
    )
}


ALL = {**TEMPLATES, **ML}


def get(key: str) -> Template:
    """Return a template; raises Invalid naming those there are."""
    found = ALL.get(key)
    if found is None:
        raise Invalid(f"there is no template {key!r}", details={"template": f"one of {', '.join(ALL)}"})
    return found


def sections_of(template: Template, chosen: Sequence[str | Json] | None) -> list[Json]:
    """Return the parts to build: those chosen, else the template's.

    A part is `{"id", "section", "title"?, "params"?}` for a section of ours (its key alone is enough), or
    `{"id", "source", "title"?, "params"?}` for the rows of a source. Raises Invalid for unknown, repeated or no sections.
    """
    wanted = [_part(place, item) for place, item in enumerate(chosen or template.sections, 1)]
    if not wanted:
        raise Invalid("a blank report needs sections", details={"sections": f"at least one of {', '.join(SECTIONS)}"})
    seen = [part["id"] for part in wanted]
    if len(set(seen)) != len(seen):
        raise Invalid("a section is named twice", details={"sections": "each id at most once"})
    _require_alone(wanted)
    return wanted


def about(sections: Sequence[Json]) -> str | None:
    """Return the kind of ML work that a report is on, or None for any other report."""
    key = sections[0].get("section") if len(sections) == 1 else None
    return str(key).removeprefix("ml_") if key in ML else None


def fitting(template: Template, sections: Sequence[Json]) -> Template:
    """Return the template that a report with these parts has: one on ML work has its part's, any other has none of those."""
    kind = about(sections)
    if kind is not None:
        return ML[f"ml_{kind}"]
    return TEMPLATES["blank"] if template.key in ML else template


def _require_alone(wanted: Sequence[Json]) -> None:
    found = next((part["section"] for part in wanted if part.get("section") in ML), None)
    if found is not None and len(wanted) > 1:
        raise Invalid(
            f"the section {found} becomes all the sections of a report: it cannot stand beside others",
            details={"sections": f"{found} alone, and the others in a report of their own"},
        )


def _part(place: int, item: str | Json) -> Json:
    given = {"section": item} if isinstance(item, str) else dict(item)
    unknown = sorted(set(given) - {"id", "section", "source", "title", "params"})
    if unknown or ("section" in given) == ("source" in given):
        raise Invalid(
            f"section {place} must name a section or a source",
            details={"sections": "a key, or {section, title, params}, or {id, source, title, params}"},
        )
    if given.get("section") in ML:
        return _about(given)
    if "section" in given and given["section"] not in SECTIONS:
        raise Invalid(f"there is no section {str(given['section'])[:60]!r}", details={"sections": f"any of {', '.join(SECTIONS)}"})
    part = {"id": given.get("id") or given.get("section") or f"s{place}", **{key: value for key, value in given.items() if key != "id"}}
    if not isinstance(part["id"], str) or not ID.fullmatch(part["id"]):
        raise Invalid(f"section id {str(part['id'])[:60]!r} is not allowed", details={"sections": "ids of a-z, 0-9 and _, a letter first"})
    if not isinstance(part.get("params", {}), dict) or not isinstance(part.get("title") or "", str):
        raise Invalid(f"section {part['id']}: params must be an object, title text", details={"sections": "{section, title, params}"})
    return part


def _about(given: Json) -> Json:
    """Return the one part of a report on ML work; raises Invalid where it does not name its entity."""
    params = given.get("params")
    if not isinstance(params, dict) or not isinstance(params.get("entity_id"), str) or not isinstance(params.get("options") or {}, dict):
        key = given["section"]
        raise Invalid(
            f"the section {key} needs to know what it is about",
            details={"sections": f'{{"section": "{key}", "params": {{"entity_id": …, "options": {{…}}}}}}'},
        )
    return {
        "id": given["section"],
        "section": given["section"],
        "params": {"entity_id": params["entity_id"], "options": options.read(params.get("options"))},
    }
