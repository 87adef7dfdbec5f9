"""The ML pages: projects, what is in them, a report ordered by a button and read in a frame; hidden from who is no member."""

from __future__ import annotations

import re

from tests import make, ml_work
from tests.test_web import Person


def test_from_the_list_to_a_report_in_a_frame(alice: make.Workspace) -> None:
    owner = Person(alice.client).enter(alice.secrets["owner"])
    assert "There is no project you may see" in owner.page("/ml")
    home = ml_work.project(alice, "Credit <risk>")
    search = ml_work.experiment(alice, home)
    ml_work.model(alice, search, name="GBM <1>", metrics={"auc": 0.9})
    ml_work.privacy(alice, home)
    assert "Credit &lt;risk&gt;" in owner.page("/ml")
    page = owner.page(f"/ml/projects/{home.id}")
    assert "GBM &lt;1&gt;" in page
    assert "No report has been made yet" in page
    sent = owner.post(f"/ml/projects/{home.id}/reports", {"csrf": owner.csrf(), "kind": "experiment", "entity_id": str(search.id)})
    assert sent.status_code == 303, sent.text
    where = sent.headers["location"]
    assert "hx-get" in owner.page(where)
    alice.work()
    shown = owner.get(where)
    frame = re.search(r'<iframe class="report-frame" src="(/api/reports/[^"]+/view)"', shown.text)
    assert frame is not None
    assert "frame-src 'self'" in shown.headers["content-security-policy"]
    assert owner.get(frame[1]).status_code == 200
    assert "Experiment report" in owner.page(f"/ml/projects/{home.id}")


def test_a_project_is_not_there_for_who_is_no_member(alice: make.Workspace) -> None:
    home = ml_work.project(alice)
    viewer = Person(alice.client).enter(alice.secrets["viewer"])
    assert viewer.get(f"/ml/projects/{home.id}").status_code == 404
    assert home.name not in viewer.page("/ml")
    ml_work.member(alice, home, alice.users["viewer"], "viewer")
    page = viewer.page(f"/ml/projects/{home.id}")
    assert "New report" not in page.replace("Press New report", "")
    assert (
        viewer.post(f"/ml/projects/{home.id}/reports", {"csrf": viewer.csrf(), "kind": "project", "entity_id": str(home.id)}).status_code
        == 403
    )
