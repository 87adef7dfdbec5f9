"""Builds the two reports whose sections no executive report has, a prediction report and a recommendation coverage, with real shapes."""

from __future__ import annotations

from collections.abc import Sequence

from everfix.documents.model import Block, Cell, Chart, Column, Document, Figure, Figures, Section, Table, Unit
from tests import narrative_documents as documents

TEXT, COUNT, NUMBER, ODDS = Unit.TEXT, Unit.COUNT, Unit.NUMBER, Unit.PROBABILITY
PRICES = "pricing p…, checkout falls back to yesterday's prices"  # stands twice: two patterns that differ in what was masked
ORDERS = "Failure in test unique_fct_orders_order_id (models/marts/orders/_orders.yml)"


def table(key: str, columns: str, rows: Sequence[tuple[Cell, ...]], units: Sequence[Unit], total: int | None = None) -> Table:
    """Return a table of `columns` told as "key Title|key Title"."""
    named = [column.split(" ", maxsplit=1) for column in columns.split("|")]
    made = tuple(Column(key=name, title=title, unit=unit) for (name, title), unit in zip(named, units, strict=True))
    return Table(key=key, title=key.replace("_", " ").capitalize(), columns=made, rows=tuple(rows), total_rows=total)


def section(key: str, title: str, block: Block) -> Section:
    return Section(id=key, title=title, blocks=(block,))


def predictions() -> Document:
    """Return a prediction report: open and settled predictions, a forecast with its band, what is due and how it ended."""
    cards = (
        Figure(key="total", title="Predictions", value=137),
        Figure(key="high", title="At 80 % and more", value=0),
        Figure(key="above_threshold", title="Above alert threshold", value=4),
        Figure(key="average", title="Average probability", value=0.139, unit=ODDS),
        Figure(key="settled", title="Settled in the period", value=636),
        Figure(key="brier", title="Brier score", value=0.0899, previous=0.0969, unit=NUMBER, better="down"),
        Figure(key="brier_base", title="Brier score of the base rate", value=0.1158, unit=NUMBER),
    )
    weeks = ("2026-10-11", "2026-10-18", "2026-10-25", "2026-11-01", "2026-11-08", "2026-11-15", "2026-11-22")
    seen = [(day, value, None, None, None) for day, value in zip(weeks, (22.0, 15.0, 25.0, 20.0, 22.0, 21.0, 24.0), strict=True)]
    ahead = table(
        "forecast",
        "day Day|observed Observed|expected Expected|lower Low|upper High",
        [*seen, ("2026-11-29", None, 19.1, 13.4, 24.7)],
        (Unit.DATE, NUMBER, NUMBER, NUMBER, NUMBER),
    )
    forecast = Chart(
        key="forecast_chart",
        title="Patterns failing a week",
        form="line",
        table=ahead,
        x="day",
        y=("observed", "expected"),
        lower="lower",
        upper="upper",
        split="2026-11-22",
        alt="Patterns a week.",
    )
    due = table(
        "predictions_due",
        "pattern Pattern|service Service|probability Probability|lower From|upper To|window_days Within"
        "|impact Impact|likely_trigger Likely trigger",
        [
            (
                PRICES,
                "pricing",
                0.785,
                0.661,
                0.873,
                7,
                "high",
                "a change of pricing (67% of its failing days followed one within 6 hours)",
            ),
            (PRICES, "pricing", 0.755, 0.631, 0.846, 7, "high", "time alone (half of its returns come within 4 days)"),
            ("RangeError in ring", "mobile-api", 0.71, 0.592, 0.805, 7, "medium", "Mondays (52% of its failing days)"),
            (ORDERS, "warehouse-etl", 0.702, 0.58, 0.809, 14, "high", "none known (seen once so far)"),
        ],
        (TEXT, TEXT, ODDS, ODDS, ODDS, Unit.DAYS, TEXT, TEXT),
        137,
    )
    calibration = table(
        "calibration",
        "said Said|happened Happened|predictions Predictions",
        [(0.0417, 0.046, 413), (0.1422, 0.1443, 97), (0.549, 0.381, 126)],
        (ODDS, ODDS, COUNT),
    )
    ended = table(
        "outcomes",
        "week Week of|hits Hit|prevented Prevented|misses Miss|brier Brier score",
        [("2026-10-19", 13, 21, 85, 0.058), ("2026-10-26", 16, 23, 86, 0.0934), ("2026-11-02", 56, 65, 271, 0.0943)],
        (Unit.DATE, COUNT, COUNT, COUNT, NUMBER),
    )
    y = ("hits", "prevented", "misses")
    right = Section(
        id="model_accuracy",
        title="How right we were",
        blocks=(
            Chart(
                key="calibration_chart", title="Said and happened", form="scatter", table=calibration, x="said", y=("happened",), alt="A."
            ),
            Chart(key="outcomes_chart", title="Outcomes a week", form="column", table=ended, x="week", y=y, alt="Outcomes."),
        ),
    )
    return documents.document(
        (
            section("prediction_kpis", "Predictions at a glance", Figures(key="cards", figures=cards)),
            section("forecast", "Forecast", forecast),
            section("predictions_due", "Likely to come back", due),
            right,
        )
    )


def coverage() -> Document:
    """Return a recommendation coverage: what fixes prevented, where they stand, and one whose pattern was seen again."""
    cards = (
        Figure(key="prevented", title="Returns prevented", value=22.4, previous=40.8, unit=NUMBER, better="up"),
        Figure(key="exposure_avoided", title="Exposure avoided", value=107520, previous=195840, unit=Unit.MONEY, better="up"),
        Figure(key="held", title="Fixes that held", value=6, previous=7, better="up"),
        Figure(key="failed", title="Fixes that failed", value=0, previous=1, better="down"),
    )
    gain = "expected_loops_prevented Returns prevented in 90 days"
    status = table(
        "recommendation_status",
        f"status Status|recommendations Recommendations|{gain}",
        [("pending", 2, 8.26), ("in progress", 0, 0.0), ("implemented", 2, 0.0)],
        (TEXT, COUNT, NUMBER),
    )
    listed = table(
        "recommendation_list",
        f"fix Fix|pattern Pattern|status Status|effort Effort|{gain}|implemented In place since|verdict Proof",
        [
            ("Serve a stub of the payment frame in tests", "Error in CheckoutPage.pay", "pending", "medium", 4.15, None, None),
            ("Fix the failing line and test the case that broke it", "TypeError in etaOf", "pending", "medium", 4.11, None, None),
            ("Merge on order_id with a look-back of three days", ORDERS, "implemented", "low", 0.0, "2026-09-28", "held"),
            ("Let the mock choose a free port", "BindException: Address already in use", "implemented", "low", 0.0, "2026-09-17", "failed"),
        ],
        (TEXT, TEXT, TEXT, TEXT, NUMBER, Unit.DATE, TEXT),
    )
    kept = table(
        "loops_prevented",
        "fix Fix|pattern Pattern|claimed In place since|expected Expected|observed Came|prevented Prevented|holds Holds|verdict Verdict",
        [
            ("Merge on order_id with a look-back of three days", ORDERS, "2026-09-28", 10.8, 0, 10.8, 0.999, "held"),
            ("Swap the cache map behind an atomic pointer", "test / go test -race …", "2026-09-07", 7.3, 0, 7.3, 0.999, "held"),
            ("Let the mock choose a free port", "BindException: Address already in use", "2026-09-17", 6.5, 2, 4.5, 0.8, "held"),
        ],
        (TEXT, TEXT, Unit.DATE, NUMBER, COUNT, NUMBER, ODDS, TEXT),
        22,
    )
    top = table(
        "top_patterns",
        "pattern Pattern|risk_score Risk|issues Failures|before Before|last_seen Last seen|probability Next 7 days",
        [(ORDERS, 78, 35, 1, "2026-11-20", 0.707), ("RangeError in ring", 65, 33, 13, "2026-11-21", 0.756)],
        (TEXT, Unit.SCORE, COUNT, COUNT, Unit.DATE, ODDS),
        96,
    )
    return documents.document(
        (
            section("recommendation_kpis", "Fixes at a glance", Figures(key="fix_cards", figures=cards)),
            section("recommendation_status", "Where they stand", status),
            section("recommendation_list", "Recommendations", listed),
            section("loops_prevented", "Loops prevented", kept),
            section("top_patterns", "Top patterns", top),
        )
    )
