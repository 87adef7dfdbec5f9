"""Docs: the reference that code can print, so that it cannot fall behind: settings, scopes, roles, sources, templates, commands, routes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import typer
import typer.main
from fastapi import FastAPI

from everfix import documents
from everfix.api import v1
from everfix.audit import Action
from everfix.identity.principals import ROLE_SCOPES, Role, Scope
from everfix.metrics import query
from everfix.reports.sections import SECTIONS
from everfix.reports.templates import ALL
from everfix.settings import Settings, environment_name

MADE = "*Printed by `everfix docs` from the code; change the code, not this page.*"


def write(folder: Path, app: typer.Typer) -> list[Path]:
    """Write every page into `folder` and return the paths; `app` is the command line."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in {**{name: page() for name, page in PAGES.items()}, "commands": commands(app)}.items():
        path = folder / f"{name}.md"
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", MADE, *parts)) + "\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def settings() -> str:
    """Return every setting with its sentence."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = "" if field.default is None else f"`{field.default}`"
        rows.append((f"`{environment_name(name)}`", default, field.description or ""))
    about = "From the environment, `.env`, or a file named by `NAME_FILE` (for secrets)."
    return _page("Settings", about, _table(("name", "default", "what"), rows))


def scopes() -> str:
    """Return which role includes which scope."""
    rows = [(f"`{scope.value}`", *("✓" if scope in ROLE_SCOPES[role] else "" for role in Role)) for scope in Scope]
    actions = _table(("action",), [(f"`{action.value}`",) for action in Action])
    return _page("Scopes and roles", _table(("scope", *(role.value for role in Role)), rows), "## Actions in the audit log", actions)


def sources() -> str:
    """Return the catalogue of sources with their columns."""
    parts = []
    for key, source in sorted(query.catalogue().items()):
        bounds = [f"`{param.key}` ({param.bounds})" for param in source.params]
        takes = f"Parameters: {', '.join(bounds)}." if bounds else ""
        columns = _table(
            ("column", "shown as", "unit"), [(f"`{column.key}`", column.title, column.unit.value) for column in source.columns]
        )
        parts.append("\n\n".join(part for part in (f"## `{key}`: {source.title}", source.about, takes, columns) if part))
    return _page("Sources", "Every number on a page or in a report comes from one of these.", *parts)


def templates() -> str:
    """Return the report templates and sections."""
    rows = [
        (f"`{item.key}`", item.name, item.description, ", ".join(f"`{key}`" for key in item.sections) or "any") for item in ALL.values()
    ]
    parts = _table(("section", "heading"), [(f"`{key}`", section.title) for key, section in SECTIONS.items()])
    formats = ", ".join(f"`{key}`" for key in documents.RENDERERS)
    return _page("Reports", f"Formats: {formats}.", _table(("template", "name", "what", "sections"), rows), "## Sections", parts)


def commands(app: typer.Typer) -> str:
    """Return every command with its options."""
    group = typer.main.get_group(app)
    parts = []
    for name, command in sorted(group.commands.items()):
        shown = [param for param in command.params if not getattr(param, "hidden", False) and param.name != "help"]
        rows = [(", ".join(f"`{option}`" for option in param.opts), getattr(param, "help", "") or "") for param in shown]
        parts.append(f"## `everfix {name}`\n\n{command.help or ''}\n\n" + _table(("option", "what"), rows))
    return _page("Commands", *parts)


def routes() -> str:
    """Return the routes of `/v1` with what they do."""
    app = FastAPI()
    app.include_router(v1.router)
    rows: list[tuple[str, str, str]] = []
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            about = (operation.get("description") or "").splitlines()
            rows.append((method.upper(), f"`{path}`", about[0] if about else ""))
    about = "The full schema is at `/docs` and `/openapi.json` of a running server."
    return _page("Routes", about, _table(("method", "path", "what"), sorted(rows, key=lambda row: str(row[1]))))


PAGES: dict[str, Callable[[], str]] = {
    "reports": templates,
    "routes": routes,
    "scopes": scopes,
    "settings": settings,
    "sources": sources,
}
