"""`quantization_aware_training`: train weights and scales of a graph with Q/DQ nodes through the rounding.

Straight-through gradients and learned step sizes (LSQ, Esser et al. 2020, arXiv:1902.08153); the nodes stay the same.
"""

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import QuantizationAwareTraining
from worker.compression.steps.context import Context, StepResult
from worker.compression.training.train_step import train_model
from worker.compression.training.training_goal import training_goal

QDQ = frozenset({"QuantizeLinear", "DequantizeLinear"})


def quantization_aware_training(
    model: ir.Model, step: QuantizationAwareTraining, context: Context
) -> StepResult:
    """Train through the rounding. Raises `not_quantized` and what `train_model` raises."""
    if not {node.op_type for node in model.graph} >= QDQ:
        raise Refusal(
            "not_quantized",
            "quantization_aware_training trains through QuantizeLinear and DequantizeLinear nodes, and the model has "
            "none. Put int8_static before it.",
        )
    return train_model(model, step, context, training_goal(model, step, context))
