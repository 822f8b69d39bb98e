"""A recipe: steps, told apart by a required `kind`, and what the result must meet.

How to add a technique: docs/architecture.md, "Where do I add…".
"""

from typing import Annotated, Self, get_args

from pydantic import Field, model_validator

from winnow.contract.base import RequestModel
from winnow.contract.evaluation import Metric
from winnow.contract.steps.base import ORIGINAL, Step
from winnow.contract.steps.low_rank import LowRank
from winnow.contract.steps.mixed import Int8, MixedPrecision
from winnow.contract.steps.pruning import ChannelPruning, Sparsity
from winnow.contract.steps.quantization import BFloat16, Float16, Int8Dynamic, Int8Static
from winnow.contract.steps.training import (
    Distillation,
    FeaturePair,
    Finetune,
    Gradual,
    QuantizationAwareTraining,
    Taught,
    Training,
)
from winnow.contract.steps.weights import Binary, Palette, WeightOnly

__all__ = [
    "ORIGINAL",
    "AnyStep",
    "BFloat16",
    "Binary",
    "ChannelPruning",
    "Distillation",
    "FeaturePair",
    "Finetune",
    "Float16",
    "Gradual",
    "Int8",
    "Int8Dynamic",
    "Int8Static",
    "LowRank",
    "MetricBounds",
    "MixedPrecision",
    "Palette",
    "QuantizationAwareTraining",
    "Recipe",
    "Requirements",
    "Sparsity",
    "Step",
    "Taught",
    "Training",
    "WeightOnly",
]

AnyStep = Annotated[
    Int8
    | Int8Static
    | Int8Dynamic
    | WeightOnly
    | MixedPrecision
    | Palette
    | Binary
    | Float16
    | BFloat16
    | ChannelPruning
    | Sparsity
    | LowRank
    | Finetune
    | Distillation
    | QuantizationAwareTraining,
    Field(discriminator="kind"),
]


class Recipe(RequestModel):
    """Steps in the order in which they are done."""

    steps: list[AnyStep] = Field(
        description="What is done, one step after the other.", min_length=1, max_length=20
    )


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
        return self


class Requirements(RequestModel):
    """What the result must meet. Each is optional; a job that meets all of them is `accepted`, one without any
    `unchecked`."""

    max_metric_drop: float | None = Field(
        default=None,
        ge=0,
        description="Largest loss in the metric's worse direction, absolute (0.01 = one point of top-1), "
        "judged on the bound of its paired bootstrap interval.",
    )
    min_speedup: float | None = Field(
        default=None,
        gt=0,
        description="Smallest speed-up at the first benchmark entry, judged on its interval's lower bound.",
    )
    max_size_ratio: float | None = Field(default=None, gt=0, description="Largest size after / size before.")
    min_cosine: float | None = Field(
        default=None, ge=-1, le=1, description="Smallest cosine between outputs before and after."
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

    @property
    def is_empty(self) -> bool:
        return self == Requirements()
