from __future__ import annotations

import csv
import gzip
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from everfix.failures import backtest
from tests.shared import shared

START = datetime(2025, 1, 1)  # noqa: DTZ001 - times without a zone are UTC here, which is what is tested
GRID: dict[str, Any] = {"window_days": 7, "stride_days": 3.5, "warmup_days": 30, "active_days": 90}


def rows(days: int = 200) -> list[dict[str, str]]:
    """Three patterns: one fails daily, one every ninth day, one stops after two months."""
    table = []
    for day in range(days):
        for pattern, every, last in (("daily", 1, days), ("ninth", 9, days), ("gone", 2, 60)):
            if day % every == 0 and day < last:
                table.append({"pattern": pattern, "occurred_at": (START + timedelta(days=day, hours=3)).isoformat()})
    return table


def written(path: Path) -> list[dict[str, str]]:
    with backtest.opened(path) as lines:
        return list(csv.DictReader(lines))


def test_walks_the_grid_and_beats_the_base_rate(tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    scores = backtest.run(rows(), tmp_path / "f.csv", **GRID, progress=lambda n, of: done.append((n, of)))
    lines = written(tmp_path / "f.csv")
    assert lines[0] == {"origin": "2025-01-31T03:00:00Z", "pattern": "daily", "probability": lines[0]["probability"]}
    assert len(lines) == scores.forecasts
    assert scores.methods["everfix"].brier < 0.5 * scores.methods["base rate"].brier
    assert done[-1] == (scores.origins, scores.origins)
    assert "Brier" in scores.table()
    assert not [line for line in lines if line["pattern"] == "gone" and line["origin"] > "2025-06-01"]


@pytest.mark.parametrize("cut", [90, 150])
def test_later_failures_do_not_move_a_forecast(tmp_path: Path, cut: int) -> None:
    until = START + timedelta(days=cut)
    table = rows()
    for row in table[::3]:
        row["visible_at"] = (datetime.fromisoformat(row["occurred_at"]) + timedelta(days=2)).isoformat()
    backtest.run(table, tmp_path / "all.csv", **GRID)
    early = [row for row in table if datetime.fromisoformat(row.get("visible_at") or row["occurred_at"]) <= until]
    backtest.run(early, tmp_path / "early.csv", **GRID)
    assert written(tmp_path / "early.csv") == [
        line for line in written(tmp_path / "all.csv") if line["origin"] <= written(tmp_path / "early.csv")[-1]["origin"]
    ]


def test_bad_rows_are_named_and_the_rest_is_used(tmp_path: Path) -> None:
    good = "\n".join(f"{row['pattern']},{row['occurred_at']}" for row in rows())
    (tmp_path / "e.csv").write_text(f"pattern,occurred_at\nx,yesterday\nalone\n{good}\n", encoding="utf-8")
    scores = backtest.run(tmp_path / "e.csv", tmp_path / "f.csv.gz", **GRID)
    assert scores.rejected == 2
    assert str(scores.bad[0]) == "line 2: occurred_at 'yesterday': an ISO 8601 date or time is expected, like 2025-03-01T12:30:00Z"
    assert "2 rows were left out" in scores.table()
    assert gzip.decompress((tmp_path / "f.csv.gz").read_bytes()).startswith(b"origin,pattern,probability\n")


def test_a_missing_column_names_those_found(tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_text("name,when\na,2025-01-01\n", encoding="utf-8")
    with pytest.raises(ValueError, match="no column pattern and no column occurred_at; it has name, when"):
        backtest.run(tmp_path / "e.csv", tmp_path / "f.csv", **GRID)


def test_real_failures_beat_the_decayed_rate(tmp_path: Path) -> None:
    scores = backtest.run(shared("data/nodejs/events.csv.gz"), tmp_path / "f.csv", **GRID)
    assert scores.methods["everfix"].brier < scores.methods["decayed rate"].brier < scores.methods["base rate"].brier


def test_on_real_data_later_reports_do_not_move_a_forecast(tmp_path: Path) -> None:
    with backtest.opened(shared("data/nodejs/events.csv.gz")) as lines:
        table = [dict(row) for row in csv.DictReader(lines)]
    cut = "2025-03-01T00:00:00Z"
    until = datetime(2025, 2, 20)  # noqa: DTZ001 - UTC
    backtest.run(table, tmp_path / "all.csv", **GRID, until=until)
    backtest.run([row for row in table if row["visible_at"] <= cut], tmp_path / "early.csv", **GRID, until=until)
    assert written(tmp_path / "early.csv") == written(tmp_path / "all.csv")


@pytest.mark.parametrize("argument", ["window_days", "stride_days", "active_days", "min_events"])
def test_an_argument_out_of_bounds_is_named(tmp_path: Path, argument: str) -> None:
    with pytest.raises(ValueError, match=f"{argument}: 0; from"):
        backtest.run(rows(), tmp_path / "f.csv", **{**GRID, argument: 0})
