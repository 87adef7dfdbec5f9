"""AI settings: which language model may be asked, a test of it, what must not leave, and what asking took."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form
from starlette.responses import Response

from everfix import deps
from everfix.core import ids, jobs, outbound, prompt_logs
from everfix.core.languages import LANGUAGES
from everfix.core.llm_providers import PROVIDERS
from everfix.documents.model import Unit
from everfix.errors import Invalid, NotFound
from everfix.identity import ai
from everfix.identity.principals import Scope
from everfix.web import session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
DAYS = 30
TESTS = "ai.test"
Text = Annotated[str, Form(max_length=4_000)]
Json = dict[str, Any]


@router.get("/settings/ai")
def page(visit: session.sees(Scope.WORKSPACE_READ), keys: deps.SigningKeys, settings: deps.Config) -> Response:  # type: ignore[valid-type]
    """The settings as they are, and a form for those who may change them."""
    return _page(visit, keys, settings)


@router.post("/settings/ai")
def change(
    visit: session.changes(Scope.WORKSPACE_ADMIN),  # type: ignore[valid-type]
    keys: deps.SigningKeys,
    settings: deps.Config,
    provider: Text = "",
    model: Text = "",
    base_url: Text = "",
    key: Text = "",
    region: Text = "",
    language: Text = "en",
    prompt_logs_days: Annotated[int, Form(ge=1, le=3650)] = 90,
    auto_per_hour: Annotated[int, Form(ge=0, le=1000)] = 20,
    redact: Annotated[bool, Form()] = False,
    narratives: Annotated[bool, Form()] = False,
    analyses: Annotated[bool, Form()] = False,
    forget: Annotated[bool, Form()] = False,
) -> Response:
    """Keep the settings; an empty key field keeps the key that is there."""
    row = ai.here(visit.db)
    values: Json = {
        "provider": provider, "model": model.strip(), "base_url": base_url.strip(), "language": language, "redact": redact,
        "prompt_logs_days": prompt_logs_days, "auto_per_hour": auto_per_hour, "narratives": narratives, "analyses": analyses,
        "options": {**row.options, "region": region.strip()} if region.strip() else {k: v for k, v in row.options.items() if k != "region"},
    }  # fmt: skip
    if key.strip() or forget:
        values["key"] = None if forget else key.strip()
    try:
        with visit.db.begin_nested():
            ai.change(visit.db, keys, outbound.guard(settings), values, by=visit.who)
    except Invalid as problem:
        visit.db.expire_all()
        return _page(visit, keys, settings, status=422, problem=problem.message, typed=values)
    return shell.go("/settings/ai?kept=1")


@router.post("/settings/ai/test")
def test(visit: session.changes(Scope.WORKSPACE_ADMIN)) -> Response:  # type: ignore[valid-type]
    """Ask the configured model one small question; the answer is followed on the page."""
    job = jobs.enqueue(visit.db, TESTS, {}, by=visit.who.name)
    if not shell.is_partial(visit.request):
        return shell.go("/settings/ai")
    return _tested(visit, job)


@router.get("/settings/ai/test/{job_id}")
def tested(visit: session.sees(Scope.WORKSPACE_READ), job_id: str) -> Response:  # type: ignore[valid-type]
    """How a test goes."""
    wanted = shell.shown_id(ids.Prefix.JOB, job_id)
    job = jobs.find(visit.db, wanted) if wanted else None
    if job is None or job.kind != TESTS:
        raise NotFound(f"no test {job_id[:60]!r}")
    return _tested(visit, job.id)


def _tested(visit: Visit, job_id: UUID) -> Response:
    job = jobs.get(visit.db, job_id)
    return shell.page(visit, "settings/ai_test.html", test=_test(visit, job))


def _test(visit: Visit, job: jobs.Job) -> Json:
    reader = shown.Reader.of(visit.here)
    result = job.result or {}
    return {
        "id": ids.show(ids.Prefix.JOB, job.id),
        "active": job.status not in jobs.FINAL,
        "fine": job.status == jobs.Status.SUCCEEDED,
        "error": job.error or "",
        "by": result.get("answered_by", ""),
        "took": reader.words(result.get("seconds"), Unit.NUMBER),
        "tokens": f"{result.get('input_tokens', 0):,} tokens in, {result.get('output_tokens', 0):,} out",
        "cost": f"${result['cost']:.4f}" if result.get("cost") is not None else f"cost not known: {result.get('priced_by', '')}",
    }


def _page(visit: Visit, keys: Any, settings: Any, *, status: int = 200, problem: str = "", typed: Json | None = None) -> Response:  # noqa: ANN401 - as `deps` gives them
    row = ai.here(visit.db)
    calls, tokens_in, tokens_out, cost, unpriced = prompt_logs.spent(visit.db, DAYS)
    names = ("provider", "model", "base_url", "language", "prompt_logs_days", "auto_per_hour", "redact", "narratives", "analyses")
    values = {name: getattr(row, name) for name in names} | {"region": row.options.get("region", "")}
    if typed:
        values |= {name: typed[name] for name in names} | {"region": typed["options"].get("region", "")}
    found = ai.effective(visit.db, keys, settings)
    return shell.page(
        visit,
        "settings/ai.html",
        status=status,
        values=values,
        problem=problem,
        kept="kept" in visit.request.query_params,
        may=visit.may(Scope.WORKSPACE_ADMIN),
        key_set=row.sealed_key is not None,
        key_hint=row.key_hint,
        providers=[(key, known.title, known.models["balanced"], known.base_url) for key, known in PROVIDERS.items()],
        languages=list(LANGUAGES.items()),
        effective=found,
        effective_title=PROVIDERS[found.provider].title if found.provider else "",
        usage={
            "days": DAYS, "calls": f"{calls:,}", "tokens": f"{tokens_in:,} in, {tokens_out:,} out",
            "cost": f"${cost:.2f}" if cost is not None else "–", "unpriced": unpriced,
        },
    )  # fmt: skip
