"""Writes integer matrix products with activations quantized on the fly, and tables in int8, for one model."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from worker.compression.ir.affine import Array, quantized_weight, weight_scales
from worker.compression.ir.constants import new_constant
from worker.compression.ir.naming import Names
from worker.compression.quantization.integer.hardware import FULL

MICROSOFT = "com.microsoft"
LSTM_INPUTS = 8
"""X, W, R, B, sequence_lens, initial_h, initial_c, P; the quantized form adds scales and zero points."""


class IntegerWriter:
    """What several nodes read, activation, weight or table, is quantized once; every layer keeps its node's name."""

    def __init__(
        self,
        model: ir.Model,
        weight_limit: int,
        stored: Mapping[ir.Value, tuple[ir.Value, ir.Value]] | None = None,
    ) -> None:
        """`stored`: integers [rows, n] and scales [rows] of weights that were quantized before."""
        self._model, self._graph, self._limit = model, model.graph, weight_limit
        self._names = Names(model)
        self._quantized: dict[ir.Value, list[ir.Value]] = {}
        self._stored = dict(stored or {})
        self._row_scales: dict[ir.Value, ir.Value] = {}
        self._weights: dict[tuple[ir.Value, bool], list[ir.Value]] = {}

    def write(self, node: ir.Node) -> None:
        """MatMul, Gemm or LSTM."""
        if node.op_type == "LSTM":
            self._write_lstm(node)
        else:
            self._write_product(node)

    def _write_product(self, node: ir.Node) -> None:
        """MatMul or Gemm, weight [in, out] (or transposed): float32 in, float32 out."""
        transposed = "transB" in node.attributes and node.attributes["transB"].as_int() == 1
        data, name = node.inputs[0], str(node.name)
        assert data is not None
        integers, scales, zeros = self._weight(node, transposed)
        x, x_scale, x_zero = self._activation(data, node)
        product = self._op("MatMulInteger", [x, integers, x_zero, zeros], f"{name}_int32")
        as_float = self._op("Cast", [product.outputs[0]], f"{name}_unscaled", {"to": ir.DataType.FLOAT.value})
        scale = self._op("Mul", [x_scale, scales], f"{name}_scale")
        nodes = [
            product,
            as_float,
            scale,
            self._op("Mul", [as_float.outputs[0], scale.outputs[0]], f"{name}_scaled"),
        ]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None:
            nodes.append(self._op("Add", [nodes[-1].outputs[0], bias], f"{name}_biased"))
        self._graph.insert_before(node, nodes)
        self._replace(node, nodes[-1])
        product.name = name

    def _write_lstm(self, node: ir.Node) -> None:
        """W [directions, 4·hidden, in] and R likewise; both lie transposed in the quantized form."""
        inputs = list(node.inputs) + [None] * (LSTM_INPUTS - len(node.inputs))
        extra: list[ir.Value | None] = []
        for index in (1, 2):
            wish = str(node.inputs[index].name)  # type: ignore[union-attr]
            weight = _array(node, index).transpose(0, 2, 1)
            scales = np.stack([weight_scales(part, 1, self._limit) for part in weight])
            parts = zip(weight, scales, strict=True)
            integers = np.stack([quantized_weight(part, own, 1, self._limit) for part, own in parts])
            inputs[index] = self._initializer(f"{wish}_quantized", integers)
            extra.append(self._initializer(f"{wish}_scale", scales))
            extra.append(self._initializer(f"{wish}_zero_point", np.zeros(scales.shape, np.int8)))
        attributes = {k: a for k, a in node.attributes.items() if k != "layout"}
        self._model.opset_imports.setdefault(MICROSOFT, 1)
        quantized = ir.Node(
            MICROSOFT,
            "DynamicQuantizeLSTM",
            [*inputs, *extra],
            attributes.values(),
            num_outputs=len(node.outputs),
        )
        self._graph.insert_before(node, quantized)
        name = node.name
        self._replace(node, quantized)
        quantized.name = name

    def write_table(self, node: ir.Node) -> None:
        """Gather of the rows of a float32 table [rows, n], from int8 ones of which each has a scale.

        A table has all 8 bits, but what a product is to read too is in the range of products.
        """
        (table, indices), name = node.inputs, str(node.name)
        assert table is not None
        assert indices is not None
        if table not in self._stored:
            alone = all(use.node.op_type == "Gather" for use in table.uses())
            self._store(table, FULL if alone else self._limit)
        integers, scales = self._stored[table]
        if table not in self._row_scales:
            assert scales.const_value is not None
            by_row = scales.const_value.numpy()[:, None]
            self._row_scales[table] = self._initializer(f"{table.name}_row_scale", by_row)
        rows = self._op("Gather", [integers, indices], f"{name}_integers")
        as_float = self._op("Cast", [rows.outputs[0]], f"{name}_unscaled", {"to": ir.DataType.FLOAT.value})
        scale = self._op("Gather", [self._row_scales[table], indices], f"{name}_scale")
        scaled = self._op("Mul", [as_float.outputs[0], scale.outputs[0]], f"{name}_scaled")
        self._graph.insert_before(node, [rows, as_float, scale, scaled])
        self._replace(node, scaled)
        rows.name = name

    def _activation(self, value: ir.Value, reader: ir.Node) -> list[ir.Value]:
        """Integers, scale and zero point of a value."""
        if value not in self._quantized:
            wish = self._names.fresh(f"{value.name}_quantized")
            node = ir.Node("", "DynamicQuantizeLinear", [value], num_outputs=3, name=wish)
            for output, part in zip(node.outputs, ("integers", "scale", "zero_point"), strict=True):
                output.name = self._names.fresh(f"{value.name}_{part}")
            producer = value.producer()
            if producer is not None:
                self._graph.insert_after(producer, node)
            else:
                self._graph.insert_before(self._graph[0], node)
            self._quantized[value] = list(node.outputs)
        return self._quantized[value]

    def _weight(self, node: ir.Node, transposed: bool) -> list[ir.Value]:
        """Integers [in, out], scales and zero points [out] of a product's weight; a table's are turned for it."""
        weight = node.inputs[1]
        assert weight is not None
        key = weight, transposed
        if key not in self._weights:
            if transposed and weight in self._stored:
                stored, scales = self._stored[weight]
                turned = self._op("Transpose", [stored], f"{stored.name}_turned")
                self._graph.insert_before(node, turned)
                integers = turned.outputs[0]
            else:
                array = _array(node, 1).T if transposed else _array(node, 1)
                integers, scales = self._quantize(str(weight.name), array, 1, self._limit)
            assert scales.const_value is not None
            zeros = np.zeros_like(scales.const_value.numpy(), np.int8)
            self._weights[key] = [integers, scales, self._initializer(f"{weight.name}_zero_point", zeros)]
        return self._weights[key]

    def _store(self, table: ir.Value, limit: int) -> None:
        assert table.const_value is not None
        self._stored[table] = self._quantize(str(table.name), table.const_value.numpy(), 0, limit)

    def _quantize(self, name: str, array: Array, axis: int, limit: int) -> tuple[ir.Value, ir.Value]:
        """Integers and the scales of an axis."""
        scales = weight_scales(array, axis, limit)
        integers = quantized_weight(array, scales, axis, limit)
        return self._initializer(f"{name}_quantized", integers), self._initializer(f"{name}_scale", scales)

    def _replace(self, old: ir.Node, new: ir.Node) -> None:
        """The new node's outputs take the place and the names of the old one's."""
        for before, after in zip(old.outputs, new.outputs, strict=True):
            name, after.shape, after.type = before.name, before.shape, before.type
            ir.convenience.replace_all_uses_with(before, after, replace_graph_outputs=True)
            before.name, after.name = None, name
        self._graph.remove(old, safe=True)

    def _op(
        self, op: str, inputs: list[ir.Value], output: str, attributes: dict[str, int] | None = None
    ) -> ir.Node:
        node = ir.node(op, inputs, attributes, name=self._names.fresh(f"{output}_{op}"))
        node.outputs[0].name = self._names.fresh(output)
        return node

    def _initializer(self, wish: str, array: Array) -> ir.Value:
        return new_constant(self._graph, self._names.fresh(wish), array)


def _array(node: ir.Node, index: int) -> Array:
    value = node.inputs[index]
    assert value is not None
    assert value.const_value is not None
    return value.const_value.numpy()
