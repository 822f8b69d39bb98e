"""The values of attention, which its weights are multiplied with: V of softmax(Q Kᵀ / √d) V.

Where heads are split off into an axis of their own, by Reshape and Transpose, the value before them is taken,
[N, T, heads · d]; else the one that is read, [N, heads, T, d] or [N · heads, T, d]. The last is what torch makes of its
[T, N, heads · d]: there are as many heads as d goes into that width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class AttentionValue:
    """A value by its `name`. `heads`: how many of them the first axis counts with the samples, [N · heads, T, d]."""

    name: str
    heads: int = 1


def attention_values(model: ir.Model) -> list[AttentionValue]:
    """List the values of each attention, in the order of the graph; not those whose number of axes is not known."""
    found = list[ir.Value]()
    for node in model.graph:
        if node.op_type == "Softmax":
            found += _mixed_by(node.outputs[0])
        elif (node.domain, node.op_type) in WHOLE:
            found += [value for value in node.inputs[2:3] if value is not None]
    values = (_before_the_split(value) for value in found)
    known = (value for value in values if _axes(value) in (TOGETHER, APART))
    return list(dict.fromkeys(AttentionValue(str(value.name), _heads_with_samples(value)) for value in known))


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
    for producer, current in _way_back(value):
        splits = producer.op_type == "Reshape" and _axes(producer.outputs[0]) == APART
        if splits and _axes(current) == TOGETHER:
            return current
    return value


def _heads_with_samples(value: ir.Value) -> int:
    """How many heads were put beside the samples on the first of three axes: a Reshape made the last one narrower by
    that factor; 1 where none were."""
    width = _width(value)
    if _axes(value) != TOGETHER or width is None:
        return 1
    for producer, before in _way_back(value):
        whole = _width(before)
        if producer.op_type == "Transpose" and not _keeps_last(producer):
            return 1
        if producer.op_type == "Reshape" and whole is not None and whole != width:
            return whole // width if whole % width == 0 else 1
    return 1


def _keeps_last(transpose: ir.Node) -> bool:
    perm = transpose.attributes.get_ints("perm", [])
    return bool(perm) and perm[-1] == len(perm) - 1


def _way_back(value: ir.Value) -> Iterator[tuple[ir.Node, ir.Value]]:
    """The nodes that only split heads off, from the last to the first, each with what it reads."""
    for _ in range(MAX_STEPS):
        producer = value.producer()
        if producer is None or producer.op_type not in SPLITS or producer.inputs[0] is None:
            return
        value = producer.inputs[0]
        yield producer, value


def _width(value: ir.Value) -> int | None:
    """The size of the last axis, where it is known."""
    last = value.shape[-1] if value.shape else None
    return last if isinstance(last, int) and last > 0 else None


def _axes(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)
