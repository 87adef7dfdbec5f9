"""Sources: every entry of the catalogue runs, in an empty workspace and a full one, and its rows are of the types it declares."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text

from everfix.core import ids
from everfix.documents.model import Table, Unit
from everfix.errors import Invalid
from everfix.failures import claims, recommendations
from everfix.failures.recommendations import Recommendation
from everfix.metrics import periods, query, sources
from everfix.metrics.sources import Param
from tests import make

CATALOGUE = query.catalogue()
KEYS = sorted(CATALOGUE)


def fill(workspace: make.Workspace) -> None:
    make.once(workspace, "sources", _fill)


def _fill(workspace: make.Workspace) -> None:
    workspace.learn(
        *make.failures("database", (80, 60, 40, 25, 20, 15, 9, 5, 2, 1), team="shop", acknowledged_at=make.NOW.isoformat()),
        *make.failures("payments", (50, 33, 12, 6, 3), severity="p1", resolved_at=make.NOW.isoformat()),
        *make.failures("login", (45, 4), service=None),
    )
    with workspace.db() as db:
        one = db.execute(select(Recommendation).limit(1)).scalar_one()
        recommendations.move(db, one.id, "implemented", by=workspace.principal, claim=claims.Claim(at=make.NOW))


def params(workspace: make.Workspace, key: str) -> dict[str, Any]:
    """Return what a source that asks for a pattern or a model needs."""
    with workspace.db() as db:
        found = str(db.execute(text("SELECT id FROM patterns ORDER BY id LIMIT 1")).scalar_one_or_none() or ids.new())
    needed = {"pattern": found, "offerId": found, "modelId": "predictions"}
    return {name: value for name, value in needed.items() if name in {param.key for param in CATALOGUE[key].params}}


def run(workspace: make.Workspace, key: str, days: int = 90, **given: Any) -> Table:
    with workspace.db() as db:
        return query.table(db, key, periods.last(days, make.NOW, "Europe/Paris"), params(workspace, key) | given, url="http://x")


KINDS: dict[Unit, tuple[type, ...]] = {
    **dict.fromkeys(Unit, (int, float)),
    **dict.fromkeys((Unit.TEXT, Unit.DATE, Unit.DATETIME), (str,)),
    Unit.FLAG: (bool,),
}


@pytest.mark.parametrize("key", KEYS)
def test_every_source_runs_and_keeps_its_types(alice: make.Workspace, key: str) -> None:
    empty = run(alice, key)
    fill(alice)
    for made in (empty, run(alice, key), run(alice, key, days=7), run(alice, key, days=366)):
        assert [column.key for column in made.columns] == [column.key for column in CATALOGUE[key].columns]
        assert made.total_rows is not None
        assert made.total_rows >= len(made.rows)
        assert made.links == () or len(made.links) == len(made.rows)
        for row in made.rows:
            assert len(row) == len(made.columns)
            for column, value in zip(made.columns, row, strict=True):
                if value is None:
                    continue
                assert isinstance(value, KINDS[column.unit]), (key, column.key, value)
                if column.unit in (Unit.PERCENT, Unit.PROBABILITY) and column.key != "delta":
                    assert 0 <= float(value) <= 1, (key, column.key, value)
                if column.unit is Unit.DATE:
                    date.fromisoformat(str(value))
                if column.unit is Unit.DATETIME:
                    assert datetime.fromisoformat(str(value)).tzinfo is not None
                if column.unit is Unit.COUNT:
                    assert float(value).is_integer(), (key, column.key, value)


@pytest.mark.parametrize("key", [key for key in KEYS if any(param.key == "limit" for param in CATALOGUE[key].params)])
def test_a_limit_cuts_and_the_count_does_not(alice: make.Workspace, key: str) -> None:
    fill(alice)
    (param,) = (param for param in CATALOGUE[key].params if param.key == "limit")
    whole, one = run(alice, key, limit=param.high), run(alice, key, limit=1)
    assert whole.total_rows == len(whole.rows) or CATALOGUE[key].counts is not None
    if CATALOGUE[key].counts is not None:
        assert one.rows == whole.rows[:1]
        assert one.total_rows == whole.total_rows == len(whole.rows)


@pytest.mark.parametrize("key", KEYS)
def test_no_source_shows_another_workspaces_rows(alice: make.Workspace, bob: make.Workspace, key: str) -> None:
    empty = run(bob, key)
    fill(alice)
    foreign = params(alice, key)
    assert run(bob, key, **foreign).rows == empty.rows


@pytest.mark.parametrize("key", KEYS)
def test_the_same_question_has_the_same_answer(alice: make.Workspace, key: str) -> None:
    fill(alice)
    assert run(alice, key) == run(alice, key)


def test_every_entry_says_what_it_is() -> None:
    for key, source in CATALOGUE.items():
        assert key == source.key
        assert source.title
        assert source.about.endswith("."), key
        assert source.empty.endswith("."), key
        assert len({column.key for column in source.columns}) == len(source.columns)
        assert "workspace_id" not in source.sql
        assert source.params == () or all(param.high >= param.low for param in source.params)


def test_figures_are_counted_right(alice: make.Workspace) -> None:
    fill(alice)
    (row,) = run(alice, "issue_figures", days=7).rows
    found = dict(zip((column.key for column in CATALOGUE["issue_figures"].columns), row, strict=True))
    assert (found["issues"], found["issues_before"], found["urgent"]) == (6, 2, 6)
    by_day = run(alice, "issues_by_day", days=7)
    assert len(by_day.rows) == 7
    assert sum(int(str(value)) for value in by_day.column("issues")) == 6
    by_service = run(alice, "issues_by_service", days=90)
    assert sum(float(str(value)) for value in by_service.column("share")) == pytest.approx(1)
    assert "no service named" in by_service.column("service")


def test_unknown_sources_and_parameters_are_named() -> None:
    with pytest.raises(Invalid, match="there is no source 'nope'"):
        query.find("nope")
    with pytest.raises(Invalid, match="has no parameter 'colour'"):
        query.values(query.find("top_patterns"), {"colour": 1})


ANYTHING = st.none() | st.integers() | st.text() | st.floats() | st.booleans() | st.lists(st.integers())


@given(st.sampled_from([sources.LIMIT, Param("word", None, high=5, kind="text")]), ANYTHING)
def test_a_parameter_is_in_its_bounds_or_refused(param: Param, value: Any) -> None:
    try:
        read = param.read(value)
    except Invalid as problem:
        assert list(problem.details) == [param.key]  # noqa: PT017 - either is right
        return
    if param.kind == "int":
        assert isinstance(read, int)
        assert param.low <= read <= param.high
    else:
        assert read is None or len(str(read)) <= param.high


@pytest.mark.parametrize("value", ["²", "--5", "1_0", "٣", " 5", "5\n", "0x5", "1e1", "", "-", "9" * 5000])
def test_what_only_looks_like_a_number_is_refused(value: str) -> None:
    with pytest.raises(Invalid):
        sources.LIMIT.read(value)
