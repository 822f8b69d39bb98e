"""Which layers can have weights of fewer bits, and why the others cannot: products, convolutions, tables."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal
from weakref import WeakKeyDictionary

import numpy as np
import onnx_ir as ir

from worker.compression.graph.facts.weights import weights_of
from worker.compression.ir.mapped_tensors import release
from worker.compression.ir.naming import excluded
from worker.compression.layers.linear import Linear, layers_by_weight
from worker.compression.quantization.weights.block_affine import Array

PRODUCTS: Final = ("MatMul", "Gemm")
TAKEN: Final = (*PRODUCTS, "Conv", "Gather")
NOT_FINITE: Final = "its weight has NaN or infinity"


@dataclass(frozen=True)
class Candidate:
    """A node with a float weight. `reason` says why it stays as it is, None where it can be taken. Nodes with the same
    weight have the same `linear`."""

    node: ir.Node
    weight: ir.Value
    linear: Linear | None
    reason: str | None

    @property
    def is_first(self) -> bool:
        """Of those that read its weight."""
        return self.linear is None or self.linear.node is self.node

    @property
    def nodes(self) -> list[ir.Node]:
        """All that read its weight."""
        return [self.node] if self.linear is None else [reader.node for reader in self.linear.readers]

    @property
    def rows(self) -> tuple[int, int]:
        """Of the weight as a matrix: outputs of all groups (or words of a table), inputs."""
        if self.linear is None:
            assert self.weight.const_value is not None
            rows, inner = self.weight.const_value.shape.numpy()
            return int(rows), int(inner)
        groups, out, inner = self.linear.shape
        return groups * out, inner

    def matrix(self) -> Array:
        """float32 [groups, out, in]; a table is one group. Mapped from the file where nothing has to be turned."""
        return self._stored()[None] if self.linear is None else self.linear.matrix()

    def _stored(self) -> Array:
        assert self.weight.const_value is not None
        return self.weight.const_value.numpy()


def candidates(model: ir.Model, layers: Literal["all", "products"], exclude: list[str]) -> list[Candidate]:
    """Every node of the main graph that has a float weight, in order."""
    found, products = [], readers(model)
    for node in model.graph:
        floats = [w.value for w in weights_of(node) if w.value.dtype in FLOATS]
        if floats:
            layer = products.get(node)
            found.append(Candidate(node, floats[0], layer, _reason(node, floats[0], layer, layers, exclude)))
    return found


def readers(model: ir.Model) -> dict[ir.Node, Linear]:
    """The layer of each node that is a product; nodes with the same weight are one."""
    return {reader.node: layer for layer in layers_by_weight(model) for reader in layer.readers}


def tell_twins(layers: Iterable[Linear], told: dict[str, dict[str, object]]) -> None:
    """In the rows of nodes that have another's weight, by name: whose."""
    for layer in layers:
        for twin in layer.twins:
            told[twin.name]["weight_of"] = layer.name


def excluded_by(node: ir.Node, layer: Linear | None, patterns: list[str]) -> str | None:
    """Why a pattern keeps the node as it is; None where none does."""
    if excluded(node, patterns):
        return "excluded by a pattern"
    if layer is not None and layer.excluded(patterns):
        return "a layer with the same weight is excluded by a pattern"
    return None


FLOATS: Final = (ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE)


def _reason(
    node: ir.Node, weight: ir.Value, layer: Linear | None, layers: str, exclude: list[str]
) -> str | None:
    if (why := excluded_by(node, layer, exclude)) is not None:
        return why
    if node.op_type not in TAKEN:
        return f"no runtime reads the weights of {node.op_type} in fewer bits"
    if layers == "products" and node.op_type not in PRODUCTS:
        return "only products are asked for"
    if weight.dtype != ir.DataType.FLOAT:
        return "its weight is not float32"
    if weight.is_graph_output():
        return "its weight is an output of the model"
    if (layer is None and len(weight.uses()) > 1) or weight.const_value is None:
        return "other nodes read its weight too"
    if not finite(weight):
        return NOT_FINITE
    return _table_reason(node, weight) if node.op_type == "Gather" else _product_reason(layer)


def _table_reason(node: ir.Node, weight: ir.Value) -> str | None:
    assert weight.const_value is not None
    if not gathers_rows(node, weight):
        return "it does not gather whole rows of a matrix"
    return "its rows have an odd length" if int(weight.const_value.shape.numpy()[1]) % 4 else None


def gathers_rows(node: ir.Node, table: ir.Value) -> bool:
    """Whether a Gather takes whole rows of its table."""
    assert table.const_value is not None
    return node.attributes.get_int("axis", 0) == 0 and len(table.const_value.shape) == 2


def _product_reason(layer: Linear | None) -> str | None:
    if layer is None:
        return "it is no plain product of its input and a constant matrix"
    return "its input is a single vector" if any(map(_multiplies_a_vector, layer.readers)) else None


def _multiplies_a_vector(layer: Linear) -> bool:
    data = layer.node.inputs[0]
    return (
        layer.node.op_type == "MatMul" and data is not None and data.shape is not None and len(data.shape) < 2
    )


def finite(weight: ir.Value) -> bool:
    """Whether a constant has neither NaN nor infinity. Read once: copies of a model, of which a search makes many, have
    the same tensors."""
    tensor = weight.const_value
    assert tensor is not None
    if tensor not in _FINITE:
        _FINITE[tensor] = not tensor.size or bool(
            np.isfinite([tensor.numpy().min(), tensor.numpy().max()]).all()
        )
        release(weight)
    return _FINITE[tensor]


_FINITE: Final[WeakKeyDictionary[ir.TensorProtocol, bool]] = WeakKeyDictionary()
