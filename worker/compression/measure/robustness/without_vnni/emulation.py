"""Rewrites a graph so that a runtime computes, in floats and so on every CPU alike, what integer kernels would.

    exact        Σ (a − z) · w                       sums of products of 8 bits are exact in float32 up to 2²⁴
    cut off      Σ (a − z) · w − Σ (s − clip(s))     s = a₀·w₀ + a₁·w₁ of the pairs that may leave 16 bits (`pairs`)
    seven bits   the exact sums of weights in ±64

With a the integer, s is  (a₀ − z)·w₀ + (a₁ − z)·w₁ + z·(w₀ + w₁):  padding, where a is z, comes out right. The two
columns of a pair are gathered from the data of a product; of a convolution a second one, depthwise, makes each s.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit, insert_behind
from worker.compression.ir.values import array_of, input_at, required_input
from worker.compression.measure.robustness.without_vnni.integer_layers import IntegerLayer
from worker.compression.measure.robustness.without_vnni.pairs import (
    LEAST,
    MOST,
    SEVEN_BITS,
    ExposedPairs,
    in_seven_bits,
)

How = Literal["exact", "cut off", "seven bits"]
FLOAT: Final = ir.DataType.FLOAT.value


@dataclass
class Emulator:
    """Writes layers into one model, and adds scalar outputs to its graph, which `counters` names: of an exact layer the
    size of what it gives, of one that is cut off how many sums are, and how many there are, filled up ones included."""

    edit: GraphEdit
    how: How
    counters: list[tuple[str, ...]] = field(default_factory=list)
    _new: list[ir.Node] = field(default_factory=list)

    def write(self, layer: IntegerLayer, pairs: ExposedPairs) -> None:
        """Put what computes the layer in its node's place."""
        self._new = []
        if layer.dequantize is None:
            self._write_integers(layer, pairs)
        else:
            self._write_floats(layer, pairs)
        written = self._new[-1].outputs[0]
        self.edit.replace_node(layer.node, self._new)
        if self.how == "exact":
            self._new = []
            self._count(self._size(written))
            insert_behind(self.edit.graph, written, self._new)

    def _write_floats(self, layer: IntegerLayer, pairs: ExposedPairs) -> None:
        node, dequantize = layer.node, layer.dequantize
        assert dequantize is not None
        inputs, scales = list(node.inputs), array_of(dequantize.inputs[1])
        if self.how == "seven bits":
            stored = self._constant(in_seven_bits(layer.stored))
            narrow = [stored, self._constant(scales / np.float32(SEVEN_BITS)), *dequantize.inputs[2:3]]
            attributes = {name: a.value for name, a in dequantize.attributes.items()}
            inputs[1] = self._add("DequantizeLinear", narrow, **attributes)
        product = self._copied(layer, inputs)
        if self.how == "cut off":
            data, zero = required_input(node, 0), self._constant(np.float32(layer.zero or 0.0))
            excess = self._excess(layer, pairs, data, zero, product)
            unit = (layer.scale * scales).astype(np.float32).reshape(-1)
            self._add("Sub", [product, self._add("Mul", [excess, self._by_output(layer, unit)])])

    def _write_integers(self, layer: IntegerLayer, pairs: ExposedPairs) -> None:
        node = layer.node
        zero_point, weight_zero = input_at(node, 2), input_at(node, 3)
        data = self._add("Cast", [required_input(node, 0)], to=FLOAT)
        zero = self._constant(np.float32(0))
        if zero_point is not None:
            zero = self._add("Cast", [zero_point], to=FLOAT)
            data = self._add("Sub", [data, zero])
        weight = layer.stored.astype(np.float32)
        if self.how == "seven bits":
            weight = in_seven_bits(layer.stored).astype(np.float32) / np.float32(SEVEN_BITS)
        if weight_zero is not None:
            offsets = array_of(weight_zero).astype(np.float32)
            weight = weight - (
                offsets.reshape(-1, *[1] * (weight.ndim - 1)) if layer.op == "Conv" else offsets
            )
        product = self._copied(layer, [data, self._constant(weight)])
        if self.how == "cut off":
            product = self._add("Sub", [product, self._excess(layer, pairs, data, zero, product)])
        self._add("Cast", [self._add("Round", [product])], to=ir.DataType.INT32.value)

    def _copied(self, layer: IntegerLayer, inputs: list[ir.Value | None]) -> ir.Value:
        attributes = {name: attribute.value for name, attribute in layer.node.attributes.items()}
        return self._add(layer.op, inputs, **attributes)

    def _excess(
        self, layer: IntegerLayer, pairs: ExposedPairs, data: ir.Value, zero: ir.Value, product: ir.Value
    ) -> ir.Value:
        """What is cut off each output's sums, float: [..., outputs], of a convolution [batch, outputs, ...]."""
        sums = self._window_sums(layer, pairs, data) if layer.op == "Conv" else self._sums(layer, pairs, data)
        offsets = pairs.numbers.sum(axis=2).astype(np.float32)
        if layer.op == "Conv":
            offsets = offsets.reshape(-1, *[1] * (layer.stored.ndim - 2))
        sums = self._add("Add", [sums, self._add("Mul", [zero, self._constant(offsets)])])
        bounds = [self._constant(np.float32(bound)) for bound in (LEAST, MOST)]
        excess = self._add("Sub", [sums, self._add("Clip", [sums, *bounds])])
        self._count_cut(excess)
        if layer.op != "Conv":
            return self._add("ReduceSum", [excess, self._constant(np.array([-1]))], keepdims=0)
        outputs, width = pairs.places.shape[:2]
        spread = self._add("Reshape", [excess, self._constant(np.array([0, outputs, width, -1]))])
        flat = self._add("ReduceSum", [spread, self._constant(np.array([2]))], keepdims=0)
        return self._add("Reshape", [flat, self._add("Shape", [product])])

    def _sums(self, layer: IntegerLayer, pairs: ExposedPairs, data: ir.Value) -> ir.Value:
        """[..., outputs, pairs]."""
        products = []
        for side in range(2):
            column = self._add("Gather", [data, self._constant(pairs.places[..., side])], axis=-1)
            numbers = (pairs.numbers[..., side] / layer.scale).astype(np.float32)
            products.append(self._add("Mul", [column, self._constant(numbers)]))
        return self._add("Add", products)

    def _window_sums(self, layer: IntegerLayer, pairs: ExposedPairs, data: ir.Value) -> ir.Value:
        """[batch, outputs · pairs, ...]: two channels of the data for each, and a kernel with a weight in each."""
        channels, kernel = layer.stored.shape[1], layer.stored.shape[2:]
        outputs, width = pairs.places.shape[:2]
        group = np.arange(outputs) // (outputs // layer.groups)
        columns = pairs.places % channels + (group * channels)[:, None, None]
        kernels = np.zeros((outputs * width, 2, int(np.prod(kernel))), np.float32)
        at = (pairs.places // channels).reshape(-1, 2)
        rows = np.arange(outputs * width)
        for side in range(2):
            kernels[rows, side, at[:, side]] = pairs.numbers[..., side].reshape(-1) / layer.scale
        gathered = self._add("Gather", [data, self._constant(columns.reshape(-1))], axis=1)
        attributes = {name: attribute.value for name, attribute in layer.node.attributes.items()}
        attributes["group"] = outputs * width
        return self._add("Conv", [gathered, self._constant(kernels.reshape(-1, 2, *kernel))], **attributes)

    def _count_cut(self, excess: ir.Value) -> None:
        far = self._add("Greater", [self._add("Abs", [excess]), self._constant(np.float32(0.5))])
        cut = self._add("ReduceSum", [self._add("Cast", [far], to=FLOAT)], keepdims=0)
        self._count(cut, self._size(excess))

    def _size(self, value: ir.Value) -> ir.Value:
        return self._add("Cast", [self._add("Size", [value])], to=FLOAT)

    def _count(self, *counters: ir.Value) -> None:
        for value in counters:
            value.type, value.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
            self.edit.graph.outputs.append(value)
        self.counters.append(tuple(str(value.name) for value in counters))

    def _by_output(self, layer: IntegerLayer, numbers: Array) -> ir.Value:
        """One number, or one for each output, to be multiplied with what the layer gives."""
        axes = layer.stored.ndim - 2 if layer.op == "Conv" and numbers.size > 1 else 0
        return self._constant(numbers.reshape(-1, *[1] * axes))

    def _constant(self, array: npt.ArrayLike) -> ir.Value:
        return self.edit.new_constant("winnow_emulated", np.asarray(array))

    def _add(self, op: str, inputs: Sequence[ir.Value | None], **attributes: object) -> ir.Value:
        node = self.edit.new_node(op, inputs, "winnow_emulated", attributes)
        self._new.append(node)
        return node.outputs[0]
