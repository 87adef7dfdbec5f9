"""Templates: the built-in reports, each an ordered list of sections; one entry makes a new report."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from everfix.errors import Invalid
from everfix.reports.sections import SECTIONS

WINDOWS = {"7d": 7, "30d": 30, "90d": 90}
CUSTOM = re.compile(r"^([1-9][0-9]{0,2})d$")
LONGEST = 366


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
            ("pattern_kpis", "pattern_list", "pattern_frequency", "recommended_fixes"),
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
            ("recommendation_kpis", "recommendation_status", "recommendation_list", "loops_prevented"),
        ),
        Template("blank", "Blank report", "Sections chosen by hand.", ()),
    )
}


def get(key: str) -> Template:
    """Return a template; raises Invalid naming those there are."""
    found = TEMPLATES.get(key)
    if found is None:
        raise Invalid(f"there is no template {key!r}", details={"template": f"one of {', '.join(TEMPLATES)}"})
    return found


def sections_of(template: Template, chosen: Sequence[str] | None) -> list[str]:
    """Return the sections to build: those chosen, else the template's; raises Invalid for unknown, repeated or no sections."""
    wanted = list(chosen or template.sections)
    unknown = [key for key in wanted if key not in SECTIONS]
    if unknown:
        raise Invalid(f"there is no section {unknown[0]!r}", details={"sections": f"any of {', '.join(SECTIONS)}"})
    if len(set(wanted)) != len(wanted):
        raise Invalid("a section is named twice", details={"sections": "each at most once"})
    if not wanted:
        raise Invalid("a blank report needs sections", details={"sections": f"at least one of {', '.join(SECTIONS)}"})
    return wanted


def days(window: str) -> int:
    """Return the window's length in days: 7d, 30d, 90d or any other `<n>d` up to a year, in either case; raises Invalid."""
    found = CUSTOM.match(window.strip().lower())
    if found is None or int(found[1]) > LONGEST:
        raise Invalid(
            f"{window[:40]!r} is no window", details={"window": f"one of {', '.join(WINDOWS)}, or any number of days up to {LONGEST}d"}
        )
    return int(found[1])
