"""Options: how an export's file is written; all have a default that programs and spreadsheets read."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from everfix.core import fields
from everfix.errors import Invalid

DELIMITERS = {",": ",", ";": ";", "|": "|", "\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "tab": "\t"}


def _zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("is no IANA time zone, like Europe/Berlin")
    return value


def _delimiter(value: object) -> object:
    if isinstance(value, str) and value.lower() in DELIMITERS:
        return DELIMITERS[value.lower()]
    raise ValueError("one of comma, semicolon, tab, pipe, or the sign itself")


class Options(BaseModel):
    """`delimiter`, `decimal`, `bom` and `dates` are for CSV; `timezone` is for CSV, XLSX and PDF (JSON says instants in UTC)."""

    model_config = ConfigDict(extra="forbid")

    columns: Annotated[list[fields.text(64)], Field(min_length=1, max_length=100)] | None = Field(  # type: ignore[valid-type]
        None, description="Only these columns, in the resource's order."
    )
    bom: bool = Field(False, description="Begin a CSV file with a byte order mark, by which Excel on Windows knows UTF-8.")
    delimiter: Annotated[Literal[",", ";", "\t", "|"], BeforeValidator(_delimiter)] = Field(
        ",", description="comma, semicolon, tab, pipe, or the sign itself."
    )
    decimal: Literal[".", ","] = Field(".", description="Decimal sign of numbers.")
    timezone: Annotated[fields.text(64), AfterValidator(_zone)] = Field("UTC", description="IANA zone of instants.")  # type: ignore[valid-type]
    dates: Literal["iso", "d.m.y", "d/m/y", "m/d/y"] = Field(
        "iso", description="Instants in CSV: ISO 8601 with offset, or local wall-clock time."
    )
    part_rows: int | None = Field(None, ge=1_000, le=10_000_000, description="Rows of one part; default by format.")

    @model_validator(mode="before")
    @classmethod
    def _local(cls, given: Any) -> Any:  # noqa: ANN401 - whatever came
        """A decimal comma alone asks for what such countries use between cells."""
        if isinstance(given, dict) and given.get("decimal") == "," and given.get("delimiter") is None:
            return {**given, "delimiter": ";"}
        return given

    @model_validator(mode="after")
    def _apart(self) -> Options:
        if self.decimal == self.delimiter:
            raise ValueError("decimal: the decimal sign and the delimiter must differ")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


def read(given: dict[str, Any]) -> Options:
    """Return options from names and values; raises Invalid naming the one that is wrong and what is allowed."""
    try:
        return Options.model_validate(given)
    except ValidationError as problem:
        wrong = {
            ".".join(map(str, error["loc"])) or "options": error["msg"].removeprefix("Value error, ")
            for error in problem.errors(include_url=False)
        }
        name, why = next(iter(wrong.items()))
        raise Invalid(f"{name}: {why}", details=wrong) from problem
