"""Forecast a closed recipe: the size of the file and the multiply-accumulates after each step, from facts alone.

Nothing is told where a step chooses by measuring: `int8`, `mixed_precision`, `depth_pruning`, targets of latency, ranks
by energy; nor where the data decides: `vocabulary_pruning`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, assert_never

from pydantic import Field

from winnow.contract.base import ResponseModel
from winnow.contract.forecast.low_rank import low_rank
from winnow.contract.forecast.network import Network
from winnow.contract.forecast.pruning import channel_pruning
from winnow.contract.forecast.quantization import (
    binary,
    halved,
    int8_dynamic,
    int8_static,
    palette,
    weight_only,
)
from winnow.contract.forecast.sparsity import gradual, sparsity
from winnow.contract.forecast.student import smaller
from winnow.contract.forecast.vocabulary import vocabulary_pruning
from winnow.contract.model import ModelFacts
from winnow.contract.recipe import (
    AnyStep,
    BFloat16,
    Binary,
    ChannelPruning,
    DepthPruning,
    Distillation,
    Finetune,
    Float16,
    Int8,
    Int8Dynamic,
    Int8Static,
    LowRank,
    MixedPrecision,
    NoOp,
    Palette,
    QuantizationAwareTraining,
    Simplify,
    Sparsity,
    Student,
    VocabularyPruning,
    WeightOnly,
)


class StepForecast(ResponseModel):
    """What a step is expected to leave."""

    kind: str = Field(description="Of the step.")
    size_bytes: int | None = Field(
        description="Size of the artifact if it were the last step, within 10 %; null where only measuring tells."
    )
    macs: int | None = Field(
        description="Multiply-accumulates of one sample behind it; null where nothing tells them."
    )
    basis: Literal["computed", "measured only"] = Field(
        description="`computed` from the facts of the model, or `measured only`: this step or one before it chooses by "
        "what it measures."
    )


def forecast_steps(
    steps: Sequence[AnyStep], model: ModelFacts, others: Mapping[str, ModelFacts]
) -> list[StepForecast]:
    """Forecast each step of a closed recipe. `others`: the facts of students, by id."""
    network, forecasts = Network.of(model), []
    for index, step in enumerate(steps):
        network = replace(_after(network, step, others), packs=_packs(steps[: index + 1]))
        size = network.size_bytes
        forecasts.append(
            StepForecast(
                kind=step.kind,
                size_bytes=size,
                macs=None if network.macs is None else round(network.macs),
                basis="measured only" if size is None else "computed",
            )
        )
    return forecasts


def _after(network: Network, step: AnyStep, others: Mapping[str, ModelFacts]) -> Network:
    match step:
        case Int8() | MixedPrecision() | DepthPruning():
            return network.unsized()
        case VocabularyPruning():
            return vocabulary_pruning(network)
        case NoOp() | Simplify():
            return network
        case Int8Static():
            return int8_static(network, step)
        case Int8Dynamic():
            return int8_dynamic(network, step)
        case WeightOnly():
            return weight_only(network, step)
        case Palette():
            return palette(network, step)
        case Binary():
            return binary(network, step)
        case Float16() | BFloat16():
            return halved(network, step)
        case ChannelPruning():
            return channel_pruning(network, step)
        case Student():
            return smaller(network, step)
        case Sparsity():
            return sparsity(network, step)
        case LowRank():
            return low_rank(network, step)
        case Distillation(student=str(student)) if student in others:
            network = Network.of(others[student])
        case Finetune() | Distillation() | QuantizationAwareTraining():
            pass
        case _:
            assert_never(step)
    return network if step.gradual is None else gradual(network, step.gradual, step.patterns)


def _packs(steps: Sequence[AnyStep]) -> bool:
    """Of steps that have a say in how zeros are stored the last one decides."""
    wishes = [step.packs for step in steps if step.packs is not None]
    return wishes[-1] if wishes else any(step.makes_zeros for step in steps)
