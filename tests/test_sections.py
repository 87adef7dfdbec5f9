"""Sections: each builds in an empty workspace and a full one, and what it builds can be drawn."""

from __future__ import annotations

import pytest

from everfix.documents.model import Block, Chart, Figures
from everfix.identity import workspaces
from everfix.metrics import periods
from everfix.reports import differences, templates, windows
from everfix.reports.sections import SECTIONS, Context
from tests import make


def build(workspace: make.Workspace, key: str, days: int = 90) -> tuple[Block, ...]:
    with workspace.db() as db:
        return SECTIONS[key].build(Context(db, periods.last(days, make.NOW, "UTC"), workspaces.here(db), "http://x"))


@pytest.mark.parametrize("key", list(SECTIONS))
def test_every_section_builds(alice: make.Workspace, key: str) -> None:
    for filled in (False, True):
        if filled:
            make.with_history(alice)
        blocks = build(alice, key)
        assert blocks
        keys = [block.key for block in blocks if hasattr(block, "key")]
        assert len(set(keys)) == len(keys)
        for block in blocks:
            if isinstance(block, Chart):
                assert block.alt.endswith(".")
                assert {block.x, *block.y} <= {column.key for column in block.table.columns}
            if isinstance(block, Figures):
                assert block.figures


def test_every_template_names_sections_that_exist() -> None:
    for template in templates.TEMPLATES.values():
        assert set(template.sections) <= set(SECTIONS)
        assert len(set(template.sections)) == len(template.sections)
        assert template.window in windows.USUAL
        assert template.description.endswith(".")
    used = {key for template in templates.TEMPLATES.values() for key in template.sections}
    assert used | {differences.SECTION, "expected_and_delivered"} == set(SECTIONS), "a section that no template has is hard to find"


def test_figures_are_compared_with_the_period_before(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (40, 35, 20, 9, 2)))
    cards = next(block for block in build(alice, "issue_kpis", days=30) if isinstance(block, Figures))
    issues = next(figure for figure in cards.figures if figure.key == "issues")
    assert (issues.value, issues.previous, issues.better) == (3, 2, "down")
