"""`distillation`: train towards the outputs of a teacher (Hinton et al. 2015, arXiv:1503.02531)."""

import onnx_ir as ir

from winnow.contract.recipe import Distillation
from worker.compression.steps.context import Context, StepResult
from worker.compression.training.train_step import train_model
from worker.compression.training.training_goal import training_goal


def distillation(model: ir.Model, step: Distillation, context: Context) -> StepResult:
    """Train towards the teacher; a `student` takes the model's place. Raises what `train_model` raises."""
    student = model if step.student is None else context.model(step.student)
    return train_model(student, step, context, training_goal(student, step, context))
