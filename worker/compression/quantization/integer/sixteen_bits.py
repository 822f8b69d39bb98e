"""Activations of 16 bits for single nodes of a graph with Q/DQ pairs: what they read and give becomes uint16.

    value ─ Q16 ─ DQ16 ─┬─ nodes in 16 bits, and in float
                        └─ Q8 ─ DQ8 ─ nodes in 8 bits          where a node in 16 bits gives the value
    value ─ Q8 ─ DQ8 ─ Q16 ─ DQ16 ─ node in 16 bits            where a node in 8 bits gives it
    value ─ Q16 ─ DQ16 ─ node in 16 bits                       where it is an input of the model, or computed in float

The range is that of 8 bits: scale16 = scale8 / 257, zero point16 = 257 · zero point8. Biases keep to the unit of
activation scale · weight scale, where int32 holds them. QuantizeLinear takes uint16 from opset 21 on.
"""

from collections.abc import Collection
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.edit import GraphEdit, insert_behind
from worker.compression.ir.values import array_of, input_at, required_input

FACTOR: Final = 257
"""65535 / 255."""
OPSET: Final = 21


class _Widening:
    def __init__(self, edit: GraphEdit, wide: Collection[str], quantized: Collection[str]) -> None:
        self._edit, self._wide, self._quantized = edit, wide, quantized
        self._widened: dict[ir.Node, ir.Value] = {}

    def outputs(self, node: ir.Node) -> None:
        """16 bits right behind the node: floats read them, and what has 8 bits goes on from there."""
        value = node.outputs[0]
        narrow = next((use.node for use in value.uses() if _is_narrow(use.node)), None)
        if narrow is None:
            return
        wide = self._pair(value, narrow)
        narrow.replace_input_with(0, wide)
        for read in [use.node for use in narrow.outputs[0].uses()]:
            for use in list(read.outputs[0].uses()):
                if use.node.name in self._wide or use.node.name not in self._quantized:
                    use.node.replace_input_with(use.idx, wide)

    def inputs(self, node: ir.Node) -> None:
        """What has 8 bits goes from there to 16; what is a float goes right to them."""
        for index, value in enumerate(node.inputs):
            dequantize = None if value is None else value.producer()
            if value is None or dequantize is None or dequantize.op_type != "DequantizeLinear":
                continue
            narrow = required_input(dequantize, 0).producer()
            if narrow is None or not _is_narrow(narrow):
                continue
            if narrow not in self._widened:
                before = required_input(narrow, 0)
                maker = before.producer()
                is_float = maker is None or maker.name not in self._quantized
                self._widened[narrow] = self._pair(before if is_float else value, narrow)
            node.replace_input_with(index, self._widened[narrow])

    def _pair(self, value: ir.Value, narrow: ir.Node) -> ir.Value:
        """Quantize a value in the range of another quantization, and back."""
        name = f"{value.name}_16_bits"
        scale = self._edit.new_constant(f"{name}_scale", array_of(narrow.inputs[1]) / np.float32(FACTOR))
        zero = array_of(narrow.inputs[2]).astype(np.uint16) * np.uint16(FACTOR)
        point = self._edit.new_constant(f"{name}_zero_point", zero)
        quantize = self._edit.new_node("QuantizeLinear", [value, scale, point], f"{name}_quantized")
        dequantize = self._edit.new_node(
            "DequantizeLinear", [quantize.outputs[0], scale, point], f"{name}_dequantized"
        )
        quantize.outputs[0].shape, quantize.outputs[0].dtype = value.shape, ir.DataType.UINT16
        dequantize.outputs[0].shape, dequantize.outputs[0].dtype = value.shape, ir.DataType.FLOAT
        insert_behind(self._edit.graph, value, [quantize, dequantize])
        return dequantize.outputs[0]

    def bias(self, node: ir.Node) -> None:
        """In the unit of the new scale, where that fits."""
        value = input_at(node, 2) if node.op_type in ("Conv", "Gemm") else None
        dequantize = None if value is None else value.producer()
        if dequantize is None or len(dequantize.outputs[0].uses()) > 1:
            return
        stored = array_of(dequantize.inputs[0]).astype(np.int64) * FACTOR
        if np.abs(stored).max(initial=0) < np.iinfo(np.int32).max:
            name = required_input(dequantize, 0).name
            scales = array_of(dequantize.inputs[1]) / np.float32(FACTOR)
            dequantize.replace_input_with(0, self._edit.new_constant(f"{name}_16", stored.astype(np.int32)))
            dequantize.replace_input_with(1, self._edit.new_constant(f"{name}_16_scale", scales))


def _is_narrow(node: ir.Node) -> bool:
    return node.op_type == "QuantizeLinear" and array_of(node.inputs[2]).dtype == np.uint8


def widen(edit: GraphEdit, wide: Collection[str], quantized: Collection[str]) -> None:
    """Let the nodes named `wide` read and give 16 bits; `quantized` names all that have 8, these included. The
    model has opset 21 or later."""
    nodes = [node for node in edit.graph if node.name in wide]
    widening = _Widening(edit, wide, quantized)
    for node in nodes:
        widening.outputs(node)
    for node in nodes:
        widening.inputs(node)
        widening.bias(node)
