"""Writes integer matrix products with activations quantized on the fly, and tables in int8, for one model."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from worker.compression.ir.affine import quantized_weight, weight_scales
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit, insert_behind
from worker.compression.ir.mapped_tensors import release
from worker.compression.ir.values import array_of, input_at, required_input
from worker.compression.quantization.integer.hardware import FULL_LIMIT

MICROSOFT = "com.microsoft"
LSTM_INPUTS = 8
"""X, W, R, B, sequence_lens, initial_h, initial_c, P; the quantized form adds scales and zero points."""


class IntegerWriter:
    """What several nodes read, activation, weight or table, is quantized once; every layer keeps its node's name."""

    def __init__(
        self,
        edit: GraphEdit,
        weight_limit: int,
        stored: Mapping[ir.Value, tuple[ir.Value, ir.Value]] | None = None,
    ) -> None:
        """`stored`: integers [rows, n] and scales [rows] of weights that were quantized before."""
        self._edit, self._graph, self._limit = edit, edit.graph, weight_limit
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
        product = self._edit.new_node("MatMulInteger", [x, integers, x_zero, zeros], f"{name}_int32")
        as_float = self._edit.new_node(
            "Cast", [product.outputs[0]], f"{name}_unscaled", {"to": ir.DataType.FLOAT.value}
        )
        scale = self._edit.new_node("Mul", [x_scale, scales], f"{name}_scale")
        scaled = self._edit.new_node("Mul", [as_float.outputs[0], scale.outputs[0]], f"{name}_scaled")
        nodes = [product, as_float, scale, scaled]
        bias = input_at(node, 2)
        if bias is not None:
            nodes.append(self._edit.new_node("Add", [scaled.outputs[0], bias], f"{name}_biased"))
        self._edit.replace_node(node, nodes)

    def _write_lstm(self, node: ir.Node) -> None:
        """W [directions, 4·hidden, in] and R likewise; both lie transposed in the quantized form."""
        inputs = list(node.inputs) + [None] * (LSTM_INPUTS - len(node.inputs))
        extra: list[ir.Value | None] = []
        for index in (1, 2):
            wish = str(node.inputs[index].name)  # type: ignore[union-attr]
            weight = array_of(node.inputs[index]).transpose(0, 2, 1)
            scales = np.stack([weight_scales(part, 1, self._limit) for part in weight])
            parts = zip(weight, scales, strict=True)
            integers = np.stack([quantized_weight(part, own, 1, self._limit) for part, own in parts])
            inputs[index] = self._edit.new_constant(f"{wish}_quantized", integers)
            extra.append(self._edit.new_constant(f"{wish}_scale", scales))
            extra.append(self._edit.new_constant(f"{wish}_zero_point", np.zeros(scales.shape, np.int8)))
        attributes = {k: a for k, a in node.attributes.items() if k != "layout"}
        self._edit.model.opset_imports.setdefault(MICROSOFT, 1)
        quantized = ir.Node(
            MICROSOFT,
            "DynamicQuantizeLSTM",
            [*inputs, *extra],
            attributes.values(),
            num_outputs=len(node.outputs),
        )
        self._edit.replace_node(node, [quantized])

    def write_table(self, node: ir.Node) -> None:
        """Gather of the rows of a float32 table [rows, n], from int8 ones of which each has a scale.

        A table has all 8 bits, but what a product is to read too is in the range of products.
        """
        (table, indices), name = node.inputs, str(node.name)
        assert table is not None
        if table not in self._stored:
            alone = all(use.node.op_type == "Gather" for use in table.uses())
            limit = FULL_LIMIT if alone else self._limit
            self._stored[table] = self._quantize(str(table.name), array_of(table), 0, limit)
            release(table)
        integers, scales = self._stored[table]
        if table not in self._row_scales:
            by_row = array_of(scales)[:, None]
            self._row_scales[table] = self._edit.new_constant(f"{table.name}_row_scale", by_row)
        rows = self._edit.new_node("Gather", [integers, indices], f"{name}_integers")
        as_float = self._edit.new_node(
            "Cast", [rows.outputs[0]], f"{name}_unscaled", {"to": ir.DataType.FLOAT.value}
        )
        scale = self._edit.new_node("Gather", [self._row_scales[table], indices], f"{name}_scale")
        scaled = self._edit.new_node("Mul", [as_float.outputs[0], scale.outputs[0]], f"{name}_scaled")
        self._edit.replace_node(node, [rows, as_float, scale, scaled])

    def _activation(self, value: ir.Value, reader: ir.Node) -> list[ir.Value]:
        """Integers, scale and zero point of a value."""
        if value not in self._quantized:
            name = self._edit.fresh_name(f"{value.name}_quantized")
            node = ir.Node("", "DynamicQuantizeLinear", [value], num_outputs=3, name=name)
            for output, part in zip(node.outputs, ("integers", "scale", "zero_point"), strict=True):
                output.name = self._edit.fresh_name(f"{value.name}_{part}")
            insert_behind(self._graph, value, node)
            self._quantized[value] = list(node.outputs)
        return self._quantized[value]

    def _weight(self, node: ir.Node, transposed: bool) -> list[ir.Value]:
        """Integers [in, out], scales and zero points [out] of a product's weight; a table's are turned for it."""
        weight = required_input(node, 1)
        key = weight, transposed
        if key not in self._weights:
            if transposed and weight in self._stored:
                stored, scales = self._stored[weight]
                turned = self._edit.new_node("Transpose", [stored], f"{stored.name}_turned")
                self._graph.insert_before(node if node.graph is self._graph else self._graph[0], turned)
                integers = turned.outputs[0]
            else:
                array = array_of(node.inputs[1]).T if transposed else array_of(node.inputs[1])
                integers, scales = self._quantize(str(weight.name), array, 1, self._limit)
                release(weight)
            zeros = np.zeros_like(array_of(scales), np.int8)
            zero_points = self._edit.new_constant(f"{weight.name}_zero_point", zeros)
            self._weights[key] = [integers, scales, zero_points]
        return self._weights[key]

    def _quantize(self, name: str, array: Array, axis: int, limit: int) -> tuple[ir.Value, ir.Value]:
        """Integers and the scales of an axis."""
        scales = weight_scales(array, axis, limit)
        integers = self._edit.new_constant(f"{name}_quantized", quantized_weight(array, scales, axis, limit))
        return integers, self._edit.new_constant(f"{name}_scale", scales)
