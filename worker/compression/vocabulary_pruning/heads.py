"""Output heads with a logit for each row of a table: they shrink with it, and logits go back to their old places.

h ─ MatMul(Wᵀ [width, rows]) ─ Add(bias) ─ logits                                        before
h ─ MatMul([width, stay]) ─ Add ─ short logits                                           "short"
  ─ Gather(row → place, axis -1) ─ Where(stays [rows], ·, lowest finite) ─ logits        "full"
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.opset.conversion import opset_of
from worker.compression.graph.tables.find import Table, find_tables, rows_axis, transposed
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.operator_sets import MATMULS
from worker.compression.ir.values import array_of, input_at, is_constant, required_input, tensor_of

ELEMENTWISE: Final = frozenset({"Add", "Sub", "Mul", "Div"})
NORMALISES: Final = frozenset({"Softmax", "LogSoftmax"})
LAST_AXIS_BY_DEFAULT: Final = 13
"""The opset from which on a softmax goes along the last axis by itself."""


@dataclass(frozen=True)
class Head:
    """A product with a logit for each row: `tied` reads the table itself. `chain`: what adds and multiplies constants
    behind it, up to the `logits` [..., rows]."""

    product: ir.Node
    tied: bool
    chain: tuple[ir.Node, ...]
    logits: ir.Value


def find_heads(model: ir.Model, table: Table) -> list[Head]:
    """List the products that have an output for each row of the table: those that read it, those with a copy of it as
    their weight, and those that make a row of logits for each looked up number and hand it to an output. A copy of
    another table too is of neither, and the last are of none where another one that is looked up has as many rows."""
    alike = [each for each in find_tables(model) if each.inputs and each.shape[0] == table.shape[0]]
    others = [each for each in alike if each.weight is not table.weight]
    tied = {node for each in (table, *others) for node in each.products}
    heads = [_head(node, table, tied=True) for node in table.products]
    for node in model.graph:
        if node.op_type in MATMULS and node not in tied and _has_rows(node, table.shape[0]):
            head = _head(node, table, tied=False)
            copied = _is_copy(node, table) and not any(_is_copy(node, other) for other in others)
            if copied or (not others and _answers_each(model, head, table)):
                heads.append(head)
    return heads


def cut_head(edit: GraphEdit, head: Head, stays: Array) -> None:
    """Leave the logits of the rows that stay, bool [rows], in place; the table of a `tied` one is cut elsewhere."""
    rows = len(stays)
    if not head.tied:
        _cut(edit, head.product, 1, stays, rows_axis(head.product))
    elif (turn := transposed(head.product)) is not None:
        turn.outputs[0].shape = None
    for node in (head.product, *head.chain):
        for place, value in enumerate(node.inputs):
            is_weight = node is head.product and place < 2
            if not is_weight and is_constant(value) and tensor_of(value).shape[-1:] == ir.Shape([rows])[-1:]:
                _cut(edit, node, place, stays, -1)
        _shorten(node.outputs[0], int(np.count_nonzero(stays)))


def shorten_outputs(model: ir.Model, head: Head, count: int) -> None:
    """Say in the shapes of what short logits become how many there are."""
    for value in passed_on(model, head.logits)[0]:
        _shorten(value, count)


def put_back(edit: GraphEdit, head: Head, stays: ir.Value, places: ir.Value, lowest: ir.Value) -> None:
    """Put short logits to their old places, `lowest` where there is none. `places`: int32 [rows], of each row among
    those that stay; `stays` bool [rows]."""
    short, producer = head.logits, head.logits.producer()
    assert producer is not None
    place = edit.new_node("Gather", [short, places], f"{short.name}_placed", {"axis": -1})
    fill = edit.new_node("Where", [stays, place.outputs[0], lowest], f"{short.name}_filled")
    full = fill.outputs[0]
    full.type, name = short.type, short.name
    if short.shape is not None:
        full.shape = ir.Shape([*short.shape[:-1], *(stays.shape or ())])
    edit.graph.insert_after(producer, [place, fill])
    ir.convenience.replace_all_uses_with(short, full, replace_graph_outputs=True)
    place.replace_input_with(0, short)
    short.name = edit.fresh_name(f"{name}_short")
    full.name = name


def passed_on(model: ir.Model, logits: ir.Value) -> tuple[list[ir.Value], ir.Node | None]:
    """List what logits become by themselves or by a softmax, they included, each behind what it is made of, and the
    first node that does anything else with them, None where there is none."""
    values, others = [logits], list[ir.Node]()
    for value in values:
        for use in value.uses():
            if _goes_along_last_axis(use.node, opset_of(model)):
                values.append(use.node.outputs[0])
            else:
                others.append(use.node)
    return values, next(iter(others), None)


def _head(product: ir.Node, table: Table, *, tied: bool) -> Head:
    chain = tuple(_chain(product, table.shape[0]))
    return Head(product, tied, chain, (chain[-1] if chain else product).outputs[0])


def _chain(node: ir.Node, rows: int) -> Iterator[ir.Node]:
    """The nodes behind a product that add or multiply constants, of one number or one for each row."""
    while True:
        value = node.outputs[0]
        uses = list(value.uses())
        if len(uses) != 1 or value.is_graph_output() or uses[0].node.op_type not in ELEMENTWISE:
            return
        node = uses[0].node
        other = node.inputs[1 - uses[0].idx]
        if not is_constant(other) or not _is_by_row(other, rows) or node.graph is not value.graph:
            return
        yield node


def _is_by_row(constant: ir.Value | None, rows: int) -> bool:
    """Whether it has one number for all, or one for each row along its last axis."""
    tensor = tensor_of(constant)
    return tensor.size == 1 or (tensor.size == rows and tensor.shape[-1] == rows)


def adds_computed(product: ir.Node, rows: int) -> bool:
    """Whether a product adds what is no constant of one number for each row: such a head cannot shrink."""
    bias = input_at(product, 2)
    return bias is not None and not (is_constant(bias) and _is_by_row(bias, rows))


def _has_rows(node: ir.Node, rows: int) -> bool:
    weight = node.inputs[1]
    if weight is None or not is_constant(weight) or weight.is_graph_output():
        return False
    stored = tensor_of(weight)
    is_matrix = len(stored.shape) == 2 and stored.dtype == ir.DataType.FLOAT
    return is_matrix and stored.shape[rows_axis(node)] == rows and not adds_computed(node, rows)


def _is_copy(node: ir.Node, table: Table) -> bool:
    weight = array_of(node.inputs[1])
    return np.array_equal(weight if rows_axis(node) == 0 else weight.T, array_of(table.weight))


def _answers_each(model: ir.Model, head: Head, table: Table) -> bool:
    """Whether it makes logits [..., rows] for each number [...] of an input, and these are an output."""
    becomes, _ = passed_on(model, head.logits)
    logits = head.product.outputs[0].shape
    ranks = {len(v.shape) for v in model.graph.inputs if v.name in table.inputs and v.shape is not None}
    return (
        any(value.is_graph_output() for value in becomes) and logits is not None and len(logits) - 1 in ranks
    )


def _shorten(logits: ir.Value, count: int) -> None:
    if logits.shape is not None:
        logits.shape = ir.Shape([*logits.shape[:-1], count])


def _goes_along_last_axis(node: ir.Node, opset: int) -> bool:
    """Whether it treats each logit alone, or all of a place together."""
    if node.op_type in ("Identity", "Cast"):
        return True
    if node.op_type in ELEMENTWISE:
        return sum(is_constant(value) and tensor_of(value).size == 1 for value in node.inputs) == 1
    if node.op_type not in NORMALISES:
        return False
    axis = node.attributes.get_int("axis", -1 if opset >= LAST_AXIS_BY_DEFAULT else 1)
    shape = required_input(node, 0).shape
    return axis == -1 or (shape is not None and axis == len(shape) - 1)


def _cut(edit: GraphEdit, node: ir.Node, place: int, stays: Array, axis: int) -> None:
    """Leave what stays along an axis of a constant; others that read it go on reading all of it."""
    value = required_input(node, place)
    short = np.compress(stays, array_of(value), axis=axis)
    node.replace_input_with(place, edit.new_constant(f"{value.name}_short", short))
