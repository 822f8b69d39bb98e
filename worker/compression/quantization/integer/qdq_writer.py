"""Puts QuantizeLinear/DequantizeLinear pairs into a graph.

    value ─ Q ─ DQ ─ consumers          uint8, one scale
    int8 initializer ─ DQ ─ node        one scale per output channel, or one where the target takes no more;
                                        uint8 around 128 where it takes no int8
    int32 initializer ─ DQ ─ node       a bias, in units of activation scale · weight scale
    Q ─ Pad ─ DQ                        padding with zeros is padding with the zero point: no kernel has to be fused
    Relu ─ float MaxPool ─ Relu ─ Q     the second changes nothing: it keeps ONNX Runtime from moving Q before the pool,
                                        whose kernel for bytes in plain layout is 20 times as slow as that for floats

This is the form that ONNX Runtime fuses into integer kernels, and that a quantization-aware trainer reads.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.affine import (
    Range,
    for_all_channels,
    quantized_bias,
    quantized_weight,
    scales_for_bias,
    weight_scales,
)
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit, insert_behind
from worker.compression.ir.values import graph_of, input_at, pads_zeros, required_input
from worker.compression.quantization.integer.eligibility import Selection, weight_axis
from worker.compression.quantization.integer.hardware import FOUR_BITS_LIMIT, Target

PLAIN: Final = Target(exact=True)
"""A CPU."""


class QdqWriter:
    """Writes into one model. Values and weights used by several nodes are quantized once."""

    def __init__(
        self,
        edit: GraphEdit,
        weight_limit: int,
        limits: Mapping[str, int] | None = None,
        target: Target = PLAIN,
    ) -> None:
        """`limits` are those of single layers, by name; weights within `FOUR_BITS_LIMIT` are stored in four."""
        self._target = target
        self._edit, self._graph, self._limit = edit, edit.graph, weight_limit
        self._limits = limits or {}
        self._affine: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
        self._stored: dict[tuple[ir.Value, tuple[int, int, bool, bool, bytes]], list[ir.Value]] = {}
        self._written: dict[tuple[ir.Value, ir.Graph], ir.Value] = {}
        self.rows: dict[ir.Value, tuple[ir.Value, ir.Value]] = {}
        """int8 [rows, n] and scales [rows], of float weights [rows, n] that are products' transposed ones."""

    def write(self, selection: Selection, ranges: dict[str, Range]) -> None:
        """Quantize what is selected, with these ranges of activations by the names of their sources."""
        for value in selection.values:
            self._affine[value] = self._parameters(value, selection, ranges)
        for node in selection.weighted:
            self._write_weights(node)
        for value in selection.values:
            self._write_activation(value, selection)
        values = set(selection.values)
        for node in [n for n in self._edit.nodes() if n in selection.nodes and n.outputs[0] in values]:
            if pads_zeros(node):
                self._pad_integers(node)

    def _parameters(
        self, value: ir.Value, selection: Selection, ranges: dict[str, Range]
    ) -> tuple[ir.Value, ir.Value]:
        source = selection.source(value)
        if source in self._affine:
            return self._affine[source]
        lies = ranges[str(source.name)]
        signs = self._target.signs
        scale, zero_point = lies.affine(signed=signs == "signed" or (signs == "by_range" and lies.low < 0))
        self._affine[source] = (
            self._edit.new_constant(f"{source.name}_scale", scale),
            self._edit.new_constant(f"{source.name}_zero_point", zero_point),
        )
        return self._affine[source]

    def _write_activation(self, value: ir.Value, selection: Selection) -> None:
        uses = [
            use for use in value.uses() if value.producer() in selection.nodes or use.node in selection.nodes
        ]
        scale, zero_point = self._affine[value]
        guard = self._guard(value, selection)
        quantize = self._edit.new_node(
            "QuantizeLinear",
            [guard.outputs[0] if guard else value, scale, zero_point],
            f"{value.name}_quantized",
        )
        quantize.outputs[0].shape, quantize.outputs[0].type = value.shape, zero_point.type
        insert_behind(self._graph, value, [*([guard] if guard else []), quantize])
        home = graph_of(quantize)
        is_output = value.is_graph_output() and value.producer() in selection.nodes
        graphs = dict.fromkeys([home, *(graph_of(use.node) for use in uses)])
        for graph in graphs:
            own = [use for use in uses if use.node.graph is graph]
            if own or (graph is home and is_output):
                dequantized = self._dequantized(value, quantize, graph)
                for use in own:
                    use.node.replace_input_with(use.idx, dequantized)
                if graph is home and is_output:
                    self._take_output(value, dequantized, graph)

    def _dequantized(self, value: ir.Value, quantize: ir.Node, graph: ir.Graph) -> ir.Value:
        """What a graph reads in place of the value: kernels for integers are found within one graph alone."""
        node = self._edit.new_node(
            "DequantizeLinear", [quantize.outputs[0], *quantize.inputs[1:]], f"{value.name}_dequantized"
        )
        node.outputs[0].shape, node.outputs[0].dtype = value.shape, ir.DataType.FLOAT
        if quantize.graph is graph:
            graph.insert_after(quantize, node)
        else:
            graph.insert_before(graph[0], node)
        return node.outputs[0]

    def _guard(self, value: ir.Value, selection: Selection) -> ir.Node | None:
        """Make what keeps a quantization behind the float pool of a Relu."""
        pool = value.producer()
        if pool is None or pool.op_type != "MaxPool" or pool in selection.nodes:
            return None
        if (before := required_input(pool, 0).producer()) is None or before.op_type != "Relu":
            return None
        guard = self._edit.new_node("Relu", [value], f"{value.name}_again")
        guard.outputs[0].shape, guard.outputs[0].dtype = value.shape, ir.DataType.FLOAT
        return guard

    def _take_output(self, value: ir.Value, dequantized: ir.Value, graph: ir.Graph) -> None:
        """The graph's output keeps its name, and is now what the dequantization gives."""
        name = value.name
        value.name = self._edit.fresh_name(f"{name}_float")
        dequantized.name = name
        dequantized.type, dequantized.shape = value.type, value.shape
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = dequantized

    def _write_weights(self, node: ir.Node) -> None:
        weight, axis = _constant(node, 1), weight_axis(node)
        assert weight is not None
        assert axis is not None
        limit = self._target.limit_of(node.op_type, self._limits.get(str(node.name), self._limit))
        by_channel = self._target.takes_channels(node.op_type, axis)
        scales = self._scales(node, weight, axis, limit)
        self._write_bias(node, scales, by_channel=by_channel)
        four_bits = limit <= FOUR_BITS_LIMIT
        unsigned = node.op_type in self._target.unsigned_weights and not four_bits
        source, key = required_input(node, 1), (axis, limit, by_channel, unsigned, scales.tobytes())
        along = axis if by_channel else None
        if (source, key) not in self._stored:
            stored = (ir.DataType.INT4 if four_bits else ir.DataType.INT8).numpy()
            integers = quantized_weight(weight, scales, axis, limit).astype(stored)
            self._stored[source, key] = self._store(node, 1, integers, scales, along, unsigned=unsigned)
        inputs, graph = self._stored[source, key], graph_of(node)
        if (inputs[0], graph) not in self._written:
            self._written[inputs[0], graph] = self._write_weight(node, inputs, along)
        node.replace_input_with(1, self._written[inputs[0], graph])
        if node.op_type == "Gemm" and axis == 0 and not four_bits and self._target.tables:
            self.rows[source] = inputs[0], inputs[1]

    def _scales(self, node: ir.Node, weight: Array, axis: int, limit: int) -> Array:
        """One for each output channel, all the same where the target takes one alone.

        Wide enough for the bias, also for a float one: ONNX Runtime makes an integer of it, too, when it loads the
        model.
        """
        scales = weight_scales(weight, axis, limit)
        if (bias := _constant(node, 2)) is not None:
            scales = scales_for_bias(scales, bias.reshape(-1), self._activation_scale(node))
        return scales if self._target.takes_channels(node.op_type, axis) else for_all_channels(scales)

    def _write_bias(self, node: ir.Node, scales: Array, *, by_channel: bool) -> None:
        bias = _constant(node, 2)
        if bias is None or self._target.float_bias:
            return
        units, along = scales * self._activation_scale(node), 0 if by_channel else None
        stored = self._store(node, 2, quantized_bias(bias.reshape(-1), units), units, along)
        node.replace_input_with(2, self._write_weight(node, stored, along))

    def _activation_scale(self, node: ir.Node) -> Array:
        """Of what the layer multiplies."""
        scale = self._affine[required_input(node, 0)][0].const_value
        assert scale is not None
        return scale.numpy()

    def _store(
        self,
        node: ir.Node,
        index: int,
        integers: Array,
        scales: Array,
        axis: int | None,
        *,
        unsigned: bool = False,
    ) -> list[ir.Value]:
        """Integers, scales and zero points, called after the node's input; without an axis all scales are the same."""
        name = required_input(node, index).name
        scales = scales if axis is not None else scales.reshape(-1)[0]
        zero_points = np.zeros(scales.shape, integers.dtype)
        if unsigned:
            integers, zero_points = (
                (part.astype(np.int16) + 128).astype(np.uint8) for part in (integers, zero_points)
            )
        return [
            self._edit.new_constant(f"{name}_quantized", integers),
            self._edit.new_constant(f"{name}_scale", scales.astype(np.float32)),
            self._edit.new_constant(f"{name}_zero_point", zero_points),
        ]

    def _write_weight(self, node: ir.Node, stored: list[ir.Value], axis: int | None) -> ir.Value:
        """What the node is to read in place of its input."""
        name, along = str(stored[0].name).removesuffix("_quantized"), {} if axis is None else {"axis": axis}
        dequantize = self._edit.new_node("DequantizeLinear", stored, f"{name}_dequantized", along)
        dequantize.outputs[0].shape, dequantize.outputs[0].dtype = stored[0].shape, ir.DataType.FLOAT
        graph_of(node).insert_before(node, dequantize)
        return dequantize.outputs[0]

    def _pad_integers(self, node: ir.Node) -> None:
        """DQ ─ Pad ─ Q, of one scale, becomes Pad on the integers."""
        dequantize = required_input(node, 0).producer()
        (quantize,) = (use.node for use in node.outputs[0].uses())
        assert dequantize is not None
        integers, padded = dequantize.inputs[0], quantize.outputs[0]
        pad = ir.Node(
            "",
            "Pad",
            [integers, node.inputs[1], dequantize.inputs[2], *node.inputs[3:]],
            node.attributes.values(),
        )
        pad.outputs[0].shape, pad.outputs[0].type = padded.shape, padded.type
        graph = graph_of(node)
        graph.insert_before(node, pad)
        ir.convenience.replace_all_uses_with(padded, pad.outputs[0])
        name, value = node.name, padded.name
        graph.remove([quantize, node], safe=True)
        pad.name, pad.outputs[0].name = name, value


def _constant(node: ir.Node, index: int) -> Array | None:
    value = input_at(node, index)
    return value.const_value.numpy() if value is not None and value.const_value is not None else None
