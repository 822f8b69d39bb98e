"""Scores each channel by the step's criterion."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, assert_never

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import ChannelPruning
from worker.compression.cache.shared_arrays import UNSHARED, SharedArrays
from worker.compression.channel_pruning import criteria_norms
from worker.compression.channel_pruning.channel_slices import Initializers
from worker.compression.channel_pruning.criteria_activation import activation_energies
from worker.compression.data.samples import Samples
from worker.compression.graph.channels import Group
from worker.compression.ir.arrays import Array


@dataclass(frozen=True)
class Scores:
    """One number for each channel of each group, each group's mean 1; the names of groups that were `judged_by_l2`."""

    values: list[Array]
    judged_by_l2: list[str]


def score_channels(
    model: ir.Model,
    groups: Sequence[Group],
    step: ChannelPruning,
    samples: Samples | None,
    seed: int,
    report_progress: Callable[[float], None],
    shared: SharedArrays = UNSHARED,
) -> Scores:
    """Score the channels; groups of which the criterion says nothing by l2.

    Raises `nothing_to_compress` where that is all of them, and what `gradient_scores` and `activation_energies` raise.
    """
    initializers = Initializers(model)
    scores = _by_criterion(model, initializers, groups, step, samples, seed, report_progress, shared)
    if all(values is None for values in scores):
        raise Refusal("nothing_to_compress", _why_no_score(step, groups), field="recipe.steps")
    by_l2 = [group.name for group, values in zip(groups, scores, strict=True) if values is None]
    values = [
        criteria_norms.l2(initializers, g) if v is None else v for g, v in zip(groups, scores, strict=True)
    ]
    return Scores([_with_mean_one(each) for each in values], by_l2)


def _by_criterion(
    model: ir.Model,
    initializers: Initializers,
    groups: Sequence[Group],
    step: ChannelPruning,
    samples: Samples | None,
    seed: int,
    report_progress: Callable[[float], None],
    shared: SharedArrays,
) -> Sequence[Array | None]:
    match step.criterion:
        case "l1":
            return [criteria_norms.l1(initializers, group) for group in groups]
        case "l2" | None:
            return [criteria_norms.l2(initializers, group) for group in groups]
        case "fpgm":
            return [criteria_norms.fpgm(initializers, group) for group in groups]
        case "random":
            generator = np.random.default_rng(seed)
            return [criteria_norms.random(group, generator) for group in groups]
        case "batchnorm_scale":
            return [criteria_norms.batchnorm_scale(model, initializers, group) for group in groups]
        case "activation" | "taylor" | "fisher" as criterion:
            rows, sizes = _required(step, samples), [len(group.channels) for group in groups]
            return shared.once(
                "channel-scores",
                model,
                rows,
                [criterion, [group.name for group in groups], sizes],
                partial(_by_data, criterion, model, groups, rows, report_progress),
                to_arrays=lambda scores: {str(n): x for n, x in enumerate(scores) if x is not None},
                from_arrays=lambda arrays: _from_arrays(arrays, sizes),
            )
    assert_never(step.criterion)


def _by_data(
    criterion: Literal["activation", "taylor", "fisher"],
    model: ir.Model,
    groups: Sequence[Group],
    samples: Samples,
    report_progress: Callable[[float], None],
) -> Sequence[Array | None]:
    if criterion == "activation":
        return activation_energies(model, groups, samples, report_progress)
    from worker.compression.channel_pruning.criteria_gradients import gradient_scores  # needs torch

    return gradient_scores(model, groups, criterion, samples, report_progress)


def _from_arrays(arrays: Mapping[str, Array], sizes: Sequence[int]) -> list[Array | None]:
    """Raises `ValueError` where they are no scores of groups of these sizes."""
    scores = [arrays.get(str(number)) for number in range(len(sizes))]
    for values, size in zip(scores, sizes, strict=True):
        if values is not None and (values.shape != (size,) or values.dtype.kind != "f"):
            raise ValueError("not one score for each channel")
    if len(arrays) != sum(values is not None for values in scores):
        raise ValueError("scores of other groups")
    return scores


def _required(step: ChannelPruning, samples: Samples | None) -> Samples:
    if samples is None:
        raise Refusal(
            "missing_data",
            f"The criterion {step.criterion} needs calibration data.",
            field="data.calibration",
        )
    return samples


def _why_no_score(step: ChannelPruning, groups: Sequence[Group]) -> str:
    needs = {
        "batchnorm_scale": "BatchNormalization behind a layer (exporters fold it away)",
        "activation": "a Conv, Gemm or MatMul",
    }
    return (
        f"The criterion {step.criterion} needs {needs.get(str(step.criterion), 'weights')}, which none of the "
        f"{len(groups)} groups of channels has. Use l2, which needs weights alone."
    )


def _with_mean_one(values: Array) -> Array:
    mean = values.mean()
    return values / mean if mean > 0 else np.ones_like(values)
