"""Let whoever reads a node that changes nothing read its input: a Cast to the type that it has, a Transpose back.

    Neg(Neg(x))   Transpose(x, [0, 1])   Cast(Cast(x: float16 → float32) → float16)   Unsqueeze(Squeeze(x, 1), 1)   x
    Reshape(x, [N, 3, -1]) of x [N, 3, 5]   Slice(x, 0:2⁶³)   Mul(x, 1)   Sub(x, 0)   Concat(x)   Relu(Relu(x))     x

Every bit stays, that of −0 too: to add 0.0, which makes it 0, is no such node. Of shapes only those count that follow
from the model's inputs, since what a file declares inside may be stale.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.normal_form.cancelling.reading import (
    axes_of,
    int_of,
    producer_of,
    small_constant,
    traced_dims,
    transposed_twice,
)
from worker.compression.graph.normal_form.cancelling.unmoved import (
    expands_nothing,
    is_flat,
    is_in_order,
    keeps_shape,
    pads_nothing,
    repeats_once,
    takes_all,
)
from worker.compression.graph.normal_form.folding import nodes_in_bodies
from worker.compression.graph.normal_form.tracing import Traced
from worker.compression.ir.casts import is_lossless
from worker.compression.ir.values import array_of, graph_of, input_at, is_constant

TRAINING_MODE: Final = 2
"""The input of Dropout that says whether it is trained."""
UNDO_THEMSELVES: Final = frozenset({"Neg", "Not"})
IDEMPOTENT: Final = frozenset({"Abs", "Ceil", "Floor", "Relu", "Round", "Sign"})
OF_SEVERAL: Final = frozenset({"Concat", "Sum", "Max", "Min", "Mean"})
"""Operators on any number of inputs: of a single one they answer that."""

Rule = Callable[[ir.Node, ir.Value, Traced], ir.Value | None]


def skip_no_ops(model: ir.Model, traced: Traced) -> bool:
    """Skip them in place, subgraphs included. Returns whether there was any; they stay, without a reader."""
    skipped = False
    for node, iterated in list(nodes_in_bodies(model.graph)):
        if node.domain == "" and (same := passed_on(node, {} if iterated else traced)) is not None:
            skipped |= _skip(node, same)
    return skipped


def passed_on(node: ir.Node, traced: Traced) -> ir.Value | None:
    """Return the value that the first output of a node of ONNX's own is, bit by bit; None where it may be another."""
    x = input_at(node, 0)
    if x is None or node.op_type not in RULES:
        return None
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        return None
    return RULES[node.op_type](node, x, traced)


def _skip(node: ir.Node, same: ir.Value) -> bool:
    """An output of a graph keeps its name, where what it is computed from can take that."""
    output = node.outputs[0]
    if not output.is_graph_output():
        is_read = bool(output.uses())
        output.replace_all_uses_with(same)
        return is_read
    source = same.producer()
    if source is None or source.graph is not node.graph or same.is_graph_output():
        return False
    name, output.name = output.name, None
    output.replace_all_uses_with(same, replace_graph_outputs=True)
    graph_of(node).remove(node, safe=True)
    same.name = name
    return True


def _moves_nothing(holds: Callable[[ir.Node, Traced], bool]) -> Rule:
    return lambda node, x, traced: x if holds(node, traced) else None


def _cast(node: ir.Node, x: ir.Value, _: Traced) -> ir.Value | None:
    wanted, inner = int_of(node, "to", 0), producer_of(x, "Cast")
    if x.dtype is None:
        return None
    if x.dtype.value == wanted:
        return x
    before = None if inner is None else input_at(inner, 0)
    if before is None or before.dtype is None or before.dtype.value != wanted:
        return None
    return before if is_lossless(before.dtype, x.dtype) else None


def _transposed_back(node: ir.Node, x: ir.Value, traced: Traced) -> ir.Value | None:
    if is_in_order(node, traced):
        return x
    inner = producer_of(x, "Transpose")
    both = None if inner is None else transposed_twice(inner, node)
    return input_at(inner, 0) if inner is not None and both == sorted(both or ()) else None


def _undone(operator: str) -> Rule:
    """An operator on axes, of its inverse on the same."""

    def rule(node: ir.Node, x: ir.Value, _: Traced) -> ir.Value | None:
        inner = producer_of(x, operator)
        if inner is None or (axes := axes_of(node)) is None or axes_of(inner) != axes:
            return None
        return input_at(inner, 0)

    return rule


def _neutral(number: int, *, commutes: bool, of_floats: bool = True) -> Rule:
    """An operator on two values, with a constant of this number alone that makes the result no wider."""

    def rule(node: ir.Node, _: ir.Value, traced: Traced) -> ir.Value | None:
        for at in (0, 1) if commutes else (0,):
            x, numbers = input_at(node, at), small_constant(input_at(node, 1 - at))
            dims = traced_dims(x, traced)
            if numbers is None or dims is None or not (of_floats or numbers.dtype.kind in "iu"):
                continue
            if numbers.size > 1 and numbers.dtype.kind not in "iu":
                continue  # gains that were never trained
            is_neutral = numbers.tobytes() == np.full_like(numbers, number).tobytes()
            pairs = zip(reversed(numbers.shape), reversed(dims), strict=False)
            if is_neutral and numbers.ndim <= len(dims) and all(n in (1, dim) for n, dim in pairs):
                return x
        return None

    return rule


def _twice(node: ir.Node, x: ir.Value, _: Traced) -> ir.Value | None:
    inner = producer_of(x, node.op_type)
    return None if inner is None else input_at(inner, 0)


def _again(node: ir.Node, x: ir.Value, _: Traced) -> ir.Value | None:
    return None if producer_of(x, node.op_type) is None else x


def _of_a_single_value(node: ir.Node, x: ir.Value, _: Traced) -> ir.Value | None:
    return x if len(node.inputs) == 1 else None


def _drops_nothing(node: ir.Node, _: Traced) -> bool:
    training = input_at(node, TRAINING_MODE)
    return training is None or (is_constant(training) and not np.any(array_of(training)))


RULES: Final[dict[str, Rule]] = {
    "Cast": _cast,
    "Transpose": _transposed_back,
    "Reshape": _moves_nothing(keeps_shape),
    "Flatten": _moves_nothing(is_flat),
    "Expand": _moves_nothing(expands_nothing),
    "Pad": _moves_nothing(pads_nothing),
    "Slice": _moves_nothing(takes_all),
    "Tile": _moves_nothing(repeats_once),
    "Dropout": _moves_nothing(_drops_nothing),
    "Squeeze": _undone("Unsqueeze"),
    "Unsqueeze": _undone("Squeeze"),
    "Mul": _neutral(1, commutes=True),
    "Div": _neutral(1, commutes=False),
    "Sub": _neutral(0, commutes=False),
    "Add": _neutral(0, commutes=True, of_floats=False),
    **dict.fromkeys(OF_SEVERAL, _of_a_single_value),
    **dict.fromkeys(UNDO_THEMSELVES, _twice),
    **dict.fromkeys(IDEMPOTENT, _again),
}
