"""A recipe: steps, told apart by a required `kind`, and what the result must meet.

How to add a technique: docs/architecture.md, "Where do I add…".
"""

from typing import Annotated

from pydantic import Field

from winnow.contract.base import RequestModel
from winnow.contract.requirements import MetricBounds, Requirements
from winnow.contract.steps.base import ORIGINAL, Step
from winnow.contract.steps.low_rank import LowRank
from winnow.contract.steps.mixed import Int8, MixedPrecision
from winnow.contract.steps.no_op import NoOp
from winnow.contract.steps.pruning import ChannelPruning, DepthPruning, Sparsity, StructuredPruning
from winnow.contract.steps.quantization import BFloat16, Float16, Int8Dynamic, Int8Static
from winnow.contract.steps.simplify import Simplify
from winnow.contract.steps.student import Student
from winnow.contract.steps.taught import (
    Distillation,
    FeaturePair,
    QuantizationAwareTraining,
    Taught,
)
from winnow.contract.steps.training import (
    Finetune,
    Training,
)
from winnow.contract.steps.vocabulary import VocabularyPruning
from winnow.contract.steps.weights import Binary, Palette, WeightOnly
from winnow.contract.steps.zeros import Gradual

__all__ = [
    "ORIGINAL",
    "AnyStep",
    "BFloat16",
    "Binary",
    "ChannelPruning",
    "DepthPruning",
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
    "NoOp",
    "Palette",
    "QuantizationAwareTraining",
    "Recipe",
    "Requirements",
    "Simplify",
    "Sparsity",
    "Step",
    "StructuredPruning",
    "Student",
    "Taught",
    "Training",
    "VocabularyPruning",
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
    | DepthPruning
    | Student
    | Sparsity
    | LowRank
    | VocabularyPruning
    | Simplify
    | Finetune
    | Distillation
    | QuantizationAwareTraining
    | NoOp,
    Field(discriminator="kind"),
]


class Recipe(RequestModel):
    """Steps in the order in which they are done."""

    steps: list[AnyStep] = Field(
        description="What is done, one step after the other.", min_length=1, max_length=20
    )
