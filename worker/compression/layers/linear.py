"""Conv, Gemm and MatMul as one thing: a matrix product y = x · Wᵀ for each group of channels.

Conv          W [groups, out / groups, (in / groups) · Πkernel], x the patches that the kernel sees (im2col)
Gemm, MatMul  W [1, out, in], x all rows
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.mapped_tensors import MappedTensors
from worker.compression.ir.naming import excluded
from worker.compression.ir.values import all_nodes, array_of, input_at, required_input, tensor_of
from worker.compression.layers.im2col import Window, patches


@dataclass(frozen=True)
class Linear:
    """A node whose second input is a constant float32 weight. `twins` read the same weight, and nothing else does."""

    node: ir.Node
    weight: ir.Value
    groups: int = 1
    twins: tuple["Linear", ...] = ()

    @property
    def readers(self) -> tuple["Linear", ...]:
        """All that read the weight, in order."""
        return self, *self.twins

    def excluded(self, patterns: Iterable[str]) -> bool:
        """Whether a pattern names one of the readers."""
        return any(excluded(reader.node, patterns) for reader in self.readers)

    @property
    def name(self) -> str:
        return str(self.node.name)

    @property
    def data(self) -> str:
        """The name of the value that it multiplies."""
        return str(required_input(self.node, 0).name)

    @property
    def bias(self) -> ir.Value | None:
        """Of Conv and Gemm; a MatMul has none."""
        return input_at(self.node, 2)

    @property
    def dims(self) -> tuple[int, ...]:
        """Of the weight as it is stored."""
        return tuple(int(dim) for dim in tensor_of(self.weight).shape.numpy())

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the matrix: groups, outputs of one group, inputs of one group."""
        if self.node.op_type == "Conv":
            outer, *inner = self.dims
            return self.groups, outer // self.groups, math.prod(inner)
        first, second = self.dims if self.outputs_first else self.dims[::-1]
        return 1, first, second

    @property
    def channels(self) -> int:
        """Of one group's data; the matrix has a column for each, or one for each and every place of the kernel."""
        return self.dims[1] if self.node.op_type == "Conv" else self.shape[2]

    @property
    def channel_axis(self) -> int:
        """Of its data."""
        return 1 if self.node.op_type == "Conv" else -1

    @property
    def weight_axis(self) -> int:
        """Of the weight as it is stored: that of the data's channels."""
        return 1 if self.node.op_type == "Conv" or self.outputs_first else 0

    def by_column(self, numbers: Array) -> Array:
        """Spread one number for each channel of the data, those of all groups, over the columns: [groups, in]."""
        inner = self.shape[2]
        columns: Array = np.repeat(
            numbers.reshape(self.groups, self.channels), inner // self.channels, axis=1
        )
        return columns

    def matrix(self) -> Array:
        """Copy the weight as a matrix, float32 [groups, out, in]."""
        return np.array(self.laid_out(array_of(self.weight)), np.float32, order="C")

    def put(self, matrix: Array, spill: MappedTensors | None = None) -> None:
        """Replace the weight by a matrix of the same shape, which goes through `spill`, where there is one."""
        stored = np.ascontiguousarray(self.stored(matrix), np.float32)
        name = str(self.weight.name)
        self.weight.const_value = (
            ir.tensor(stored, name=name) if spill is None else spill.append(name, stored)
        )

    def laid_out(self, stored: Array) -> Array:
        """Lay out an array of the weight's shape as the matrix is: [groups, out, in]."""
        turned = stored.T if self.node.op_type != "Conv" and not self.outputs_first else stored
        matrix: Array = np.reshape(turned, self.shape)
        return matrix

    def stored(self, matrix: Array) -> Array:
        """Lay out an array [groups, out, in] as the weight is stored."""
        if self.node.op_type == "Conv":
            shaped: Array = np.reshape(matrix, self.dims)
            return shaped
        turned: Array = matrix[0] if self.outputs_first else matrix[0].T
        return turned

    def columns(self, x: Array, max_rows: int | None = None) -> Array:
        """Lay out the node's data as what the matrix multiplies, float32 [groups, rows, in].

        `max_rows` at most, spread evenly; a convolution has one row for each sample and position of the output.
        """
        if self.node.op_type == "Conv":
            return patches(x, Window.of(self.node, self.dims[2:]), self.groups, max_rows)
        rows = x.reshape(-1, x.shape[-1])
        return rows[None, :: _stride(len(rows), max_rows)]

    @property
    def layout(self) -> tuple[bool, int, bool]:
        """Of the weight: layers for which this is the same read the same matrix."""
        return self.node.op_type == "Conv", self.groups, self.outputs_first

    @property
    def outputs_first(self) -> bool:
        return self.node.op_type == "Gemm" and self.node.attributes.get_int("transB", 0) == 1


def linears(model: ir.Model, exclude: Iterable[str] = ()) -> Iterator[Linear]:
    """List the layers of the main graph that are matrix products with a weight of their own, in order, without those
    that a pattern excludes."""
    patterns = list(exclude)
    for layer in layers_by_weight(model):
        if not layer.twins and not layer.excluded(patterns) and in_main_graph(layer, model):
            yield layer


def in_main_graph(layer: Linear, model: ir.Model) -> bool:
    """Whether all that reads its weight is in the main graph."""
    return all(reader.node.graph is model.graph for reader in layer.readers)


def layers_by_weight(model: ir.Model) -> list[Linear]:
    """List one layer for each weight of the products in the main graph, its branches and its bodies: the first that
    reads it, the others as its twins.

    A weight that something else reads too, or that layers lay out differently, makes no layer.
    """
    readers: dict[ir.Value, list[Linear]] = {}
    for node in all_nodes(model):
        layer = product(node)
        if layer is not None:
            readers.setdefault(layer.weight, []).append(layer)
    return [
        replace(layers[0], twins=tuple(layers[1:]))
        for weight, layers in readers.items()
        if len(weight.uses()) == len(layers) and len({layer.layout for layer in layers}) == 1
    ]


def linear(node: ir.Node) -> Linear | None:
    """Make the layer of a node, None where it is none or something else reads its weight too."""
    layer = product(node)
    return layer if layer is not None and len(layer.weight.uses()) == 1 else None


def product(node: ir.Node) -> Linear | None:
    """Make the layer of a node, whoever else reads its weight; None for other operators, weights that are not constant
    float32 or empty, and products that are scaled or transposed."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in ("Conv", "Gemm", "MatMul"):
        return None
    weight = node.inputs[1]
    stored = None if weight is None else weight.const_value
    if weight is None or stored is None or stored.dtype != ir.DataType.FLOAT or not stored.size:
        return None
    if weight.is_graph_output():
        return None
    data = node.inputs[0]
    if data is None or data.const_value is not None:
        return None
    match node.op_type:
        case "Conv":
            return Linear(node, weight, node.attributes.get_int("group", 1))
        case "Gemm":
            plain = not node.attributes.get_int("transA", 0) and all(
                node.attributes.get_float(name, 1.0) == 1.0 for name in ("alpha", "beta")
            )
            return Linear(node, weight) if plain else None
    return Linear(node, weight) if len(stored.shape) == 2 else None


def _stride(rows: int, max_rows: int | None) -> int:
    return 1 if max_rows is None else max(1, -(-rows // max_rows))
