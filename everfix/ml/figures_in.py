"""Field types of the figures that come in as JSON: finite numbers, bounded lists, curves and matrices that fit together."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from everfix.core import fields

POINTS = 20_000
LABELS = 200

Name: Any = fields.text(300, 1)
Label: Any = fields.text(200)
External: Any = fields.text(512, 1)
Number = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Status = ("queued", "running", "succeeded", "failed")


def _metrics(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        fields.storable(name)
        if not 0 < len(name) <= 250:
            raise ValueError("a metric's name has 1 to 250 characters")
    return value


Metrics = Annotated[dict[str, Number | None], Field(max_length=1_000), AfterValidator(_metrics)]


class Strict(BaseModel):
    """Refuses what it does not know, so that a misspelt field is not lost in silence."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    def stored(self, **options: Any) -> dict[str, Any]:  # noqa: ANN401 - those of model_dump
        """Return the fields that hold something as columns hold them: plain values, ids as UUIDs."""
        values = {
            name: getattr(self, name) if isinstance(getattr(self, name), UUID) else value
            for name, value in self.model_dump(**options).items()
        }
        return {name: value for name, value in values.items() if value is not None}


class Point(Strict):
    """One point of a learning curve."""

    step: int = Field(ge=0)
    metric: Name
    split: Name = "train"
    value: Number | None


class Importance(Strict):
    """How much a feature matters; the sign is kept where the method gives one."""

    feature: Name
    importance: Number
    stddev: Number | None = Field(default=None, ge=0)


class Confusion(Strict):
    """Counts of truth (rows) by prediction (columns)."""

    labels: list[Label] = Field(min_length=1, max_length=LABELS)
    counts: list[list[Annotated[int, Field(ge=0)]]]

    @model_validator(mode="after")
    def _square(self) -> Confusion:
        if len(self.counts) != len(self.labels) or any(len(row) != len(self.labels) for row in self.counts):
            raise ValueError(
                f"counts must be {len(self.labels)} rows of {len(self.labels)} numbers, as there are {len(self.labels)} labels"
            )
        return self


def _even(curve: Strict, *names: str) -> None:
    lengths = {name: len(getattr(curve, name)) for name in names if getattr(curve, name)}
    if len(set(lengths.values())) > 1:
        raise ValueError("the lists must be equally long: " + ", ".join(f"{name} has {length}" for name, length in lengths.items()))


class Roc(Strict):
    """A ROC curve."""

    fpr: list[Share] = Field(min_length=2, max_length=POINTS)
    tpr: list[Share] = Field(min_length=2, max_length=POINTS)
    thresholds: list[Number | None] = Field(default_factory=list, max_length=POINTS, description="null stands for infinity")

    @model_validator(mode="after")
    def _fits(self) -> Roc:
        _even(self, "fpr", "tpr", "thresholds")
        return self


class Pr(Strict):
    """A precision–recall curve; scikit-learn gives one threshold fewer than points."""

    precision: list[Share] = Field(min_length=2, max_length=POINTS)
    recall: list[Share] = Field(min_length=2, max_length=POINTS)
    thresholds: list[Number | None] = Field(default_factory=list, max_length=POINTS)

    @model_validator(mode="after")
    def _fits(self) -> Pr:
        _even(self, "precision", "recall")
        if self.thresholds and len(self.thresholds) not in (len(self.recall), len(self.recall) - 1):
            raise ValueError(f"thresholds must hold {len(self.recall)} or {len(self.recall) - 1} numbers, not {len(self.thresholds)}")
        return self


class Calibration(Strict):
    """A calibration curve: per bin the mean predicted probability and the share that was positive."""

    mean_predicted: list[Share] = Field(min_length=1, max_length=1_000)
    fraction_positive: list[Share] = Field(min_length=1, max_length=1_000)
    counts: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=1_000)

    @model_validator(mode="after")
    def _fits(self) -> Calibration:
        _even(self, "mean_predicted", "fraction_positive", "counts")
        return self


class ColumnIn(BaseModel):
    """One column of a schema that is registered without its table; further statistics are kept as they come."""

    model_config = ConfigDict(extra="allow")

    name: Name
    type: fields.text(60) = "text"  # type: ignore[valid-type]
    missing: int | None = Field(default=None, ge=0)
    unique: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _bounded(self) -> ColumnIn:
        fields.bounded(dict(self.model_extra or {}))
        return self


Columns = Annotated[list[ColumnIn], Field(max_length=10_000)]


class QualityIssue(BaseModel):
    """One thing wrong with a data set."""

    model_config = ConfigDict(extra="ignore")

    code: Name = "issue"
    column: Name | None = None
    share: Share | None = None
    words: fields.text(500)  # type: ignore[valid-type]


class Quality(Strict):
    """How good a data set is, as somebody else judged it."""

    overall_score: float = Field(ge=0, le=100)
    issues: list[QualityIssue] = Field(default_factory=list, max_length=500)
