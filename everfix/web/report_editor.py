"""Report editor: the form of a saved report, its schedules, and a preview that follows what is typed; what it became is in `saved_reports`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Form
from starlette.responses import Response

from everfix.core import ids
from everfix.core.fields import bounded
from everfix.delivery import destinations, targets
from everfix.documents.model import Chart, Document, Figures, Table
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Scope
from everfix.metrics import query
from everfix.reports import definitions, making, runs, schedules, templates
from everfix.reports.definitions import Definition
from everfix.reports.sections import SECTIONS
from everfix.web import reports, session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
Field = Annotated[str, Form(max_length=4000)]
Fields = Annotated[list[str] | None, Form(max_length=100)]
SECTION = "section:"
ROWS = 8
LIST = "/reports/saved"
FIRST = {"source": "offer_performance", "params": {"days": 7}}


def _report(visit: Visit, text: str) -> Definition:
    wanted = shell.shown_id(ids.Prefix.REPORT, text)
    if wanted is None:
        raise NotFound("there is no such report")
    return definitions.get(visit.db, wanted)


def _address(found: Definition) -> str:
    return f"{LIST}/{ids.show(ids.Prefix.REPORT, found.id)}"


@router.get("/settings/reports")
@router.get("/settings/reports/{report_id}")
def moved(_: session.sees(Scope.REPORTS_READ), report_id: str = "") -> Response:  # type: ignore[valid-type]
    """Lead from where the editor was to where it is."""
    ending = "" if not report_id else f"/{report_id}" if report_id == "new" else f"/{quote(report_id, safe='')}/edit"
    return shell.go(f"{LIST}{ending}")


@router.get("/reports/saved/new")
def new(visit: session.sees(Scope.REPORTS_WRITE)) -> Response:  # type: ignore[valid-type]
    """A report that is not saved yet."""
    return _editor(visit, None)


@router.get("/reports/saved/part")
def part(visit: session.sees(Scope.REPORTS_WRITE)) -> Response:  # type: ignore[valid-type]
    """One more source for the form."""
    return shell.page(visit, "report_editor/part.html", part=_part(FIRST), sources=_sources(), fixed=False)


@router.get("/reports/saved/{report_id}/edit")
def one(visit: session.sees(Scope.REPORTS_READ), report_id: str) -> Response:  # type: ignore[valid-type]
    """One saved report."""
    return _editor(visit, _report(visit, report_id))


def _editor(visit: Visit, found: Definition | None) -> Response:
    reader, plans = shown.Reader.of(visit.here), schedules.listed(visit.db, found.id) if found else []
    return shell.page(
        visit,
        "report_editor/page.html",
        report=found,
        address=_address(found) if found else LIST,
        parts=[_part(item) for item in (found.sections if found else [FIRST])],
        fixed=bool(found and found.origin == "dashboard"),
        sources=_sources(),
        formats=reports.formats(),
        chosen=found.formats if found else ["pdf"],
        words=found.narrative if found else {"enabled": True},
        plans=[
            {
                "id": ids.show(ids.Prefix.SCHEDULE, plan.id),
                "row": plan,
                "next": reader.moment(plan.next_run_at) if plan.enabled else "switched off",
                "to": set(plan.destinations),
            }
            for plan in plans
        ],
        places=destinations.listed(visit.db, enabled=True),
    )


def _part(item: Json) -> Json:
    params = dict(item.get("params") or {})
    days = params.pop("days", "")
    key = item["source"] if "source" in item else f"{SECTION}{item['section']}"
    return {"key": key, "days": days, "title": item.get("title") or "", "more": json.dumps(params) if params else ""}


def _sources() -> list[tuple[str, list[tuple[str, str]]]]:
    own = [(f"{SECTION}{key}", section.title) for key, section in SECTIONS.items()]
    plain = [(key, source.title) for key, source in query.catalogue().items() if not any(param.required for param in source.params)]
    about = [(f"{SECTION}{key}", f"{template.name} (alone, with its entity_id)") for key, template in templates.ML.items()]
    return [("Sources", sorted(plain, key=lambda pair: pair[1])), ("Sections", own), ("ML work", about)]


# ---- what the form says


class Written:
    """The form of a report, as it was sent."""

    def __init__(
        self,
        name: Field = "",
        description: Field = "",
        source: Fields = None,
        days: Fields = None,
        title: Fields = None,
        more: Fields = None,
        format: Fields = None,
        narrative: Field = "",
        prompt: Field = "",
        enabled: Field = "",
    ) -> None:
        rows = zip(source or [], days or [], title or [], more or [], strict=False)
        self.sections = [_asked(place, *row) for place, row in enumerate(rows, 1)]
        self.name, self.description, self.formats, self.enabled = name, description, format or [], bool(enabled)
        self.narrative: Json = {"enabled": bool(narrative), **({"prompt": prompt.strip()} if prompt.strip() else {})}

    @property
    def values(self) -> Json:
        """The fields of the saved report."""
        longest = [part_["params"]["days"] for part_ in self.sections if "days" in part_["params"]]
        return {
            "name": self.name,
            "description": self.description,
            "sections": self.sections,
            "window": f"{max(longest, default=7)}d",
            "formats": self.formats,
            "narrative": self.narrative,
            "enabled": self.enabled,
        }


def _asked(place: int, source: str, days: str, title: str, more: str) -> Json:
    try:
        params = bounded(json.loads(more)) if more.strip() else {}
        if days.strip():
            params["days"] = int(days)
    except (ValueError, TypeError, AttributeError):
        raise Invalid(f"part {place}: its parameters cannot be read", details={"more": 'an object like {"limit": 10}'}) from None
    kind: Json = {"section": source.removeprefix(SECTION)} if source.startswith(SECTION) else {"source": source}
    return {"id": f"s{place}", **kind, "params": params, **({"title": title.strip()} if title.strip() else {})}


Form_ = Annotated[Written, Depends()]


@router.post("/reports/saved/preview")
def preview(visit: session.changes(Scope.REPORTS_WRITE), written: Form_) -> Response:  # type: ignore[valid-type]
    """What the form would make now: the summary and the first rows of each part; nothing is stored."""
    given = written.values
    run = runs.new(
        visit.who,
        template="blank",
        sections=given["sections"],
        window=given["window"],
        formats=["json"],
        name=given["name"] or "Preview",
        inputs={"narrative": given["narrative"]},
    )
    bare = making.figures(visit.db, run, "")
    document, _ = making.narrated(bare, making.by_rules(run))  # the rules only: a model is not asked at every key
    return shell.page(visit, "report_editor/preview.html", document=document, parts=_shown(shown.Reader.of(visit.here), document))


def _shown(reader: shown.Reader, document: Document) -> list[Json]:
    made: list[Json] = []
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Figures):
                cards = [shown.card(reader, figure) for figure in block.figures]
                made.append({"title": section.title, "count": f"{len(cards)} figures", "cards": cards, "table": None})
            elif isinstance(block, Table | Chart):
                table = block if isinstance(block, Table) else block.table
                total = table.total_rows if table.total_rows is not None else len(table.rows)
                links = table.links[:ROWS]
                cut = table.model_copy(update={"rows": table.rows[:ROWS], "links": links, "total_rows": total})
                made.append({"title": section.title, "count": f"{total} rows", "cards": [], "table": shown.table(reader, cut)})
    return made


@router.post("/reports/saved/new")
def create(visit: session.changes(Scope.REPORTS_WRITE), written: Form_) -> Response:  # type: ignore[valid-type]
    """Save a new report, and lead to its page."""
    return shell.go(f"{_address(definitions.create(visit.db, visit.who, **written.values))}/edit")


@router.post("/reports/saved/{report_id}/edit")
def change(visit: session.changes(Scope.REPORTS_WRITE), report_id: str, written: Form_) -> Response:  # type: ignore[valid-type]
    """Save what was changed."""
    found = _report(visit, report_id)
    given = written.values
    if found.origin == "dashboard":  # its parts are what the dashboard showed
        given = {key: value for key, value in given.items() if key not in ("sections", "window")}
    return shell.go(f"{_address(definitions.change(visit.db, found.id, visit.who, **given))}/edit")


# ---- schedules


@router.post("/reports/saved/{report_id}/schedules")
def plan(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    report_id: str,
    name: Field = "",
    cron: Field = "",
    timezone: Field = "UTC",
    to: Fields = None,
) -> Response:
    """Add a schedule."""
    found = _report(visit, report_id)
    chosen = _chosen(visit, to)
    schedules.create(
        visit.db, visit.who, definition_id=found.id, name=name or found.name, cron=cron, timezone=timezone, destinations=chosen
    )
    return shell.go(f"{_address(found)}/edit#schedule")


@router.post("/reports/saved/{report_id}/schedules/{schedule_id}")
def replan(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    report_id: str,
    schedule_id: str,
    cron: Field = "",
    to: Fields = None,
    action: Field = "save",
) -> Response:
    """Change a schedule's expression and destinations, switch it on or off, or remove it."""
    found, wanted = _report(visit, report_id), shell.shown_id(ids.Prefix.SCHEDULE, schedule_id)
    if wanted is None or schedules.get(visit.db, wanted).definition_id != found.id:
        raise NotFound("there is no such schedule")
    if action == "remove":
        schedules.remove(visit.db, wanted, visit.who)
    else:
        schedules.change(visit.db, wanted, visit.who, cron=cron, destinations=_chosen(visit, to), enabled=action != "off")
    return shell.go(f"{_address(found)}/edit#schedule")


def _chosen(visit: Visit, to: Sequence[str] | None) -> list[UUID]:
    chosen = [found for text in to or () if (found := shell.shown_id(ids.Prefix.DESTINATION, text))]
    targets.check_destinations(visit.db, chosen)
    return chosen
