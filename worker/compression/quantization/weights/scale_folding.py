"""Finds where numbers that divide the channels of a value can go, so that nothing is computed for them.

    normalisation      y = x̂ γ + β             γ / s, β / s
    product            y = W x + b              rows of W / s, b / s                      through Relu, too: s > 0
    gated product      y = f(a) · u             into u, as it is made
    values of a head   y = merge(P · split(v))  into v: each channel of y is a mean of that channel of v

A value between is read by nothing else, and a weight is one that the step writes anyway.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import new_constant, remove_constant
from worker.compression.ir.naming import Names
from worker.compression.ir.values import array_of, graph_of, input_at, is_constant, is_read_once
from worker.compression.layers.linear import Linear

NORMALISATIONS: Final = frozenset({"LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"})
HOMOGENEOUS: Final = frozenset({"Relu", "LeakyRelu", "Identity"})
"""f(s x) = s f(x) for s > 0."""
HEADS_INSIDE: Final = [0, 2, 1, 3]
"""[N, L, heads, d] ⇄ [N, heads, L, d]"""


@dataclass(frozen=True)
class Fold:
    """`constants` are divided, inputs of nodes by their number, and the outputs of `layer`. `into` says it in words."""

    into: str
    constants: tuple[tuple[ir.Node, int], ...] = ()
    layer: Linear | None = None


def place_for(value: ir.Value, channels: int, layers: Mapping[ir.Node, Linear]) -> Fold | None:
    """Find what a value with so many channels on its last axis can be divided in; None where there is nothing. `layers`
    are those whose weights may be changed."""
    return _Search(channels, layers).place(value)


def divide(fold: Fold, factors: Array, names: Names) -> None:
    """Divide the constants; of the layer only its bias is among them."""
    for node, index in fold.constants:
        old = input_at(node, index)
        divided = (array_of(old).astype(np.float64) / factors).astype(np.float32)
        assert old is not None
        graph = graph_of(old)
        node.replace_input_with(index, new_constant(graph, names.fresh(f"{old.name}_scaled"), divided))
        if not old.uses() and not old.is_graph_output():
            remove_constant(old)


@dataclass(frozen=True)
class _Search:
    channels: int
    layers: Mapping[ir.Node, Linear]

    def place(self, value: ir.Value) -> Fold | None:
        node = value.producer()
        if node is None or value.is_graph_output():
            return None
        match node.op_type:
            case kind if kind in NORMALISATIONS:
                return self._normalisation(node)
            case "MatMul" | "Gemm":
                return self._layer(node)
            case "Add":
                return self._sum(node)
            case "Mul":
                return self._product(node)
            case kind if kind in HOMOGENEOUS:
                return self._behind(node.inputs[0])
            case "Reshape":
                return self._heads(node)
        return None

    def _behind(self, value: ir.Value | None) -> Fold | None:
        return self.place(value) if value is not None and is_read_once(value) else None

    def _normalisation(self, node: ir.Node) -> Fold | None:
        vectors = [n for n, value in enumerate(node.inputs) if n and value is not None]
        if not vectors or not all(self._is_vector(node.inputs[n], whole=True) for n in vectors):
            return None
        return Fold("the normalisation before", tuple((node, n) for n in vectors))

    def _layer(self, node: ir.Node) -> Fold | None:
        layer = self.layers.get(node)
        if layer is None or layer.twins or layer.shape[1] != self.channels:
            return None
        bias = layer.bias
        if bias is not None and not self._is_vector(bias):
            return None
        return Fold("the layer before", () if bias is None else ((node, 2),), layer)

    def _sum(self, node: ir.Node) -> Fold | None:
        """With a constant, on which the layer in front of it follows."""
        for number in (0, 1):
            if self._is_vector(node.inputs[number]):
                fold = self._behind(node.inputs[1 - number])
                return fold and replace(fold, constants=(*fold.constants, (node, number)))
        return None

    def _product(self, node: ir.Node) -> Fold | None:
        for number in (0, 1):
            if self._is_vector(node.inputs[number]):
                return Fold("a product with constants before", ((node, number),))
        for value in node.inputs:
            if self._is_wide(value) and (fold := self._behind(value)) is not None:
                return replace(fold, into="a gated product before")
        return None

    def _heads(self, merge: ir.Node) -> Fold | None:
        """Reshape ◂ Transpose ◂ MatMul of probabilities ◂ Transpose ◂ Reshape ◂ the values."""
        turn = _made_by(merge.inputs[0], "Transpose")
        mixed = turn and _made_by(turn.inputs[0], "MatMul")
        split = mixed and _made_by(mixed.inputs[1], "Transpose")
        apart = split and _made_by(split.inputs[0], "Reshape")
        if turn is None or split is None or apart is None or not self._is_wide(merge.outputs[0]):
            return None
        perms = [list(node.attributes.get_ints("perm", [])) for node in (turn, split)]
        sizes = [_last_two(turn.outputs[0]), _last_two(apart.outputs[0])]
        alike = sizes[0] is not None and sizes[0] == sizes[1] and sizes[0][0] * sizes[0][1] == self.channels
        if perms != [HEADS_INSIDE, HEADS_INSIDE] or not alike or not self._is_wide(apart.inputs[0]):
            return None
        fold = self._behind(apart.inputs[0])
        return fold and replace(fold, into="the values of attention before")

    def _is_vector(self, value: ir.Value | None, *, whole: bool = False) -> bool:
        """Whether it is a constant with a number for each channel, or one for all."""
        if value is None or not is_constant(value) or value.dtype != ir.DataType.FLOAT:
            return False
        shape = array_of(value).shape
        if whole:
            return shape == (self.channels,)
        return int(np.prod(shape)) in (1, self.channels) and (not shape or shape[-1] == np.prod(shape))

    def _is_wide(self, value: ir.Value | None) -> bool:
        """Whether its last axis is known to have the channels."""
        return (
            value is not None
            and value.shape is not None
            and len(value.shape) > 0
            and value.shape[-1] == self.channels
        )


def _made_by(value: ir.Value | None, kind: str) -> ir.Node | None:
    """What makes a value that nothing else reads, where it is of this kind."""
    node = None if value is None or not is_read_once(value) else value.producer()
    return node if node is not None and node.op_type == kind else None


def _last_two(value: ir.Value) -> tuple[int, int] | None:
    if value.shape is None or len(value.shape) != 4:
        return None
    heads, size = value.shape[2], value.shape[3]
    return (heads, size) if isinstance(heads, int) and isinstance(size, int) else None
