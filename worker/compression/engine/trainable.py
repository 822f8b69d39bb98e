"""Tell which initializers training may change: those that a node weighs its input with.

Not the exponent of a Pow, the bounds of a Clip, a scale of 1/√d or the mean that is subtracted from the image. So: a
float initializer at a weight position of its operator's row in the table; at an element-wise operator only where it
has more than one value, none that was counted rather than learned (grids, strides, masks), and the other side is
computed; one that multiplies has them along one axis, or it is a table (a window, rotary positions). In a graph with
Q/DQ nodes also integer weights and the scales; of binary weights the signs and the scales. Tables of int8 rows stay.
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.engine.coverage import operator_of
from worker.compression.engine.quantized import is_bias, reader_of
from worker.compression.graph.nodes.weights import scales_rows
from worker.compression.weight_storage.codebook_weights import (
    codebook_weight_of,
    weight_of_codes,
    weight_of_learnt,
)

ELEMENTWISE: Final = frozenset({"Add", "Sub", "Mul", "Div", "Sum", "Mean"})
PASSES_WEIGHT_ON: Final = frozenset(
    {"Transpose", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Flatten", "DequantizeLinear"}
)
"""What may stand between an initializer and the node that weighs with it."""


def trainable(value: ir.Value) -> bool:
    """Whether training may change this initializer."""
    if value.const_value is None:
        return False
    if value.const_value.dtype != ir.DataType.FLOAT:
        signs = weight_of_codes(value)
        return reader_of(value) is not None and _weighed(value if signs is None else signs.value)
    return _weighed(value)


def is_scale(value: ir.Value) -> bool:
    """Whether it is the scale of Q/DQ nodes, or those of a weight's signs."""
    if (weight := weight_of_learnt(value)) is not None:
        return weight.binary
    return any(
        use.idx == 1 and use.node.op_type in ("QuantizeLinear", "DequantizeLinear") for use in value.uses()
    )


def is_codebook(value: ir.Value) -> bool:
    """Whether it holds the values that a weight's codes stand for."""
    weight = weight_of_learnt(value)
    return weight is not None and not weight.binary


def feeding(node: ir.Node) -> set[str]:
    """Find the initializers that the node weighs with, directly or through nodes that only pass them on or make a
    weight of few values; the scales of those that are quantized too."""
    if codebook_weight_of(node.outputs[0]) is not None:
        return set()  # they are the layer's
    names: set[str] = set()
    waiting = [node.inputs[i] for i in operator_of(node).weights if i < len(node.inputs)]
    while waiting:
        value = waiting.pop()
        producer = None if value is None else value.producer()
        if value is not None and value.is_initializer():
            names.add(str(value.name))
        elif (weight := codebook_weight_of(value)) is not None:
            names |= {str(weight.learnt.name), str(weight.codes.name)}
        elif producer is not None and producer.op_type in PASSES_WEIGHT_ON:
            waiting.append(producer.inputs[0])
            if producer.op_type == "DequantizeLinear" and _is_constant(producer.inputs[0]):
                waiting.append(producer.inputs[1])
    return names if node.op_type not in PASSES_WEIGHT_ON and node.op_type != "QuantizeLinear" else set()


def _weighed(value: ir.Value) -> bool:
    return any(_weighs(use.node, use.idx, value) for use in value.uses())


def _weighs(node: ir.Node, index: int, value: ir.Value) -> bool:
    if node.op_type in PASSES_WEIGHT_ON and index == 0:
        return _weighed(node.outputs[0])
    if index not in operator_of(node).weights:
        return False
    if node.op_type == "DequantizeLinear" and node.inputs[0] is not None and is_bias(node.inputs[0]):
        return False
    if scales_rows(node):
        return False
    if node.op_type not in ELEMENTWISE:
        return True
    shape = value.shape
    wide = sum(n > 1 for n in shape.numpy()) if shape is not None and shape.is_static() else 0
    several = wide == 1 if node.op_type in ("Mul", "Div") else wide > 0
    others = [other for i, other in enumerate(node.inputs) if i != index and other is not None]
    computed = any(other.producer() is not None for other in others)
    return several and computed and not _counted(value)


def _counted(value: ir.Value) -> bool:
    """Whether they are whole or half numbers beyond 1, or infinity: nobody learned these."""
    while (producer := value.producer()) is not None and producer.inputs[0] is not None:
        value = producer.inputs[0]
    if value.const_value is None:
        return False
    doubled = 2 * value.const_value.numpy().astype(np.float64)
    return not np.isfinite(doubled).all() or bool(
        (doubled == doubled.round()).all() and np.abs(doubled).max() > 2
    )


def _is_constant(value: ir.Value | None) -> bool:
    return value is not None and value.is_initializer()
