"""Puts weights of few bits into a graph, in the form that ONNX Runtime runs where there is one.

    MatMul, Gemm   MatMulNBits (com.microsoft), which multiplies the bytes as they are; a bias is added behind it
    Gather         GatherBlockQuantized (com.microsoft)
    Conv           codes ─ DequantizeLinear in blocks ─ Reshape ─ Conv

Where there is no such type (3 bits, and 2 for Conv) the file holds planes, and `Expansion` brings them to pairs of 4
bits or to bytes: constants, which ONNX Runtime computes when it loads the model.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from winnow.contract.forecast.nbits import saves_as_planes, stored_block, width
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import registered, remove_constant
from worker.compression.ir.mapped_tensors import MappedTensors
from worker.compression.ir.naming import Names
from worker.compression.ir.values import graph_of, input_at, tensor_of
from worker.compression.quantization.weights.bit_unpacking import Expansion
from worker.compression.quantization.weights.block_affine import Fitted, Grid
from worker.compression.weight_storage.bit_layout import pack_bits, pairs_to_planes

MICROSOFT: Final = "com.microsoft"
INT8_ARITHMETIC: Final = 4
"""MatMulNBits' accuracy_level: activations become int8 block by block. Without it 8 and 2 bits are slow."""


@dataclass(frozen=True)
class Quantized:
    """codes uint8 [rows, in] with what they mean."""

    codes: Array
    fitted: Fitted
    grid: Grid


class NBitsWriter:
    """Writes into one model; large tensors go through `spill`."""

    def __init__(self, model: ir.Model, spill: MappedTensors) -> None:
        self._model, self._spill, self._names = model, spill, Names(model)
        self._shared: dict[bytes, ir.Value] = {}

    def write(self, nodes: list[ir.Node], weight: ir.Value, layer: Quantized) -> tuple[str, int]:
        """Let the nodes, in order, read the layer's codes in place of its weight. Returns the operator and the
        bytes stored."""
        before = set(self._model.graph.initializers)
        match nodes[0].op_type:
            case _ if len({node.op_type == "Gather" for node in nodes}) > 1:
                stored_as = self._tied(nodes, weight, layer)
            case "Conv":
                stored_as = self._convolution(nodes, weight, layer)
            case "Gather":
                stored_as = self._gather(nodes[0], weight, layer)
            case _:
                stored_as = self._products(nodes, weight, layer)
        if not weight.uses() and weight.is_initializer():
            remove_constant(weight)
        new = [v.const_value for n, v in self._model.graph.initializers.items() if n not in before]
        return stored_as, sum(tensor.nbytes for tensor in new if tensor is not None)

    def _products(self, nodes: list[ir.Node], weight: ir.Value, layer: Quantized) -> str:
        rows, inner = layer.codes.shape
        stored = _in_blocks(layer, stored_block(inner, layer.fitted.block, layer.grid.bits))
        expansion = Expansion(self._small, self._names)
        constants = [
            self._codes(expansion, weight, layer, stored.codes.reshape(rows, -1, stored.block)),
            self._constant(f"{weight.name}_scale", stored.scale),
            self._zero_points(expansion, weight, layer.grid, stored.zero),
        ]
        attributes = {
            "K": inner,
            "N": rows,
            "bits": width(layer.grid.bits),
            "block_size": stored.block,
            "accuracy_level": INT8_ARITHMETIC,
        }
        self._insert(nodes, expansion.nodes)
        for node in nodes:
            self._product(node, constants, attributes)
        return "MatMulNBits" + expansion.report_suffix

    def _product(self, node: ir.Node, constants: list[ir.Value | None], attributes: dict[str, int]) -> None:
        product = self._operator("MatMulNBits", [node.inputs[0], *constants], attributes, node)
        bias = input_at(node, 2)
        last = product if bias is None else ir.node("Add", [product.outputs[0], bias])
        if bias is not None:
            product.outputs[0].name = self._names.fresh(f"{node.outputs[0].name}_product")
            last.name = self._names.fresh(f"{node.name}_bias")
        self._replace(node, list(dict.fromkeys((product, last))))

    def _gather(self, node: ir.Node, weight: ir.Value, layer: Quantized) -> str:
        inner = layer.codes.shape[1]
        stored = _in_blocks(layer, stored_block(inner, layer.fitted.block, layer.grid.bits), pad=False)
        expansion = Expansion(self._small, self._names)
        inputs = [
            self._codes(expansion, weight, layer, stored.codes),
            node.inputs[1],
            self._constant(f"{weight.name}_scale", stored.scale),
            self._zero_points(expansion, weight, layer.grid, stored.zero),
        ]
        attributes = {
            "gather_axis": 0,
            "quantize_axis": 1,
            "bits": width(layer.grid.bits),
            "block_size": stored.block,
        }
        gather = self._operator("GatherBlockQuantized", inputs, attributes, node)
        self._replace(node, [*expansion.nodes, gather])
        return "GatherBlockQuantized" + expansion.report_suffix

    def _tied(self, nodes: list[ir.Node], weight: ir.Value, layer: Quantized) -> str:
        """A table that products read too: the bytes of its rows, of whole blocks, are those of a MatMulNBits."""
        rows, inner = layer.codes.shape
        stored = _in_blocks(layer, stored_block(inner, layer.fitted.block, layer.grid.bits))
        expansion, bits = Expansion(self._small, self._names), width(layer.grid.bits)
        codes = self._codes(expansion, weight, layer, stored.codes)
        scale = self._constant(f"{weight.name}_scale", stored.scale)
        zeros = self._zero_points(expansion, weight, layer.grid, stored.zero)
        blocks = expansion.reshaped(codes, (rows, inner // stored.block, stored.block * bits // 8))
        sizes = {"bits": bits, "block_size": stored.block}
        self._insert(nodes, expansion.nodes)
        for node in nodes:
            if node.op_type == "Gather":
                table = [codes, node.inputs[1], scale, zeros]
                kind = {"gather_axis": 0, "quantize_axis": 1} | sizes
                self._replace(node, [self._operator("GatherBlockQuantized", table, kind, node)])
            else:
                kind = {"K": inner, "N": rows} | sizes | {"accuracy_level": INT8_ARITHMETIC}
                self._product(node, [blocks, scale, zeros], kind)
        return "GatherBlockQuantized and MatMulNBits" + expansion.report_suffix

    def _convolution(self, nodes: list[ir.Node], weight: ir.Value, layer: Quantized) -> str:
        expansion, grid, fitted = Expansion(self._small, self._names), layer.grid, layer.fitted
        dtype = None if grid.bits == 8 else ir.DataType.UINT4
        zero = fitted.zero.astype(np.uint8)
        if not in_planes(layer):
            codes = self._constant(f"{weight.name}_quantized", layer.codes, dtype)
            zeros = self._constant(f"{weight.name}_zero_point", zero, dtype)
        else:
            codes = expansion.codes(self._planes(weight, layer.codes, grid), grid.bits, layer.codes.shape)
            zeros = (
                expansion.filled(grid.middle, zero.shape)
                if grid.symmetric
                else self._constant(f"{weight.name}_zero_point", zero)
            )
        scale = self._constant(f"{weight.name}_scale", fitted.scale)
        dequantized = expansion.node(
            "DequantizeLinear", [codes, scale, zeros], {"axis": 1, "block_size": fitted.block}
        )
        shape = ir.Shape(weight.shape) if weight.shape is not None else None
        restored = expansion.reshaped(dequantized, tensor_of(weight).shape.numpy())
        restored.shape, restored.dtype = shape, ir.DataType.FLOAT
        for node in nodes:
            node.replace_input_with(1, restored)
        self._insert(nodes, expansion.nodes)
        return "DequantizeLinear" + expansion.report_suffix

    def _codes(self, expansion: Expansion, weight: ir.Value, layer: Quantized, codes: Array) -> ir.Value:
        """Bytes as MatMulNBits and GatherBlockQuantized read them, packed along the last axis."""
        bits = width(layer.grid.bits)
        if bits == layer.grid.bits or not in_planes(layer):
            return self._constant(f"{weight.name}_quantized", pack_bits(codes, bits))
        shape = (*codes.shape[:-1], codes.shape[-1] // 2)
        return expansion.pairs(self._planes(weight, codes, layer.grid), layer.grid.bits, shape)

    def _planes(self, weight: ir.Value, codes: Array, grid: Grid) -> ir.Value:
        return self._constant(
            f"{weight.name}_planes", pairs_to_planes(pack_bits(codes.reshape(-1), 4), grid.bits)
        )

    def _zero_points(
        self, expansion: Expansion, weight: ir.Value, grid: Grid, zero: Array
    ) -> ir.Value | None:
        """None where the operator's own default, the middle of its range, is meant."""
        bits = width(grid.bits)
        if grid.symmetric and grid.bits == bits:
            return None
        stored = pack_bits(zero.astype(np.uint8), bits)
        if grid.symmetric:
            return expansion.filled(grid.middle * 0x11, stored.shape)
        return self._constant(f"{weight.name}_zero_point", stored)

    def _operator(
        self, kind: str, inputs: list[ir.Value | None], attributes: dict[str, int], node: ir.Node
    ) -> ir.Node:
        while inputs[-1] is None:
            inputs.pop()
        self._model.opset_imports.setdefault(MICROSOFT, 1)
        return ir.node(kind, inputs, attributes, domain=MICROSOFT, name=node.name)

    def _replace(self, node: ir.Node, nodes: list[ir.Node]) -> None:
        """The last of the nodes answers what the node did, under its name."""
        old, new = node.outputs[0], nodes[-1].outputs[0]
        new.name, new.shape, new.type = old.name, old.shape, old.type
        graph = graph_of(node)
        graph.insert_before(node, nodes)
        old.replace_all_uses_with(new, replace_graph_outputs=True)
        graph.remove(node, safe=True)

    def _insert(self, readers: list[ir.Node], nodes: list[ir.Node]) -> None:
        """Insert what computes constants for all readers: before the first, where no subgraph has to see it."""
        graph = self._model.graph
        before = readers[0] if readers[0].graph is graph else graph[0]
        graph.insert_before(before, nodes)

    def _small(self, name: str, array: Array) -> ir.Value:
        """One constant for all layers."""
        key = str((array.dtype, array.shape)).encode() + array.tobytes()
        if key not in self._shared:
            self._shared[key] = self._constant(name, array)
        return self._shared[key]

    def _constant(self, name: str, array: Array, dtype: ir.DataType | None = None) -> ir.Value:
        return registered(self._model.graph, self._spill.append(self._names.fresh(name), array, dtype))


@dataclass(frozen=True)
class _Stored:
    codes: Array
    scale: Array
    zero: Array
    block: int


def in_planes(layer: Quantized) -> bool:
    """Whether the file gets smaller where no type has so few bits."""
    return saves_as_planes(layer.codes.size, layer.grid.bits)


def _in_blocks(layer: Quantized, block: int, *, pad: bool = True) -> _Stored:
    """The layer with scales for each `block` inputs, which divides its own; codes padded where asked to full blocks."""
    inner = layer.codes.shape[1]
    of = np.arange(-(-inner // block)) * block // layer.fitted.block
    codes = np.pad(layer.codes, ((0, 0), (0, -inner % block))) if pad else layer.codes
    return _Stored(codes, np.ascontiguousarray(layer.fitted.scale[:, of]), layer.fitted.zero[:, of], block)
