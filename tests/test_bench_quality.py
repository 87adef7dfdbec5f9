"""The bench of quality: its page keeps what it has, and its own short cuts agree with the shared scorer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import quality, quality_forecasts, quality_groups
from tests.shared import shared


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "PAGE", tmp_path / "quality.md")
    first, second = quality.PARTS[0].title, quality.PARTS[1].title
    quality.write(second, "| b |")
    quality.write(first, "| a |")
    quality.write(second, "| c |\n\n*stamp*")
    page = (tmp_path / "quality.md").read_text(encoding="utf-8")
    assert quality.sections(page) == {first: "| a |", second: "| c |\n\n*stamp*"}
    assert page.startswith(quality.HEAD)
    assert page.index(first) < page.index(second)


def test_a_part_that_fails_says_why_and_the_run_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "PAGE", tmp_path / "quality.md")
    monkeypatch.setattr(quality, "HERE", tmp_path)
    (tmp_path / "good.py").write_text("print('| row |')", encoding="utf-8")
    (tmp_path / "bad.py").write_text("print('| half |', flush=True); raise SystemExit('no data here')", encoding="utf-8")
    parts = (quality.Part("good", "Good", "good.py"), quality.Part("bad", "Bad", "bad.py", alone=True))
    monkeypatch.setattr(quality, "PARTS", parts)
    monkeypatch.setenv("EVERFIX_SCORER_PYTHON", "python")
    assert quality.main([]) == 1
    said = quality.sections((tmp_path / "quality.md").read_text(encoding="utf-8"))
    assert said["Good"].startswith("| row |")
    assert "Not run" not in said["Good"]
    assert said["Bad"].startswith("| half |")
    assert "no data here" in said["Bad"]
    assert quality.main(["good"]) == 0


def test_an_unknown_part_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert quality.main(["weather"]) == 2
    assert "weather" in capsys.readouterr().err


def test_the_brier_score_of_ablations_is_the_scorers(tmp_path: Path) -> None:
    tasks = json.loads(shared("data/tasks.json").read_text(encoding="utf-8"))["recurrence"]
    task = next(one for one in tasks if one["name"] == "upptime 6 h")
    if reason := quality_forecasts.missing():
        pytest.skip(reason)
    theirs, _ = quality_forecasts.measured(task, tmp_path)
    assert quality_forecasts.brier(task, tmp_path) == pytest.approx(theirs["scores"]["yours"]["brier"], abs=2e-6)


def test_exact_groups() -> None:
    true = {"1": "a", "2": "a", "3": "b", "4": "b", "5": "c"}
    assert quality_groups.exactly({"1": "x", "2": "x", "3": "y", "4": "z", "5": "w"}, true) == pytest.approx(0.6)
    assert quality_groups.exactly(dict.fromkeys(true, "x"), true) == 0.0
