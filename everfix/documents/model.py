"""The Document: everything a report says, frozen, with a JSON round trip; renderers only read it.

    Document → Section → Figures | Table | Chart | Text

Numbers are stored raw, in the unit their column or figure names (percent and probability as 0–1, money in whole units of
`Document.currency`, durations in seconds). Only `documents.format` turns one into words, so all formats say the same.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Cell = bool | int | float | str | None
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class Unit(StrEnum):
    """What a number counts; decides how every format shows it and how a spreadsheet types it."""

    TEXT = "text"
    COUNT = "count"  # whole things: 1,204
    NUMBER = "number"  # a plain real number: 3.42
    MEASURE = "measure"  # a real number whose fourth digit matters, as of a model: 0.9953
    PERCENT = "percent"  # a share or rate as 0–1: 12.3 %
    PROBABILITY = "probability"  # 0–1, shown as whole percent: 64 %
    SCORE = "score"  # 0–100: 87
    MONEY = "money"  # whole units of Document.currency: $12,400
    SECONDS = "seconds"  # a duration: 2 h 14 min
    DAYS = "days"  # a duration in days: 4.5 days
    DATE = "date"  # ISO 8601 calendar day
    DATETIME = "datetime"  # ISO 8601 instant in UTC, shown in the period's zone
    FLAG = "flag"  # yes or no


class Frozen(BaseModel):
    """Immutable, strict about unknown keys, and never NaN or infinite: a Document must survive JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Column(Frozen):
    """One typed column; `better` says which direction is good where the column holds a change or a figure."""

    key: Key
    title: str
    unit: Unit = Unit.TEXT
    better: Literal["up", "down"] | None = None
    bar: bool = False  # draw a bar behind the number where the format can
    wide: bool = False  # long text: gets the remaining width


class Figure(Frozen):
    """A headline number with the previous period's value beside it; `better` decides the colour of the change."""

    key: Key
    title: str
    value: int | float | None
    unit: Unit = Unit.COUNT
    previous: int | float | None = None
    better: Literal["up", "down"] | None = None
    spark: tuple[float, ...] = ()
    note: str = ""


class Figures(Frozen):
    """A row of headline numbers (KPI cards)."""

    kind: Literal["figures"] = "figures"
    key: Key
    title: str = ""
    figures: tuple[Figure, ...]


class Table(Frozen):
    """Typed rows. `total_rows` counts what the query matched, so a cut table always says that it is cut.

    `links` holds one address per row (or nothing), put on the row's first cell.
    """

    kind: Literal["table"] = "table"
    key: Key
    title: str = ""
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...] = ()
    total_rows: int | None = None
    links: tuple[str | None, ...] = ()
    note: str = ""
    empty: str = "Nothing to show for this period."

    @model_validator(mode="after")
    def _shape(self) -> Self:
        width = len(self.columns)
        for number, row in enumerate(self.rows):
            if len(row) != width:
                raise ValueError(f"row {number} has {len(row)} cells, the table has {width} columns")
        if self.links and len(self.links) != len(self.rows):
            raise ValueError(f"{len(self.links)} links for {len(self.rows)} rows")
        return self

    def column(self, key: str) -> tuple[Cell, ...]:
        """Return the cells of one column; raises KeyError naming the columns there are."""
        keys = [column.key for column in self.columns]
        if key not in keys:
            raise KeyError(f"no column {key!r} in {self.key}: {', '.join(keys)}")
        index = keys.index(key)
        return tuple(row[index] for row in self.rows)


class Chart(Frozen):
    """A picture of a table: its data are shown in formats that cannot draw, its `alt` is read aloud.

    `form` is a key of `documents.charts.FORMS`. `x`, `y` and `series` name columns of `table`; several `y` become several
    lines, stacked areas and columns, or bars side by side. `lower` and `upper` name a band; `split` is the x
    value where observed ends and projected begins. Rows with a word in the column `marked` are ringed and labelled with it; `diagonal`
    draws where x and y are equal.
    """

    kind: Literal["chart"] = "chart"
    key: Key
    title: str
    form: Literal[
        "line",
        "area",
        "bar",
        "column",
        "heatmap",
        "scatter",
        "matrix",
        "confusion",
        "curve",
        "diverging",
        "learning",
        "multiples",
        "signed",
    ]
    table: Table
    x: Key
    y: tuple[Key, ...]
    series: Key | None = None
    lower: Key | None = None
    upper: Key | None = None
    split: str | None = None
    threshold: float | None = None
    threshold_label: str = ""
    marked: Key | None = None
    diagonal: bool = False
    alt: str

    @model_validator(mode="after")
    def _names(self) -> Self:
        for key in (self.x, *self.y, self.series, self.lower, self.upper, self.marked):
            if key is not None:
                self.table.column(key)
        return self


class Text(Frozen):
    """Words as data: paragraphs of plain text. Never markup: each renderer escapes and styles them by `role`."""

    kind: Literal["text"] = "text"
    key: Key
    title: str = ""
    role: Literal["body", "note", "warning", "error"] = "body"
    paragraphs: tuple[str, ...]


Block = Annotated[Figures | Table | Chart | Text, Field(discriminator="kind")]


class Section(Frozen):
    """One part of the report; `id` is what the narrative uses to name it."""

    id: Key
    title: str
    blocks: tuple[Block, ...]


class Source(Frozen):
    """Where in the report a claim of the narrative is found: its section, row and column, and the value as it is stored."""

    fact: str
    section: str = ""
    block: str = ""
    title: str
    row: str = ""
    column: str
    aspect: str
    shown: str
    raw: float | str


class Proof(Frozen):
    """One claim: characters `start` to `end` of the narrative's text at `place`, and what bears it out."""

    place: str
    start: int
    end: int
    sources: tuple[Source, ...]


class Narrative(Frozen):
    """The words a writer added, each number bound to a fact of the Document (see `everfix.narrative.grounding`)."""

    executive_summary: tuple[str, ...]
    sections: dict[str, str] = Field(default_factory=dict)
    key_takeaways: tuple[str, ...] = ()
    writer: str = "rules"
    version: str = "1"
    note: str = ""
    language: str = "en"
    proofs: tuple[Proof, ...] = ()


class Period(Frozen):
    """The days reported on: `start` to `end`, both included, in `timezone`; the previous period has the same length."""

    start: date
    end: date
    previous_start: date
    previous_end: date
    label: str = ""  # "Last 30 days"
    timezone: str = "UTC"

    @property
    def days(self) -> int:
        return (self.end - self.start).days + 1


class Brand(Frozen):
    """Whose report it is, as printed."""

    name: str = "Everfix"
    colour: str = Field(default="#0f766e", pattern=r"^#[0-9a-fA-F]{6}$")
    logo_svg: str = ""


class Document(Frozen):
    """One report, complete: renderers need nothing else and compute nothing new."""

    title: str
    subtitle: str = ""
    workspace: str
    period: Period
    generated_at: datetime
    currency: str = Field(default="USD", pattern=r"^[A-Z]{3}$")
    brand: Brand = Brand()
    facts: tuple[tuple[str, str], ...] = ()  # stand on the first page instead of the period, for what reports on none
    notices: tuple[str, ...] = ()  # said on the cover and on the page, e.g. that the data are simulated
    sections: tuple[Section, ...]
    narrative: Narrative | None = None
    link: str = ""  # where to open the live report
    template: str = ""
    code_version: str = ""
    rights: str = ""  # whose rights it was made with: a person, or the workspace

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [section.id for section in self.sections]
        if len(set(ids)) != len(ids):
            raise ValueError(f"section ids repeat: {', '.join(ids)}")
        for section in self.sections:
            keys = [block.key for block in section.blocks]
            if len(set(keys)) != len(keys):
                raise ValueError(f"block keys repeat in section {section.id}: {', '.join(keys)}")
        return self

    def to_json(self) -> str:
        """Return the Document as JSON text; `Document.from_json` gives an equal one back."""
        return self.model_dump_json()

    @classmethod
    def from_json(cls, text: str | bytes) -> Document:
        """Read what `to_json` wrote; raises pydantic.ValidationError naming the field."""
        return cls.model_validate_json(text)
