"""The number that full heads answer for ids that are gone: the lowest that stays finite in all that computes with it.

    fill = lowest finite number of the narrowest floats that the artifact answers in / how much grows what is behind

Growth is that of multiplication and division by constants. In float16 it is twice as much where anything is added or
subtracted, as LogSoftmax does: log p = x - log Σ exp x goes below -65504 for 16 or more that are subtracted from the
lowest. Wider floats end so far out that rounding leaves it where it is.
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.half_precision.casting import MAX_BFLOAT16
from worker.compression.ir.values import array_of, is_constant
from worker.compression.steps.context import Context
from worker.compression.vocabulary_pruning.heads import Head, passed_on

MOVES: Final = frozenset({"Identity", "Cast"})
ROOM: Final = 2.0
"""For what is added or subtracted in float16."""


def lowest_fill(model: ir.Model, context: Context, heads: Iterable[Head]) -> float:
    """The fill for the logits of these heads, float32, before anything of them is cut."""
    outputs = {value.dtype for value in context.as_written(model).graph.outputs}
    if ir.DataType.FLOAT16 in outputs:
        lowest, room = float(np.finfo(np.float16).min), ROOM
    elif ir.DataType.BFLOAT16 in outputs:
        lowest, room = -MAX_BFLOAT16, 1.0
    else:
        lowest, room = float(np.finfo(np.float32).min), 1.0
    return lowest / max((_growth(model, head.logits, room) for head in heads), default=1.0)


def _growth(model: ir.Model, logits: ir.Value, room: float) -> float:
    """The most by which a number as far out as the fill grows on its way, at least 1."""
    values, other = passed_on(model, logits)
    growth = {logits: 1.0}
    for value in values[1:]:
        node = value.producer()
        assert node is not None
        source = next(v for v in node.inputs if v in growth)
        growth[value] = growth[source] * _factor(node, room)
    return max(*growth.values(), 1.0 if other is None else room)


def _factor(node: ir.Node, room: float) -> float:
    if node.op_type in MOVES:
        return 1.0
    if node.op_type == "Softmax":
        return 0.0
    if node.op_type not in ("Mul", "Div"):
        return room
    (constant,) = (float(abs(array_of(v)).reshape(-1)[0]) for v in node.inputs if is_constant(v))
    if node.op_type == "Mul":
        return constant
    return 0.0 if is_constant(node.inputs[0]) or not constant else 1 / constant
