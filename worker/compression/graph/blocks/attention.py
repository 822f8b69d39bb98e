"""The values of attention, which its weights are multiplied with: V of softmax(Q Kᵀ / √d) V.

Where heads are split off into an axis of their own, by Reshape and Transpose, the value before them is taken,
[N, T, heads · d]; else the one that is read, [N, heads, T, d] or [N · heads, T, d].
"""

from typing import Final

import onnx_ir as ir

from worker.compression.ir.values import is_constant

PASSES: Final = frozenset({"Dropout", "Identity", "Cast", "Where", "Mul"})
"""What may stand between the softmax and the product: dropout, a guard against rows without any weight."""
SPLITS: Final = frozenset({"Reshape", "Transpose", "Identity", "Unsqueeze", "Squeeze"})
"""What splits heads off."""
WHOLE: Final = frozenset(
    {("", "Attention"), ("com.microsoft", "MultiHeadAttention"), ("com.microsoft", "GroupQueryAttention")}
)
"""Operators that do all of it; V is their third input."""
MAX_STEPS: Final = 6
TOGETHER, APART = 3, 4
"""Axes of values whose heads are together, [N, T, heads · d], and apart, [N, heads, T, d]."""


def attention_values(model: ir.Model) -> list[str]:
    """Name the values of each attention, in the order of the graph; not those whose number of axes is not known."""
    found = list[ir.Value]()
    for node in model.graph:
        if node.op_type == "Softmax":
            found += _mixed_by(node.outputs[0])
        elif (node.domain, node.op_type) in WHOLE:
            found += [value for value in node.inputs[2:3] if value is not None]
    named = (_before_the_split(value) for value in found)
    return list(dict.fromkeys(str(value.name) for value in named if _axes(value) in (TOGETHER, APART)))


def _mixed_by(weights: ir.Value) -> list[ir.Value]:
    """What the product with the weights of attention reads besides."""
    for _ in range(MAX_STEPS):
        readers = [(use.node, use.idx) for use in weights.uses()]
        products = [node for node, place in readers if node.op_type == "MatMul" and place == 0]
        if products:
            value = products[0].inputs[1]
            return [] if value is None or is_constant(value) else [value]
        passed = [node for node, _ in readers if node.op_type in PASSES]
        if not passed:
            return []
        weights = passed[0].outputs[0]
    return []


def _before_the_split(value: ir.Value) -> ir.Value:
    """The last value on the way back that has all heads together; the value itself where there is none."""
    current = value
    for _ in range(MAX_STEPS):
        producer = current.producer()
        if producer is None or producer.op_type not in SPLITS or producer.inputs[0] is None:
            return value
        current = producer.inputs[0]
        splits = producer.op_type == "Reshape" and _axes(producer.outputs[0]) == APART
        if splits and _axes(current) == TOGETHER:
            return current
    return value


def _axes(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)
