"""`finetune`: train on labels."""

import onnx_ir as ir

from winnow.contract.recipe import Finetune
from worker.compression.data.labels import mean_classes
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.steps.context import Context, StepResult
from worker.compression.training.goal.head import Meaning, output_of
from worker.compression.training.goal.objective import LossWeights
from worker.compression.training.train_step import train_model
from worker.compression.training.training_goal import TrainingGoal


def finetune(model: ir.Model, step: Finetune, context: Context) -> StepResult:
    """Train on labels. Raises what `train_model` raises."""
    labels, shape = context.training(inputs_of(model)).targets, output_of(model, step.output).shape
    classes = labels is None or mean_classes(labels, None if shape is None else tuple(shape))
    meaning: Meaning = "classification" if classes else "regression"
    return train_model(
        model, step, context, TrainingGoal(LossWeights(labels=1.0, smoothing=step.label_smoothing), meaning)
    )
