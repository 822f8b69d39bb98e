"""What each channel is worth, by the criterion that was asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import ChannelPruning
from worker.compression.channel_pruning import criteria_norms
from worker.compression.channel_pruning.channel_slices import Stored
from worker.compression.channel_pruning.criteria_activation import energies
from worker.compression.data.samples import Samples
from worker.compression.graph.channels import Group
from worker.compression.runtime.observe import Array


@dataclass(frozen=True)
class Scores:
    """One number for each channel of each group, each group's mean 1. `instead`: groups that were judged by l2."""

    values: list[Array]
    instead: list[str]


def scores(
    model: ir.Model,
    groups: Sequence[Group],
    step: ChannelPruning,
    samples: Samples | None,
    seed: int,
    told: Callable[[float], None],
) -> Scores:
    """Groups on which the criterion says nothing are judged by l2. Raises `nothing_to_compress` where that is all of
    them, and what `sensitivities` and `energies` raise."""
    stored = Stored(model)
    found = _found(model, stored, groups, step, samples, seed, told)
    if all(values is None for values in found):
        raise Refusal("nothing_to_compress", _silent(step, groups), field="recipe.steps")
    instead = [group.name for group, values in zip(groups, found, strict=True) if values is None]
    values = [criteria_norms.l2(stored, g) if v is None else v for g, v in zip(groups, found, strict=True)]
    return Scores([_with_mean_one(each) for each in values], instead)


def _found(
    model: ir.Model,
    stored: Stored,
    groups: Sequence[Group],
    step: ChannelPruning,
    samples: Samples | None,
    seed: int,
    told: Callable[[float], None],
) -> Sequence[Array | None]:
    match step.criterion:
        case "l1":
            return [criteria_norms.l1(stored, group) for group in groups]
        case "l2" | None:
            return [criteria_norms.l2(stored, group) for group in groups]
        case "fpgm":
            return [criteria_norms.fpgm(stored, group) for group in groups]
        case "random":
            generator = np.random.default_rng(seed)
            return [criteria_norms.random(group, generator) for group in groups]
        case "batchnorm_scale":
            return [criteria_norms.batchnorm_scale(model, stored, group) for group in groups]
        case "activation":
            return energies(model, groups, _needed(step, samples), told)
        case "taylor" | "fisher":
            from worker.compression.channel_pruning.criteria_gradients import sensitivities  # torch

            return sensitivities(model, groups, step.criterion, _needed(step, samples), told)
    assert_never(step.criterion)


def _needed(step: ChannelPruning, samples: Samples | None) -> Samples:
    if samples is None:
        raise Refusal(
            "missing_data",
            f"The criterion {step.criterion} needs calibration data.",
            field="data.calibration",
        )
    return samples


def _silent(step: ChannelPruning, groups: Sequence[Group]) -> str:
    wanted = {
        "batchnorm_scale": "BatchNormalization behind a layer (exporters fold it away)",
        "activation": "a Conv, Gemm or MatMul",
    }
    return (
        f"The criterion {step.criterion} needs {wanted.get(str(step.criterion), 'weights')}, which none of the "
        f"{len(groups)} groups of channels has. Use l2, which needs weights alone."
    )


def _with_mean_one(values: Array) -> Array:
    mean = values.mean()
    return values / mean if mean > 0 else np.ones_like(values)
