"""Shell: what every page stands in: templates, navigation, theme, safe headers, and the page that says what went wrong."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import Response

import everfix
from everfix.core import ids
from everfix.delivery import feed
from everfix.errors import EverfixError, Unauthorized
from everfix.exports import requests
from everfix.identity.principals import Scope
from everfix.web import files
from everfix.web.session import Visit

HOME = "/dashboards/executive"
THEMES = ("light", "dark")
NOT_PAGES = ("/v1/", "/api/", "/scim/", "/static/", "/docs", "/redoc", "/openapi.json", "/health", "/ready", "/metrics")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; manifest-src 'self'"
)
# address, name, icon, the scope that opens it
NAVIGATION = (
    (HOME, "Overview", "gauge", Scope.REPORTS_READ),
    ("/patterns", "Patterns", "loop", Scope.PATTERNS_READ),
    ("/issues", "Issues", "alert", Scope.ISSUES_READ),
    ("/predictions", "Predictions", "forecast", Scope.PREDICTIONS_READ),
    ("/recommendations", "Recommendations", "wrench", Scope.RECOMMENDATIONS_READ),
    ("/reports", "Reports", "file", Scope.REPORTS_READ),
    ("/ml", "ML", "flask", Scope.ML_READ),
    ("/deliveries", "Deliveries", "send", Scope.REPORTS_READ),
    ("/settings", "Settings", "gear", Scope.WORKSPACE_READ),
)
# address, name, the scope that opens it
SETTINGS = (
    ("/settings/workspace", "Workspace", Scope.WORKSPACE_READ),
    ("/settings/brand", "Brand and files", Scope.WORKSPACE_READ),
    ("/settings/alerts", "Alert rules", Scope.PREDICTIONS_READ),
    ("/settings/destinations", "Destinations", Scope.REPORTS_READ),
    ("/settings/delivery", "Mail domains", Scope.REPORTS_READ),
    ("/settings/ai", "AI", Scope.WORKSPACE_READ),
    ("/settings/notifications", "My notifications", Scope.WORKSPACE_READ),
)
WITHIN = {"/dashboards": HOME, "/clusters": "/patterns", "/exports": "/reports"}  # pages that stand below another's entry


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates; everything is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=PackageLoader("everfix.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.globals.update(
        asset=files.url,
        built=lambda: bool(files.built()),
        version=everfix.__version__,
        missing_assets=files.MISSING,
        may_export=requests.permitted,
    )
    made.filters.update(json=embedded)
    return made


def embedded(value: object) -> Markup:
    """Return JSON that may stand inside a <script> data block: no "<" that could end it."""
    text = (
        json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )
    return Markup(text)  # noqa: S704 - JSON without "<"


def page(visit: Visit, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:  # noqa: ANN401 - what the template shows
    """Return a page inside the shell for a signed-in visitor."""
    shown = {
        "visit": visit,
        "csrf": visit.csrf,
        "here": visit.here,
        "who": visit.who,
        "navigation": [item[:3] for item in NAVIGATION if visit.may(item[3])],
        "settings": [item[:2] for item in SETTINGS if visit.may(item[2])] if visit.request.url.path.startswith("/settings/") else [],
        "path": visit.request.url.path,
        "section": _section(visit.request.url.path),
        "scope": Scope,
        "unread": feed.unread(visit.db, visit.who.actor_id) if visit.who.actor_id else 0,
        **context,
    }
    return _html(visit.request, template, status, shown)


def _section(path: str) -> str:
    """Return the address of the entry of the navigation that a page stands below."""
    first = f"/{path.split('/')[1]}"
    return WITHIN.get(first, first)


def plain(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:  # noqa: ANN401 - what the template shows
    """Return a page for somebody who is not signed in."""
    return _html(request, template, status, context)


def _html(request: Request, template: str, status: int, context: dict[str, Any]) -> HTMLResponse:
    chosen = request.cookies.get("everfix_theme", "")
    usual = "dark" if "here" in context and context["here"].default_theme == "dark" else ""  # "light" leaves it to the reader's system
    theme = chosen if chosen in THEMES else usual
    text = environment().get_template(template).render(theme=theme, partial=is_partial(request), **context)
    headers = {"Content-Security-Policy": POLICY, "Cache-Control": "private, no-store", "X-Frame-Options": "DENY", "Vary": "HX-Request"}
    return HTMLResponse(text, status, headers)


def is_partial(request: Request) -> bool:
    """Tell whether a part of a page was asked for (by htmx), not a page."""
    return request.headers.get("hx-request") == "true"


def shown_id(prefix: ids.Prefix, text: str) -> Any:  # noqa: ANN401 - UUID or None
    """Return the id in a page's address, or None for what cannot be one."""
    try:
        return ids.parse(prefix, text)
    except ValueError:
        return None


def back(path: str | None) -> str:
    """Return where to go after signing in: a path of this site, never an address that leads away."""
    if (
        path
        and path.startswith("/")
        and not path.startswith(("//", "/\\"))
        and not urlsplit(path).netloc
        and len(path) <= 1000
        and path.isprintable()
    ):
        return path
    return HOME


def go(address: str) -> Response:
    """Send the browser on to a page after a form; it fetches it anew."""
    return RedirectResponse(address, 303)


# ---- what went wrong


def wants_page(request: Request) -> bool:
    """Tell whether a failure should be answered with a page: a person looks, and it is not an address of a program's surface."""
    path = request.url.path
    return not path.startswith(NOT_PAGES) and (is_partial(request) or "text/html" in request.headers.get("accept", ""))


def problem(request: Request, known: EverfixError) -> Response:
    """Return a failure as a page, or as the part of one; without a session the way leads to /login and back."""
    if isinstance(known, Unauthorized):
        return _to_login(request)
    nowhere = "there is no page at this address" if known.message == "Not Found" else known.message
    context = {"status": known.status, "message": nowhere, "trace_id": request.state.trace_id, "heading": _heading(known.status)}
    if is_partial(request):
        made = _html(request, "problem/notice.html", known.status, context)
        made.headers["HX-Retarget"], made.headers["HX-Reswap"] = "#notices", "beforeend"
        return made
    return _html(request, "problem/page.html", known.status, context)


def _heading(status: int) -> str:
    headings = {
        403: "You may not do this",
        404: "There is nothing here",
        409: "That is not possible now",
        410: "No longer kept",
        503: "Not available now",
    }
    return headings.get(status, "Something went wrong here" if status >= 500 else "That did not work")


def _to_login(request: Request) -> Response:
    if is_partial(request):
        seen = urlsplit(request.headers.get("hx-current-url", ""))
        return Response(status_code=401, headers={"HX-Redirect": _login(f"{seen.path}?{seen.query}" if seen.query else seen.path)})
    if request.method != "GET":
        return go(_login(urlsplit(request.headers.get("referer", "")).path))
    query = f"?{request.url.query}" if request.url.query else ""
    return go(_login(request.url.path + query))


def _login(path: str) -> str:
    target = back(path)
    return "/login" if target == HOME else f"/login?next={quote(target, safe='/')}"
