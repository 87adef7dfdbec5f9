"""The report on a privacy session: what personal data was found, what was done with it, and what risk is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from everfix.documents.model import Block
from everfix.reports.ml import blocks, data_set
from everfix.reports.ml.blocks import COUNT, MEASURE, PERCENT, TEXT
from everfix.reports.ml.work import Absent, Part, Work

SECRET = ("salt", "key", "secret", "pepper", "seed", "token", "password")  # parts of the names of settings that nobody may read
LOWER = ("risk", "unique", "closeness")  # parts of the names of risks of which less is better


def glance(work: Work) -> Iterator[Block]:
    found, done = work.entity.findings or [], work.entity.transformations or []
    columns = {one.get("column") for one in found if isinstance(one, dict)}
    treated = {one.get("column") for one in done if isinstance(one, dict)}
    yield blocks.figures(
        "figures", ("findings", "Findings", sum(int(one.get("count") or 0) for one in found if isinstance(one, dict)), COUNT, "down"),
        ("affected", "Affected columns", len(columns), COUNT), ("treated", "Columns transformed", len(treated), COUNT),
        ("changed", "Values changed", sum(int(one.get("changed") or 0) for one in done if isinstance(one, dict)), COUNT),
        ("rows", "Rows", work.entity.rows, COUNT),
    )  # fmt: skip
    left = sorted(str(name) for name in columns - treated)
    work.check(
        "Columns with findings left as they are",
        float(len(left)),
        "none",
        "pass" if not left else "fail",
        ", ".join(left)[:200] or "all were transformed",
    )
    work.headline.append(f"There are {len(columns):,} affected columns." if len(columns) != 1 else "There is one affected column.")
    if left:
        work.advice.append(f"Transform {left[0]} too before the table is shared.")


def identity(work: Work) -> Iterator[Block]:
    one = work.entity
    yield blocks.facts(
        "session", "", (
            ("Session", one.name), ("Policy", one.policy), ("Profile", one.profile.upper().replace("_", " ")), ("Status", one.status),
            ("Quasi-identifiers", ", ".join(one.quasi_identifiers or [])), ("Error", one.error),
            ("Finished", f"{one.finished_at:%-d %b %Y, %H:%M} UTC" if one.finished_at else None),
        ),
    )  # fmt: skip


def findings(work: Work) -> Iterator[Block]:
    columns = (
        ("column", "Column", TEXT),
        ("type", "Kind of personal data", TEXT),
        ("count", "Values", COUNT),
        ("share", "Share of the rows", PERCENT),
        ("confidence", "Confidence", PERCENT),
    )
    rows = []
    for one in work.entity.findings or []:
        count, total = one.get("count"), one.get("rows") or work.entity.rows
        rows.append(
            (
                one.get("column"),
                one.get("pii_type"),
                count,
                count / total if isinstance(count, int) and total else None,
                one.get("confidence"),
            )
        )
    yield blocks.table("findings", "", columns, rows, empty="No personal data was found.")


def transformations(work: Work) -> Iterator[Block]:
    given = work.entity.transformations or []
    if not given:
        raise Absent("nothing was transformed")
    columns = (
        ("column", "Column", TEXT),
        ("type", "Kind of personal data", TEXT),
        ("action", "Action", TEXT),
        ("changed", "Values changed", COUNT),
        ("settings", "Settings", TEXT),
    )
    yield blocks.table(
        "transformations",
        "",
        columns,
        [(one.get("column"), one.get("pii_type"), one.get("action"), one.get("changed"), _settings(one.get("config"))) for one in given],
    )


def _settings(given: Any) -> str | None:  # noqa: ANN401 - JSON
    """Return settings as words; what would undo a transformation (a salt, a key) is only said to be there."""
    if not isinstance(given, dict):
        return blocks.cell_words(given)
    said = (
        (str(name), "not shown" if any(part in str(name).lower() for part in SECRET) else blocks.cell_words(value))
        for name, value in given.items()
    )
    return ", ".join(f"{name.replace('_', ' ')}: {value or '–'}" for name, value in said) or None


def risks(work: Work) -> Iterator[Block]:
    given = work.entity.risk or {}
    if not given:
        raise Absent("no risk was measured")
    rows = []
    for name, value in sorted(given.items()):
        before, after = (value.get("before"), value.get("after")) if isinstance(value, dict) else (None, value)
        rows.append((name.replace("_", " "), before, after, "less" if any(part in name for part in LOWER) else "more"))
        if name == "k_anonymity" and isinstance(after, int | float):
            work.check(
                "k-anonymity",
                float(after),
                "at least 5",
                "pass" if after >= 5 else "warn" if after > 1 else "fail",
                "the smallest group of rows alike in their quasi-identifiers",
            )
    columns = (("measure", "Measure", TEXT), ("before", "Before", MEASURE), ("after", "After", MEASURE), ("better", "Better is", TEXT))
    yield blocks.table("risks", "", columns, rows)


def data(work: Work) -> Iterator[Block]:
    yield from data_set.of_version(work, work.entity.dataset_version_id, None, values=False)  # the report leaves the house


PARTS = (
    Part("glance", "At a glance", glance),
    Part("session", "The session", identity),
    Part("findings", "Personal data found", findings),
    Part("transformations", "What was done", transformations),
    Part("risks", "Risk before and after", risks),
    Part("data", "The data set", data, ("include_data_summary",)),
)
