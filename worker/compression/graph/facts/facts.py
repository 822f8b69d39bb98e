"""Gather the facts of a model, in the words of the contract."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

import onnx_ir as ir

from winnow.contract.model import Layer, LookupTable, ModelFacts, ResidualBlock, TensorSpec
from worker.compression.graph.blocks.find import Blocks, is_too_large, residual_blocks
from worker.compression.graph.facts.batch_axis import Axes, batch_axes
from worker.compression.graph.facts.checked import kept_graph
from worker.compression.graph.facts.cost import layers_of_shaped, macs_of_shaped, parameters
from worker.compression.graph.facts.values import operator_name, type_name, values_of
from worker.compression.graph.nodes.weights import gathers_integer_rows
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
MAX_BLOCK_LAYERS: Final = 20_000
"""Names of layers in all blocks together: around each other they may have the same ones again and again."""
QUANTIZED_FAMILIES: Final = ("QLinear", "QOrdered", "MatMulNBits", "MatMulBlockQuantized")


def facts(model: ir.Model) -> ModelFacts:
    """Gather the facts of a normalised model. MACs are those of one sample, null where a shape is open."""
    shaped = with_shapes(model)
    return ModelFacts(
        opset=opset_of(model),
        inputs=inputs_of(model),
        outputs=outputs_of(model),
        parameters=parameters(model),
        macs=macs_of_shaped(shaped),
        quantized=is_quantized(model),
        operators=operators(model),
        layers=[
            Layer(name=x.name, op=x.op, weight=x.weight, macs=x.macs, table=x.table)
            for x in layers_of_shaped(shaped)
        ],
        **values_of(model, shaped),
        blocks=_blocks(model),
        tables=_tables(model),
        graph=kept_graph(model),
    )


def _blocks(model: ir.Model) -> list[ResidualBlock] | None:
    if is_too_large(model):
        return None
    blocks = described_blocks(residual_blocks(model))
    return blocks if sum(len(block.layers) for block in blocks) <= MAX_BLOCK_LAYERS else None


def described_blocks(blocks: Blocks) -> list[ResidualBlock]:
    """Describe them in the words of the contract, those that can go first."""
    free = [
        ResidualBlock(name=each.name, layers=list(each.layers), pinned=None, attends=each.attends)
        for each in blocks.blocks
    ]
    pinned = [
        ResidualBlock(name=each.name, layers=list(each.layers), pinned=each.reason) for each in blocks.pinned
    ]
    return [*free, *pinned]


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


def inputs_of(model: ir.Model) -> list[TensorSpec]:
    """Describe the inputs of a normalised model: what data has to fit."""
    axes = batch_axes(model)
    return [spec(value, axes) for value in model.graph.inputs]


def outputs_of(model: ir.Model) -> list[TensorSpec]:
    """Describe the outputs of a normalised model."""
    axes = batch_axes(model)
    return [spec(value, axes) for value in model.graph.outputs]


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
    names = (operator_name(node) for node in ir.traversal.RecursiveGraphIterator(model.graph))
    return dict(Counter(names).most_common())


def spec(value: ir.Value, axes: Axes) -> TensorSpec:
    """Describe a value that the model takes or answers."""
    dims = [] if value.shape is None else [d if isinstance(d, int) else d.value for d in value.shape]
    name = value.name or ""
    return TensorSpec(
        name=name, dtype=type_name(value), shape=dims, batch_axis=axes.get(name, 0 if dims else None)
    )
