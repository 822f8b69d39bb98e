"""`finetune`: train on labels."""

import onnx_ir as ir

from app.contract.recipe import Finetune
from worker.compression.engine.training.head import Meaning
from worker.compression.engine.training.objective import Weights
from worker.compression.graph.facts import inputs_of
from worker.compression.techniques.context import Changed, Context
from worker.compression.techniques.training import Lesson, trained


def finetune(model: ir.Model, step: Finetune, context: Context) -> Changed:
    """Raises what `training.trained` raises."""
    labels = context.training(inputs_of(model)).targets
    meaning: Meaning = "classification" if labels is None or labels.dtype.kind in "biu" else "regression"
    return trained(model, step, context, Lesson(Weights(labels=1.0, smoothing=step.label_smoothing), meaning))
