"""Builders of what has to do with language models: an assistant of a test server, a row in every table, a narrative as an answer."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from everfix.core import clock, llm, outbound, prompt_logs
from everfix.core.llm_providers import Choice
from everfix.documents.model import Narrative
from everfix.failures import analyses, causes, evidence
from everfix.ingest.events import Issue
from tests import make
from tests.model_server import ModelServer

KEY = "sk-test-0123456789abcdef"


def assistant(server: ModelServer, *, seconds: float = 5.0, model: str = "gpt-4o") -> llm.Assistant:
    """Return who asks the test server as OpenAI is asked."""
    return llm.Assistant((Choice("openai", model, KEY, server.url + "/v1", trusted=True),), outbound.Guard(), seconds)


def handed_in(narrative: Narrative, **changed: Any) -> dict[str, Any]:
    """Return a narrative as a model hands it in, with some of its parts changed."""
    return {
        "executive_summary": list(narrative.executive_summary),
        "sections": [{"id": section, "narrative": text} for section, text in narrative.sections.items()],
        "key_takeaways": list(narrative.key_takeaways),
    } | changed


def everything(workspace: make.Workspace) -> None:
    """Put a row into every table of this area."""
    workspace.api.ok("PUT", "/v1/settings/ai", {"provider": "openai", "key": KEY})
    with workspace.db() as db:
        found = evidence.gather(db, list(db.execute(select(Issue)).scalars()))
        analyses.store(db, [(one, causes.of(one.items)) for one in found.values()])
        prompt_logs.record(db, [llm.Call("test", "openai", "gpt-4o", "asked", clock.now(), answer="said", outcome="accepted")])
