"""Charts: every form draws what its table says, in both themes, in a browser and in a file."""

from __future__ import annotations

import json
import re

import pytest
from fontTools import ttLib
from hypothesis import given, settings
from hypothesis import strategies as st

from everfix.documents import axes, charts, fonts, matrix, palette, widths
from everfix.documents.model import Cell, Chart, Column, Table, Unit
from tests import document_samples as samples
from tests import ml_samples

SAMPLES = (
    samples.trend,
    samples.forecast,
    samples.costs,
    samples.weekly,
    samples.backlog,
    samples.calendar,
    samples.segments,
    samples.scatter,
    samples.matrix,
    *ml_samples.ALL,
)


def words(svg: str) -> list[str]:
    return re.findall(r">([^<>]+)</(?:text|tspan)>", svg)


def chart(form: str, unit: Unit, rows: tuple[tuple[Cell, ...], ...], **more: object) -> Chart:
    columns = (Column(key="x", title="X"), Column(key="y", title="Y", unit=unit))
    return Chart.model_validate(
        {
            "key": "c",
            "title": "C",
            "form": form,
            "table": Table(key="t", columns=columns, rows=rows),
            "x": "x",
            "y": ("y",),
            "alt": "a",
            **more,
        }
    )


def test_the_samples_use_every_form() -> None:
    assert {make().form for make in SAMPLES} == set(charts.FORMS)


@pytest.mark.parametrize("make", SAMPLES)
def test_a_chart_draws_in_both_themes_at_the_size_asked_for(make: object) -> None:
    assert callable(make)
    for theme in ("light", "dark"):
        drawn = charts.svg(make(), theme=theme, width=500, height=300)
        assert 'width="500" height="300"' in drawn
        assert "NaN" not in drawn
        assert "http://www.w3.org" in drawn
        assert not re.search(r"href|<script|<image", drawn)


def test_a_specification_is_complete_json_for_the_browser() -> None:
    made = charts.spec(samples.forecast(), width="container", theme="dark")
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["width"] == "container"
    assert made["description"] == samples.forecast().alt
    assert "url" not in json.dumps(made["data"])


def test_a_forecast_has_its_split_band_threshold_and_first_breach() -> None:
    text = words(charts.svg(samples.forecast()))
    assert {"projected →", "Alert threshold 75", "77 on 27 Nov 2026"} <= set(text)
    dashed = charts.svg(samples.forecast())
    assert 'stroke-dasharray="2,5"' in dashed
    assert 'stroke-dasharray="5,3"' in dashed


def test_bars_carry_their_values_in_the_words_of_the_report() -> None:
    assert {"$31,200", "$6,050", "checkout"} <= set(words(charts.svg(samples.costs())))
    euros = words(charts.svg(samples.costs(), currency="EUR"))
    assert "€31,200" in euros


def test_axes_speak_the_unit() -> None:
    shares = words(charts.svg(chart("line", Unit.PERCENT, (("a", 0.1), ("b", 0.4)))))
    assert "40 %" in shares
    hours = words(charts.svg(chart("area", Unit.SECONDS, (("a", 7200), ("b", 36000)))))
    assert any(text.endswith(" h") for text in hours)
    money = words(charts.svg(chart("area", Unit.MONEY, (("a", 1_000_000), ("b", 4_000_000)))))
    assert "$4 M" in money


def test_times_are_shown_in_the_zone_of_the_report() -> None:
    columns = (Column(key="x", title="X", unit=Unit.DATETIME), Column(key="y", title="Y", unit=Unit.COUNT))
    rows = tuple((f"2026-11-01T{hour:02d}:00:00+00:00", hour) for hour in range(4))
    made = Chart(key="c", title="C", form="line", table=Table(key="t", columns=columns, rows=rows), x="x", y=("y",), alt="a")
    shown = charts.spec(made, timezone="Asia/Tokyo")["data"]["values"][0]
    assert shown["x"] == "2026-11-01T09:00:00"
    assert shown["xs"] == "1 Nov 2026, 09:00"


def test_equal_names_stay_apart() -> None:
    records = axes.long(chart("bar", Unit.COUNT, (("same", 1), ("same", 2))), axes.Scale(), currency="USD", timezone="UTC")
    assert len({record["x"] for record in records}) == 2


def test_the_matrix_ranks_names_numbers_probabilities_and_scores() -> None:
    assert [matrix.rank(name, Unit.TEXT, matrix.LIKELIHOOD) for name in ("rare", "Almost Certain")] == [0, 4]
    assert [matrix.rank(n, Unit.COUNT, matrix.IMPACT) for n in (1, 5)] == [0, 4]
    assert [matrix.rank(p, Unit.PROBABILITY, matrix.LIKELIHOOD) for p in (0.0, 0.19, 0.2, 0.99, 1.0)] == [0, 0, 1, 4, 4]
    assert matrix.rank(87, Unit.SCORE, matrix.LIKELIHOOD) == 4
    for value, unit in ((7, Unit.COUNT), ("huge", Unit.TEXT), (None, Unit.COUNT), (1.5, Unit.PROBABILITY)):
        with pytest.raises(ValueError, match="has no place in the matrix: allowed are"):
            matrix.rank(value, unit, matrix.IMPACT)


def test_the_matrix_goes_from_green_to_dark_red_and_counts_what_does_not_fit() -> None:
    assert (matrix.level(0, 0), matrix.level(4, 4)) == (0, 3)
    assert all(matrix.level(i, j) <= matrix.level(i + 1, j) for i in range(4) for j in range(5))
    columns = (Column(key="n", title="Name"), Column(key="i", title="Impact"), Column(key="l", title="Likelihood"))
    rows = tuple((f"p{n}", "Major", "Likely") for n in range(12))
    crowded = Chart(key="c", title="C", form="matrix", table=Table(key="t", columns=columns, rows=rows), x="i", y=("l",), alt="a")
    assert "+4" in words(charts.svg(crowded))
    assert matrix.key(crowded)[11] == "12 p11"


@given(st.integers(0, 0xFFFFFF))
@settings(max_examples=120, deadline=None)
def test_any_brand_colour_can_be_read_and_told_apart(number: int) -> None:
    brand = f"#{number:06x}"
    for theme, paper in (("light", "#ffffff"), ("dark", "#11181f")):
        colours = palette.of(brand, theme)
        assert palette.contrast(colours.accent, paper) >= 4.5
        assert palette.contrast(colours.ink, paper) >= 10
        assert palette.contrast(colours.good, paper) >= 4.5
        assert palette.contrast(colours.bad, paper) >= 4.5
        assert palette.closest(colours.series[:3]) >= 0.1  # also for readers who do not see red or green


def test_names_of_bars_use_the_room_there_is_and_stay_apart_when_shortened() -> None:
    long = tuple((f"TotalMismatchException in example.checkout.total.TotalGuard number {n}", n + 1) for n in range(4))
    small, large = (charts.spec(chart("bar", Unit.COUNT, long), width=width)["data"]["values"] for width in (300, 1200))
    assert all(record["x"].rstrip("\u200b").endswith("…") for record in small)
    assert [record["x"] for record in large] == [name for name, _ in long]
    assert len({record["x"] for record in small}) == 4
    assert all(record["xs"] == name for record, (name, _) in zip(small, long, strict=True))


def test_several_figures_of_one_name_stand_side_by_side_and_never_add_up() -> None:
    columns = (Column(key="x", title="X"), Column(key="a", title="A", unit=Unit.COUNT), Column(key="b", title="B", unit=Unit.COUNT))
    table = Table(key="t", columns=columns, rows=(("one", 10, 0), ("two", 8, 3)))
    made = Chart(key="c", title="C", form="bar", table=table, x="x", y=("a", "b"), alt="a")
    bars = charts.spec(made)["layer"][0]["encoding"]
    assert bars["x"]["stack"] is None
    assert bars["yOffset"]["field"] == "s"
    assert {"10", "0", "8", "3"} <= set(words(charts.svg(made)))


def test_a_legend_stands_on_one_line_where_its_names_fit() -> None:
    assert charts.spec(samples.weekly(), width=400)["config"]["legend"]["columns"] == 2
    assert charts.spec(samples.weekly(), width=120)["config"]["legend"]["columns"] == 1


@given(st.text(max_size=80), st.floats(1, 60))
@settings(max_examples=200, deadline=None)
def test_a_shortened_text_is_within_its_room(text: str, most: float) -> None:
    shown = fonts.within(text, most)
    assert shown == text or (fonts.ems(shown) <= most and shown.endswith("…"))


def test_a_curve_rings_its_operating_point_and_says_it() -> None:
    drawn = charts.svg(ml_samples.roc(), width=400, height=290)
    assert "threshold 0.5" in words(drawn)
    assert "stroke-dasharray" in drawn  # the diagonal


def test_lines_differ_in_grey_print_too() -> None:
    layers = charts.spec(ml_samples.learning())["layer"]
    dashes = next(layer["encoding"]["strokeDash"]["scale"]["range"] for layer in layers if "strokeDash" in layer.get("encoding", {}))
    assert len({tuple(dash) for dash in dashes}) == len(dashes) == 2
    assert "best at 40" in words(charts.svg(ml_samples.learning()))


def test_a_confusion_matrix_says_counts_and_rates() -> None:
    drawn = words(charts.svg(ml_samples.confusion(), width=400))
    found = ml_samples.binary()
    assert {f"{found.tp}", f"{found.fn}", f"{found.fp}", f"{found.tn}"} <= set(drawn)
    assert any(text.endswith("%") for text in drawn)


def test_differences_print_their_sign() -> None:
    drawn = words(charts.svg(ml_samples.correlation(), width=400))
    assert any(text.startswith("+") for text in drawn)
    assert any(text.startswith("−") for text in drawn)


def test_small_multiples_name_each_panel_and_grow_with_their_rows() -> None:
    made = ml_samples.multiples()
    drawn = words(charts.svg(made, width=400))
    for name in set(made.table.column("feature")):
        assert any(str(name)[:6] in text for text in drawn), name
    assert charts.tall(made, 400) > charts.tall(made, 900)


def test_many_classes_are_shaded_not_printed() -> None:
    rows = tuple((f"c{a}", f"c{b}", 1.0 if a == b else 0.0, 5) for a in range(20) for b in range(20))
    table = ml_samples.confusion().table.model_copy(update={"rows": rows})
    assert "5" not in words(charts.svg(ml_samples.confusion().model_copy(update={"table": table}), width=400))


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.995340, "0.9953"), (0.0012346, "0.001235"), (1234.4, "1,234"), (12.3456, "12.35"), (0, "0"), (-0.5, "-0.5"), (1e-12, "≈ 0")],
)
def test_measures_keep_four_digits(value: float, text: str) -> None:
    from everfix.documents import format as shown

    assert shown.show(value, Unit.MEASURE) == text


def test_charts_are_measured_with_the_widths_of_inter_and_name_inter() -> None:
    assert widths.FILE.read_bytes() == widths.made(widths.source()), "made of another Inter: python -m everfix.documents.widths"
    measured, inter = ttLib.TTFont(widths.FILE), ttLib.TTFont(widths.source())
    assert measured.getBestCmap().keys() == inter.getBestCmap().keys()
    for code, glyph in inter.getBestCmap().items():
        assert measured["hmtx"][measured.getBestCmap()[code]][0] == inter["hmtx"][glyph][0], chr(code)
    drawn = charts.svg(samples.costs())
    assert charts.NAMED in drawn
    assert widths.FAMILY not in drawn


def test_a_long_name_takes_the_room_that_inter_needs_for_it() -> None:
    def left(name: str) -> float:
        drawn = charts.svg(chart("bar", Unit.COUNT, ((name, 3.0), ("b", 1.0))))
        return float(next(iter(re.findall(r"translate\(([\d.]+),", drawn))))

    wide, narrow = 0.985, 0.242  # ems of Inter
    assert left("W" * 8) - left("i" * 8) == pytest.approx(11 * 8 * (wide - narrow), abs=1)
