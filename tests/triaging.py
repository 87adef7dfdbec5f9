"""What a stranger needs to know of triage: bodies, what an id names, and one of each kind of thing."""

from __future__ import annotations

from typing import Any

from everfix.failures import clusters
from tests import make

NOBODY = "00000000-0000-7000-8000-000000000000"
NAMED = {f"{noun}_id": noun for noun in ("comment", "correction", "cluster", "saved_view")}
FIGURES = {"/v1/saved-views", "/v1/corrections/quality", "/v1/patterns/graph"}
# What is the caller's own, and so needs no more than reading.
READS = {("POST", "/v1/patterns/{pattern_id}/watch"), ("DELETE", "/v1/patterns/{pattern_id}/watch")}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/issues/bulk"): {"ids": [NOBODY], "op": "status", "value": "closed"},
    ("POST", "/v1/issues/{issue_id}/link-pattern"): {"pattern_id": NOBODY},
    ("POST", "/v1/issues/{issue_id}/unlink-pattern"): {"reason": "x"},
    ("POST", "/v1/issues/{issue_id}/comments"): {"body": "x"},
    ("POST", "/v1/patterns"): {"name": "x"},
    ("PATCH", "/v1/patterns/{pattern_id}"): {"name": "x"},
    ("POST", "/v1/patterns/{pattern_id}/close"): {"note": "x"},
    ("POST", "/v1/patterns/{pattern_id}/merge"): {"source_pattern_id": NOBODY},
    ("POST", "/v1/patterns/{pattern_id}/split"): {"issue_ids": [NOBODY]},
    ("POST", "/v1/patterns/{pattern_id}/detach"): {"issue_ids": [NOBODY]},
    ("POST", "/v1/patterns/{pattern_id}/split-preview"): {"issue_ids": [NOBODY]},
    ("POST", "/v1/patterns/{pattern_id}/detach-preview"): {"issue_ids": [NOBODY]},
    ("POST", "/v1/patterns/merge-preview"): {"source_pattern_id": NOBODY, "target_pattern_id": NOBODY},
    ("POST", "/v1/patterns/{pattern_id}/undo"): None,
    ("POST", "/v1/patterns/{pattern_id}/watch"): None,
    ("POST", "/v1/corrections/{correction_id}/undo"): None,
    ("POST", "/v1/clusters/recompute"): None,
    ("POST", "/v1/saved-views"): {"name": "x"},
    ("PATCH", "/v1/saved-views/{saved_view_id}"): {"name": "y"},
}
# Only people watch, only authors delete, and what these bodies name is not there.
REFUSING = {
    ("POST", "/v1/issues/{issue_id}/link-pattern"): 422,
    ("DELETE", "/v1/issues/{issue_id}/comments/{comment_id}"): 403,
    ("POST", "/v1/patterns/{pattern_id}/merge"): 404,
    ("POST", "/v1/patterns/{pattern_id}/split"): 422,
    ("POST", "/v1/patterns/{pattern_id}/detach"): 422,
    ("POST", "/v1/patterns/{pattern_id}/split-preview"): 422,
    ("POST", "/v1/patterns/{pattern_id}/detach-preview"): 422,
    ("POST", "/v1/patterns/{pattern_id}/undo"): 404,
    ("POST", "/v1/patterns/{pattern_id}/watch"): 422,
    ("DELETE", "/v1/patterns/{pattern_id}/watch"): 422,
    ("PATCH", "/v1/saved-views/{saved_view_id}"): 403,
    ("DELETE", "/v1/saved-views/{saved_view_id}"): 403,
}


def everything(workspace: make.Workspace, issue: str) -> dict[str, str]:
    """Say something about groups, write, save a view and compute clusters; returns an id of each."""
    api = workspace.api
    tied: dict[str, Any] = {"service": "shop-api", "team": "shop", "error_type": "ShopError"}
    workspace.learn(*make.failures("payments", (9,), **tied), *make.failures("search", (8,), **tied))
    api.ok("POST", "/v1/clusters/recompute")
    with workspace.db() as db:
        clusters.compute(db, make.NOW)
    cluster = api.ok("GET", "/v1/clusters")["data"][0]["id"]
    view = api.ok("POST", "/v1/saved-views", {"name": "all", "shared": True})["id"]
    comment = api.ok("POST", f"/v1/issues/{issue}/comments", {"body": "x"})["id"]
    api.ok("POST", f"/v1/issues/{issue}/unlink-pattern")
    return {"cluster": cluster, "saved_view": view, "comment": comment, "correction": api.ok("GET", "/v1/corrections")["data"][0]["id"]}
