"""`distillation`: train towards the outputs of a teacher (Hinton et al. 2015, arXiv:1503.02531)."""

import onnx_ir as ir

from winnow.contract.recipe import Distillation
from worker.compression.steps.context import Context, StepResult
from worker.compression.training.train_step import lesson_of, trained


def distillation(model: ir.Model, step: Distillation, context: Context) -> StepResult:
    """A `student` takes the model's place. Raises what `trained` raises."""
    student = model if step.student is None else context.model(step.student)
    return trained(student, step, context, lesson_of(step, context))
