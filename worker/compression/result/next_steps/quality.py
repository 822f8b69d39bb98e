"""What to try where the quality suffered too much: the gentlest change of the same recipe first."""

from collections.abc import Iterator
from typing import Any, Final

from winnow.contract.recipe import (
    Binary,
    Float16,
    Int8Dynamic,
    Int8Static,
    LowRank,
    Palette,
    QuantizationAwareTraining,
    Sparsity,
    StructuredPruning,
    Student,
    Training,
    WeightOnly,
)
from winnow.contract.steps.base import Step
from worker.compression.result.next_steps.situation import Situation, Suggestion

LESS: Final = 0.6
"""Of what was cut, to be cut now."""
MAX_EPOCHS: Final = 100_000
DISTILLATION: Final[dict[str, Any]] = {"kind": "distillation", "epochs": 5}


def after_loss(now: Situation) -> Iterator[Suggestion]:
    yield from _sensitive_layers_in_float(now)
    yield from _training_behind_a_cut(now)
    yield from _less_cut(now)
    yield from _training_through_the_rounding(now)
    yield from _measured_ranges(now)
    yield from _other_ranges(now)
    yield from _more_bits(now)
    yield from _wider_range(now)
    yield from _longer_training(now)


def _sensitive_layers_in_float(now: Situation) -> Iterator[Suggestion]:
    for index, step in now.of_kind(Int8Static):
        if step.exclude == [] and step.weight_bits == 8:
            why = "Leave the layers in float that cost most, as few as will do: exclude auto finds them."
            yield Suggestion(why, now.changed(index, exclude="auto"))


def _training_behind_a_cut(now: Situation) -> Iterator[Suggestion]:
    for index, step in now.of_kind(Step):
        if (
            not isinstance(step, StructuredPruning | Student | LowRank)
            or not now.may_train
            or now.trains_after(index)
        ):
            continue
        if isinstance(step, StructuredPruning) and step.recovery is not None:
            continue
        why = f"Train after {step.kind} towards the original's outputs, without labels: that brings back most of a cut."
        yield Suggestion(why, now.replaced(index, now.steps[index], DISTILLATION))


def _less_cut(now: Situation) -> Iterator[Suggestion]:
    for index, step in now.of_kind(StructuredPruning):
        amount = round(LESS * step.amount, 3)
        if amount > 0:
            yield Suggestion(
                f"Cut less: {amount:g} of the {step.target} in place of {step.amount:g}.",
                now.changed(index, amount=amount),
            )
    for index, low_rank in now.of_kind(LowRank):
        amount = round(LESS * low_rank.amount, 3)
        if low_rank.rank in ("macs", "parameters") and amount > 0:
            why = f"Cut less: {amount:g} of the {low_rank.rank} in place of {low_rank.amount:g}."
            yield Suggestion(why, now.changed(index, amount=amount))
    for index, sparse in now.of_kind(Sparsity):
        zeros = round(LESS * sparse.zeros, 3)
        if ":" not in sparse.structure and zeros > 0:
            why = f"Make fewer zeros: {zeros:g} of the weights in place of {sparse.zeros:g}."
            yield Suggestion(why, now.changed(index, sparsity=zeros))


def _training_through_the_rounding(now: Situation) -> Iterator[Suggestion]:
    trained = any(isinstance(step, QuantizationAwareTraining) for step in now.steps)
    for index, step in now.of_kind(Int8Static):
        if now.may_train and not trained and step.exclude != "auto":
            why = "Train weights and scales through the rounding, towards the original's outputs (no labels needed)."
            training = {"kind": "quantization_aware_training", "epochs": 3}
            yield Suggestion(why, now.replaced(index, now.steps[index], training))


def _measured_ranges(now: Situation) -> Iterator[Suggestion]:
    for index, step in now.of_kind(Int8Dynamic):
        if now.takes_integers:
            why = "Try other ways to 8 bits beside it on the calibration data, and keep the best: int8 by quality."
            yield Suggestion(
                why, now.replaced(index, {"kind": "int8", "prefer": "quality", "exclude": step.exclude})
            )


def _other_ranges(now: Situation) -> Iterator[Suggestion]:
    for index, step in now.of_kind(Int8Static):
        if step.calibration != "mse":
            why = f"Choose ranges of activations by their error (mse) in place of {step.calibration}."
            yield Suggestion(why, now.changed(index, calibration="mse"))


def _more_bits(now: Situation) -> Iterator[Suggestion]:
    for index, step in now.of_kind(WeightOnly):
        if step.bits < 8:
            bits = 8 if step.bits == 4 else 4
            why = f"Give weights {bits} bits in place of {step.bits}."
            yield Suggestion(why, now.changed(index, bits=bits))
    for index, palette in now.of_kind(Palette):
        if palette.colors < 256:
            colors = min(256, 4 * palette.colors)
            why = f"Give codebooks {colors} values in place of {palette.colors}."
            yield Suggestion(why, now.changed(index, colors=colors))
    for index, binary in now.of_kind(Binary):
        palette_step = {"kind": "palette", "layers": binary.layers, "exclude": binary.exclude}
        yield Suggestion("Give weights 16 values in place of 2.", now.replaced(index, palette_step))
    for index, static in now.of_kind(Int8Static):
        if static.weight_bits == 4:
            yield Suggestion("Give weights 8 bits in place of 4.", now.changed(index, weight_bits=8))


def _wider_range(now: Situation) -> Iterator[Suggestion]:
    for index, half in now.of_kind(Float16):
        why = "Store weights in bfloat16, which has the range of float32, in place of float16."
        yield Suggestion(why, now.replaced(index, {"kind": "bfloat16", "exclude": half.exclude}))


def _longer_training(now: Situation) -> Iterator[Suggestion]:
    for index, step in now.of_kind(Step):
        if isinstance(step, Training) and step.steps is None and 3 * step.epochs <= MAX_EPOCHS:
            why = f"Train longer: {3 * step.epochs} epochs in place of {step.epochs}."
            yield Suggestion(why, now.changed(index, epochs=3 * step.epochs))
