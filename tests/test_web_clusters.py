"""The pages of clusters: empty, computed as a job, the structure named, the graph with its tables, and who may."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import numpy as np
import pytest

from everfix.core import ids, jobs
from everfix.failures import clusters
from everfix.web import graphs
from tests import make
from tests.test_web_triage import form, person

TIED: dict[str, Any] = {"service": "shop-api", "team": "shop <b>", "error_type": "ShopError"}


def tied(workspace: make.Workspace) -> None:
    workspace.learn(*make.failures("payments", (9, 4), **TIED), *make.failures("search", (8,), **TIED), *make.failures("database", (3, 2)))


def test_clusters_are_found_by_the_button_and_lead_to_their_patterns(alice: make.Workspace, time: object) -> None:
    """C292."""
    tied(alice)
    visitor = person(alice)
    assert "Clusters have not been looked for yet" in visitor.page("/clusters")
    assert form(visitor, "/clusters/recompute", "/clusters") == 303
    waiting = visitor.page("/clusters")
    assert 'hx-get="/clusters/state"' in waiting
    assert "Find clusters" not in waiting, "one computation at a time"
    assert visitor.get("/clusters/state").headers.get("hx-refresh") is None
    alice.work()
    assert visitor.get("/clusters/state").headers["hx-refresh"] == "true"
    text = visitor.page("/clusters")
    (found,) = alice.api.ok("GET", "/v1/clusters")["data"]
    assert found["name"] in unescape(text)
    assert "shop &lt;b&gt;" in text
    assert "shop <b>" not in text
    page = visitor.page(f"/clusters/{found['id']}")
    for pattern in found["pattern_ids"]:
        assert page.count(f'href="/patterns/{pattern}"') >= 3, "in the picture, among the patterns, in the ties"
    for part in found["shared"]:
        assert part["value"] in unescape(page)
    assert len(re.findall(r'<line class="tie"', page)) == len(alice.api.ok("GET", f"/v1/clusters/{found['id']}")["edges"])
    assert page.count('<circle class="node') == len(found["pattern_ids"])


def test_nothing_in_common_is_told_apart_from_not_looked_for(alice: make.Workspace) -> None:
    visitor = person(alice)
    form(visitor, "/clusters/recompute", "/clusters")
    alice.work()
    assert "No patterns share enough to be tied" in visitor.page("/clusters")


def test_a_computation_that_failed_says_so_and_keeps_what_was(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    tied(alice)
    with alice.db() as db:
        clusters.compute(db, make.NOW)

    def breaks(*_: object) -> int:
        raise jobs.Permanent("too much at once")

    monkeypatch.setattr(clusters, "compute", breaks)
    visitor = person(alice)
    form(visitor, "/clusters/recompute", "/clusters")
    alice.work()
    text = visitor.page("/clusters")
    assert "The last computation failed" in text
    assert "too much at once" in text
    assert "shop-api" in text


def test_who_may_and_what_is_not_there(alice: make.Workspace, bob: make.Workspace) -> None:
    tied(alice)
    with alice.db() as db:
        clusters.compute(db, make.NOW)
    found = alice.api.ok("GET", "/v1/clusters")["data"][0]["id"]
    viewer, stranger = person(alice, "viewer"), person(bob)
    assert "Find anew" not in viewer.page("/clusters")
    assert form(viewer, "/clusters/recompute", "/issues") == 403
    assert stranger.get(f"/clusters/{found}").status_code == 404
    assert person(alice).get("/clusters/nonsense").status_code == 404
    assert "shop-api" not in stranger.page("/clusters")


@pytest.mark.parametrize("count", [0, 1, 2, 3, 40])
def test_a_graph_stays_inside_its_frame_and_nothing_lies_on_another(count: int) -> None:
    edges = [(one, one + 1, 1.0 + one % 3) for one in range(count - 1)]
    drawn = graphs.place(count, edges, 900, 460, 60)
    assert drawn == graphs.place(count, edges, 900, 460, 60), "the same graph looks the same"
    assert len(drawn) == count
    for x, y in drawn:
        assert 60 <= x <= 840
        assert 60 <= y <= 400
    if count > 1:
        at = np.array(drawn)
        far = np.hypot(*(at[:, None] - at[None, :]).transpose(2, 0, 1)) + np.eye(count) * 1e9
        assert far.min() > 15


def test_what_is_tied_is_nearer_than_what_is_not() -> None:
    drawn = graphs.place(6, [(0, 1, 5.0), (1, 2, 5.0), (0, 2, 5.0), (3, 4, 5.0), (4, 5, 5.0), (3, 5, 5.0)], 900, 900, 60)
    at = np.array(drawn)
    inside = np.hypot(*(at[0] - at[1]))
    across = np.hypot(*(at[0] - at[4]))
    assert inside < across


def test_a_chain_of_ties_for_ever_another_reason_is_no_cluster() -> None:
    """Ten patterns, each tied with the next by a thing of their own: single linkage would call them one."""
    nodes = [
        clusters.Node(
            ids.new(),
            f"n{n}",
            1,
            50,
            frozenset({("service", f"s{n}"), ("team", f"s{n}"), ("service", f"s{n + 1}"), ("team", f"s{n + 1}")}),
            frozenset(),
        )
        for n in range(10)
    ]
    found = clusters.ties(nodes)
    assert len(found) == 9
    assert max(len(held) for held, _ in clusters.gather(nodes, found)) <= 4


def test_those_that_all_share_are_one_cluster_however_many() -> None:
    others = [clusters.Node(ids.new(), f"o{n}", 1, 9, frozenset({("service", f"o{n}")}), frozenset()) for n in range(40)]
    held = [clusters.Node(ids.new(), f"n{n}", 1, 50, frozenset({("service", "shop"), ("error_type", "E")}), frozenset()) for n in range(12)]
    ((members, inside),) = clusters.gather([*held, *others], clusters.ties([*held, *others]))
    assert {node.id for node in members} == {node.id for node in held}
    assert len(inside) == 12 * 11 // 2


def test_two_stand_side_by_side() -> None:
    assert graphs.place(2, [(0, 1, 5.0)], 240, 150, 22) == [(218.0, 75.0), (22.0, 75.0)]
