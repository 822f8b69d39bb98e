"""Gather the facts of a model, in the words of the contract."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import onnx_ir as ir

from winnow.contract.model import Layer, LookupTable, ModelFacts, ResidualBlock, TensorSpec
from worker.compression.graph.blocks.find import is_too_large, residual_blocks
from worker.compression.graph.facts.batch_axis import Axes, batch_axes
from worker.compression.graph.facts.cost import layers_of_shaped, macs_of_shaped, parameters
from worker.compression.graph.nodes.weights import dtype_name, gathers_integer_rows
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.graph.shapes.shapes import with_shapes
from worker.compression.graph.tables.find import find_tables

QUANTIZED: Final = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "ConvInteger",
        "MatMulInteger",
        "QGemm",
        "QAttention",
        "QMoE",
        "QEmbedLayerNormalization",
        "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM",
        "MatMulIntegerToFloat",
        "MatMulInteger16",
        "MatMulNBits",
        "MatMulBnb4",
        "MatMulFpQ4",
        "GatherBlockQuantized",
    }
)
MAX_VALUES: Final = 5_000
MAX_VALUE_CHARACTERS: Final = 500_000
MAX_BLOCK_LAYERS: Final = 20_000
"""Names of layers in all blocks together: around each other they may have the same ones again and again."""
QUANTIZED_FAMILIES: Final = ("QLinear", "QOrdered", "MatMulNBits", "MatMulBlockQuantized")


def facts(model: ir.Model) -> ModelFacts:
    """Gather the facts of a normalised model. MACs are those of one sample, null where a shape is open."""
    shaped, axes = with_shapes(model), batch_axes(model)
    return ModelFacts(
        opset=opset_of(model),
        inputs=inputs_of(model),
        outputs=[spec(value, axes) for value in model.graph.outputs],
        parameters=parameters(model),
        macs=macs_of_shaped(shaped),
        quantized=is_quantized(model),
        operators=operators(model),
        layers=[
            Layer(name=x.name, op=x.op, weight=x.weight, macs=x.macs, table=x.table)
            for x in layers_of_shaped(shaped)
        ],
        values=_values(model),
        blocks=_blocks(model),
        tables=_tables(model),
    )


def _blocks(model: ir.Model) -> list[ResidualBlock] | None:
    if is_too_large(model):
        return None
    found = residual_blocks(model)
    names = sum(len(each.layers) for each in found.blocks) + sum(len(each.layers) for each in found.pinned)
    if names > MAX_BLOCK_LAYERS:
        return None
    blocks = [ResidualBlock(name=each.name, layers=list(each.layers), pinned=None) for each in found.blocks]
    pinned = [
        ResidualBlock(name=each.name, layers=list(each.layers), pinned=each.reason) for each in found.pinned
    ]
    return [*blocks, *pinned]


def _tables(model: ir.Model) -> list[LookupTable]:
    return [
        LookupTable(
            name=each.name,
            rows=each.shape[0],
            ids=each.ids,
            inputs=list(each.inputs),
            pinned=each.pinned,
        )
        for each in find_tables(model)
        if each.inputs
    ]


def _values(model: ir.Model) -> list[str] | None:
    """List what `features` of a distillation can name: inputs, and outputs of the graph's own nodes."""
    values = [*model.graph.inputs, *(value for node in model.graph for value in node.outputs)]
    names = [value.name for value in values if value.name]
    return names if len(names) <= MAX_VALUES and sum(map(len, names)) <= MAX_VALUE_CHARACTERS else None


def inputs_of(model: ir.Model) -> list[TensorSpec]:
    """Describe the inputs of a normalised model: what data has to fit."""
    axes = batch_axes(model)
    return [spec(value, axes) for value in model.graph.inputs]


def is_quantized(model: ir.Model) -> bool:
    """Whether any node computes on, or converts to or from, integers that stand for reals."""
    return next(quantized_nodes(model), None) is not None


def quantized_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Yield the nodes that do, subgraphs included; a Gather of rows that get their scales behind is one of them."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        known = node.op_type in QUANTIZED or node.op_type.startswith(QUANTIZED_FAMILIES)
        if known or gathers_integer_rows(node):
            yield node


def operators(model: ir.Model) -> dict[str, int]:
    """Count operators, most frequent first, subgraphs included; other domains than ONNX's are named."""
    names = (_operator(node) for node in ir.traversal.RecursiveGraphIterator(model.graph))
    return dict(Counter(names).most_common())


def _operator(node: ir.Node) -> str:
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def spec(value: ir.Value, axes: Axes) -> TensorSpec:
    """Describe a value. dtype is numpy's name; `sequence`, `optional` and the like for what is no tensor."""
    dims = [] if value.shape is None else [d if isinstance(d, int) else d.value for d in value.shape]
    name = value.name or ""
    return TensorSpec(
        name=name, dtype=_dtype(value), shape=dims, batch_axis=axes.get(name, 0 if dims else None)
    )


def _dtype(value: ir.Value) -> str:
    if isinstance(value.type, ir.TensorType):
        return dtype_name(value.type.dtype)
    return "unknown" if value.type is None else type(value.type).__name__.removesuffix("Type").lower()
