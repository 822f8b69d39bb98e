"""Embedding tables in int8 with a scale for each row; the rows that are gathered become floats again.

    Gather(table, i)  →  Cast(Gather(integers, i)) · Gather(scales, i)      integers int8 [rows, n], scales [rows, 1]

Behind a DequantizeLinear of the table, as others write it, ONNX Runtime computes every row on every run (MiniLM's
table of 30522 words: the whole model 0.74 times as fast); in front of it there is nothing to fold, and three small
nodes work on what was gathered (1.00 times). Nothing is multiplied in integers, so all targets take ±127. A product
that reads the table by rows too (`Gemm` with transB) reads the same integers.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

import onnx_ir as ir

from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import tensor_of
from worker.compression.quantization.integer.integer_ops_writer import IntegerWriter
from worker.compression.quantization.weights.eligibility import gathers_rows
from worker.compression.steps.decisions import LayerDecision
from worker.compression.steps.eligibility import why_ineligible

MIN_TABLE_NUMBERS: Final = 1 << 16
"""A table of so many is worth three more nodes: it saves 192 KiB."""


def select_embeddings(
    edit: GraphEdit, products: Collection[ir.Node] = (), float_reasons: Mapping[str, str] | None = None
) -> list[LayerDecision]:
    """Decide about every Gather with a float32 table [rows, n], those of branches and bodies too.

    A table that other nodes read as floats too stays; `products` are those that read integers. `float_reasons` says by
    name why a Gather stays float, besides the excluded ones.
    """
    float_reasons = float_reasons or {}
    layers = [
        LayerDecision(node, _why_ineligible(edit, node) or float_reasons.get(str(node.name)))
        for node in edit.nodes()
        if node.op_type == "Gather" and node.domain in ("", "ai.onnx") and _table(node) is not None
    ]
    taken = {*products, *(layer.node for layer in layers if layer.reason is None)}
    return [
        LayerDecision(
            layer.node, layer.reason or (None if _read_by(layer.node, taken) else "others read it as floats")
        )
        for layer in layers
    ]


def quantize_embeddings(writer: IntegerWriter, layers: Iterable[LayerDecision]) -> None:
    """Write the tables of those that have no reason to stay float as integers."""
    for layer in layers:
        if layer.reason is None:
            writer.write_table(layer.node)


def _table(node: ir.Node) -> ir.Value | None:
    value = node.inputs[0]
    stored = None if value is None else value.const_value
    is_matrix = stored is not None and stored.dtype == ir.DataType.FLOAT and len(stored.shape) == 2
    return value if is_matrix else None


def _why_ineligible(edit: GraphEdit, node: ir.Node) -> str | None:
    def rule() -> str | None:
        assert table is not None
        if not gathers_rows(node, table):
            return "it does not gather whole rows of a matrix"
        return "its table is small" if tensor_of(table).size < MIN_TABLE_NUMBERS else None

    table = _table(node)
    return why_ineligible(node, [table], edit.exclude, rule=rule)


def _read_by(node: ir.Node, taken: Collection[ir.Node]) -> bool:
    """Whether nothing else reads the node's table."""
    table = _table(node)
    assert table is not None
    return not table.is_graph_output() and all(use.node in taken for use in table.uses())
