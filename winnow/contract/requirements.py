"""What the result must meet: bounds of speed, size, memory, outputs and metrics, each optional."""

from typing import Annotated, Final, Self, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from winnow.contract.base import RequestModel
from winnow.contract.evaluation import AGREEMENT, Metric

QUALITY: Final = frozenset(
    {"max_metric_drop", "max_relative_drop", "min_cosine", "min_snr_db", "min_agreement", "metrics"}
)
SPEED: Final = frozenset({"min_speedup", "max_latency_ms"})
SIZE: Final = frozenset({"max_size_ratio", "max_size_bytes"})
MEMORY: Final = frozenset({"max_memory_bytes"})
"""Every requirement is of one of these kinds."""

Bytes = Annotated[int, Field(ge=1, lt=2**63)]


class MetricBounds(RequestModel):
    """What one metric has to meet, each judged on the worse bound of its interval."""

    max_drop: float | None = Field(
        default=None, ge=0, description="Largest loss in the metric's worse direction, absolute."
    )
    min: float | None = Field(default=None, description="Smallest value of the result.")
    max: float | None = Field(default=None, description="Largest value of the result.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.max_drop is None and self.min is None and self.max is None:
            raise ValueError("give at least one of max_drop, min and max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min is {self.min:g} and max {self.max:g}: no value meets both")
        return self


class Requirements(RequestModel):
    """What the result must meet. Each is optional; a job that meets all of them is `accepted`, one without any
    `unchecked`. What has an interval is judged on its worse bound."""

    max_metric_drop: float | None = Field(
        default=None,
        ge=0,
        description="Largest loss in the metric's worse direction, absolute (0.01 = one point of top-1), "
        "judged on the bound of its paired bootstrap interval.",
    )
    max_relative_drop: float | None = Field(
        default=None,
        ge=0,
        description="Largest loss in the metric's worse direction as a share of what the upload reaches "
        "(drop / |before|), judged as `max_metric_drop` is.",
    )
    min_speedup: float | None = Field(
        default=None,
        gt=0,
        description="Smallest speed-up at the first benchmark entry, judged on its interval's lower bound.",
    )
    max_latency_ms: float | None = Field(
        default=None,
        gt=0,
        description="Longest median time of a run at the first benchmark entry, in milliseconds, judged on the upper "
        "bound of its interval (from resampling the rounds); it says nothing of other machines.",
    )
    max_size_ratio: float | None = Field(default=None, gt=0, description="Largest size after / size before.")
    max_size_bytes: Bytes | None = Field(default=None, description="Largest size of the result's file.")
    max_memory_bytes: Bytes | None = Field(
        default=None,
        description="Largest peak of resident memory of the result, loaded and run once in a fresh process.",
    )
    min_cosine: float | None = Field(
        default=None, ge=-1, le=1, description="Smallest cosine between outputs before and after."
    )
    min_snr_db: float | None = Field(
        default=None,
        description="Smallest signal-to-noise ratio of outputs after, the original's being the signal, in dB.",
    )
    min_agreement: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Smallest agreement of the decoded predictions with the original's, judged on its interval's lower "
        "bound; needs an evaluation, and no labels.",
    )
    metrics: dict[Metric, MetricBounds] = Field(
        default_factory=dict,
        max_length=len(get_args(Metric)),
        description="Bounds of metrics by their name; those that the evaluation does not name are measured too.",
    )

    @field_validator("metrics")
    @classmethod
    def _no_contradiction(
        cls, metrics: dict[Metric, MetricBounds], info: ValidationInfo
    ) -> dict[Metric, MetricBounds]:
        """The original agrees with itself by 1: a drop of it is a bound of its value."""
        if (bounds := metrics.get(AGREEMENT)) is None or bounds.max is None:
            return metrics
        least = max(
            info.data.get("min_agreement") or 0.0, 1 - (1 if bounds.max_drop is None else bounds.max_drop)
        )
        if least > bounds.max:
            raise ValueError(
                f"agreement of at least {least:g} and at most {bounds.max:g}: no value meets both"
            )
        return metrics

    @property
    def stated(self) -> frozenset[str]:
        """The names of those that are stated."""
        return frozenset(self.model_dump(exclude_defaults=True))

    @property
    def is_empty(self) -> bool:
        return self == Requirements()
