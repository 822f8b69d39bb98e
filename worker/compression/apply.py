"""Which technique a step's `kind` is: one technique, one file; an ONNX graph in, an ONNX graph out.

Those that train are imported when they are asked for: torch takes seconds that other jobs need not wait for.
"""

from collections.abc import Callable, Sequence
from typing import assert_never

import onnx_ir as ir

from winnow.contract.recipe import (
    ORIGINAL,
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
    StructuredPruning,
    Student,
    Taught,
    Training,
    VocabularyPruning,
    WeightOnly,
)
from worker.compression.channel_pruning.channel_pruning import channel_pruning
from worker.compression.depth_pruning.candidates import check_depth
from worker.compression.depth_pruning.depth_pruning import depth_pruning
from worker.compression.half_precision.bfloat16 import bfloat16
from worker.compression.half_precision.float16 import float16
from worker.compression.low_rank.low_rank import low_rank
from worker.compression.no_op import no_op
from worker.compression.quantization.binary import binary
from worker.compression.quantization.int8 import int8
from worker.compression.quantization.int8_dynamic import int8_dynamic
from worker.compression.quantization.int8_static import int8_static
from worker.compression.quantization.mixed_precision import mixed_precision
from worker.compression.quantization.palette import palette
from worker.compression.quantization.weight_only import weight_only
from worker.compression.simplify.simplify import simplify
from worker.compression.sparsity.eligibility import sparsity_layers
from worker.compression.sparsity.sparsity import sparsity
from worker.compression.steps.context import Context, StepResult
from worker.compression.student.plan import check_student
from worker.compression.student.student import student
from worker.compression.vocabulary_pruning.candidates import check_vocabulary
from worker.compression.vocabulary_pruning.vocabulary_pruning import vocabulary_pruning


def check(model: ir.Model, steps: Sequence[AnyStep], other: Callable[[str], ir.Model]) -> None:
    """Refuse what can be known before any work.

    Raises `Refusal` `unsupported_operator` naming operator and node; `does_not_divide` and
    `nothing_to_compress` for `sparsity`; `nothing_to_compress` and `invalid_request` for `depth_pruning` and
    `vocabulary_pruning`;
    these, `does_not_divide` and `nothing_to_train` for `student`.
    """
    upload, reshaped = model, False
    for step in steps:
        if isinstance(step, Distillation) and step.student is not None:
            model, reshaped = other(step.student), False
        earlier = reshaped
        reshaped = reshaped or isinstance(step, StructuredPruning | Student | LowRank)
        if isinstance(step, Sparsity) and not reshaped:
            sparsity_layers(model, step)
        if isinstance(step, DepthPruning) and not earlier:
            check_depth(model, step)
        if isinstance(step, Student) and not earlier:
            check_student(model, step)
        if isinstance(step, VocabularyPruning):
            check_vocabulary(model, step)
        training = step.recovery if isinstance(step, StructuredPruning) else step
        if not isinstance(training, Training | Student) and not _asks_gradients(step):
            continue
        from worker.compression.engine.working import check_runs

        check_runs(model)
        if isinstance(training, Taught) and training.needs_teacher:
            teacher = upload if training.teacher == ORIGINAL else other(training.teacher)
            if teacher is not upload:
                check_runs(teacher)
            if training.features == "auto" and not earlier:
                from worker.compression.training.goal.feature_distillation.auto_features import auto_features

                auto_features(model, teacher)


def _asks_gradients(step: AnyStep) -> bool:
    return isinstance(step, ChannelPruning | DepthPruning | Sparsity) and step.criterion in (
        "taylor",
        "fisher",
    )


def apply(model: ir.Model, step: AnyStep, context: Context) -> StepResult:
    """Do one step on a normalised model, which may be changed in place: go on with the answer's.

    Raises `Refusal` with `already_quantized`, `nothing_to_quantize`, `nothing_to_compress`, `missing_data`,
    `not_finite`, `model_does_not_run` or `step_failed`, and what `trained` raises.
    """
    match step:
        case Int8():
            return int8(model, step, context)
        case MixedPrecision():
            return mixed_precision(model, step, context)
        case Int8Static():
            return int8_static(model, step, context)
        case Int8Dynamic():
            return int8_dynamic(model, step, context)
        case WeightOnly():
            return weight_only(model, step, context)
        case Palette():
            return palette(model, step, context)
        case Binary():
            return binary(model, step, context)
        case Float16():
            return float16(model, step, context)
        case LowRank():
            return low_rank(model, step, context)
        case Sparsity():
            return sparsity(model, step, context)
        case ChannelPruning():
            return channel_pruning(model, step, context)
        case VocabularyPruning():
            return vocabulary_pruning(model, step, context)
        case Simplify():
            return simplify(model, step, context)
        case DepthPruning():
            return depth_pruning(model, step, context)
        case Student():
            return student(model, step, context)
        case BFloat16():
            return bfloat16(model, step, context)
        case NoOp():
            return no_op(model, step, context)
        case Finetune():
            from worker.compression.training.finetune import finetune

            return finetune(model, step, context)
        case Distillation():
            from worker.compression.training.distillation import distillation

            return distillation(model, step, context)
        case QuantizationAwareTraining():
            from worker.compression.training.quantization_aware_training import quantization_aware_training

            return quantization_aware_training(model, step, context)
    assert_never(step)
