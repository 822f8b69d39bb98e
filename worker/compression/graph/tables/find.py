"""Finds embedding tables on the graph, what reads them, and the inputs of the model whose numbers are looked up.

input ─ Cast ─ Reshape ─ Clip ─ … ─ Gather(table [rows, width])      words: numbers of an input are passed on
Shape / CumSum / constants ─ … ─ Gather(table)                       positions: numbers are computed
Transpose(table) ─ MatMul,  Gemm(transB) with the table              a head that is tied to it
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.operator_sets import MATMULS
from worker.compression.ir.values import array_of, is_constant, tensor_of

ONNX: Final = ("", "ai.onnx")
PASSED_ON: Final[dict[str, tuple[int, ...] | None]] = {
    **dict.fromkeys(("Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Flatten"), (0,)),
    **dict.fromkeys(("Expand", "Tile", "Slice", "Split", "Pad", "Clip", "GatherElements", "GatherND"), (0,)),
    **dict.fromkeys(("Max", "Min", "Concat", "Add", "Sub", "Mod"), None),
    "Where": (1, 2),
}
"""Operators whose output has numbers of these inputs, None for all: moved, bounded, or shifted by so much."""
COMPUTES: Final = frozenset({"Add", "Sub", "Mul", "Mod"})
"""Of these what changes a number."""


@dataclass(frozen=True)
class Table:
    """A float32 constant [rows, width]: `gathers` take rows of it, `products` multiply by it with an output for each
    row. `inputs` are those of the model whose numbers are looked up, none of positions that are computed.
    `read_otherwise`: why its rows cannot change, as a clause."""

    weight: ir.Value
    gathers: tuple[ir.Node, ...]
    products: tuple[ir.Node, ...]
    inputs: tuple[str, ...]
    read_otherwise: str | None

    @property
    def name(self) -> str:
        return str(self.weight.name)

    @property
    def shape(self) -> tuple[int, int]:
        rows, width = tensor_of(self.weight).shape.numpy()
        return int(rows), int(width)

    @property
    def readers(self) -> tuple[ir.Node, ...]:
        """All that takes rows of it or multiplies by it."""
        return self.gathers + self.products

    @property
    def pinned(self) -> str | None:
        """Why no row of it can go, as a clause; None where rows can."""
        if self.read_otherwise is None and any(not looked_up(node) for node in self.gathers):
            return "numbers that no input has are looked up in it too"
        return self.read_otherwise

    @property
    def ids(self) -> int:
        """How many ids there are: as many as rows, or those of an earlier remapping."""
        return self.shape[0] if self.remapping is None else len(array_of(self.remapping))

    @cached_property
    def remapping(self) -> ir.Value | None:
        """The constant [ids] that says the row of each id, where a vocabulary was pruned before."""
        maps = {_map_before(node) for node in self.gathers}
        return maps.pop() if len(maps) == 1 else None


def find_tables(model: ir.Model) -> list[Table]:
    """List the tables of the main graph, in the order in which they are first read."""
    weights = dict.fromkeys(
        node.inputs[0] for node in model.graph if _gathers_rows(node) and node.inputs[0] is not None
    )
    return [_table(model, weight) for weight in weights]


def looked_up(gather: ir.Node) -> tuple[str, ...]:
    """Name the model's inputs whose numbers this node looks up, in the order in which they are met."""
    return tuple(str(value.name) for value in _path(gather) if value.is_graph_input())


def are_as_fed(gather: ir.Node) -> bool:
    """Whether the numbers that this node looks up, or that an earlier remapping does, are as they are fed: moved and
    bounded, not computed with."""
    return not any(
        (producer := value.producer()) is not None and producer.op_type in COMPUTES for value in _path(gather)
    )


def _path(gather: ir.Node) -> Iterator[ir.Value]:
    """The values whose numbers this node looks up, back to the model's inputs."""
    seen, waiting = set[ir.Value](), [gather.inputs[1]]
    while waiting:
        value = waiting.pop(0)
        if value is None or value in seen:
            continue
        seen.add(value)
        yield value
        if (producer := value.producer()) is not None and not value.is_graph_input():
            waiting.extend(_passed_on(producer))


def rows_axis(product: ir.Node) -> int:
    """Which axis of a product's second input counts its outputs."""
    is_turned = product.op_type == "Gemm" and product.attributes.get_int("transB", 0) == 1
    return 0 if is_turned else 1


def transposed(product: ir.Node) -> ir.Node | None:
    """The Transpose that a product reads its weight through, None where it reads a constant."""
    return None if product.inputs[1] is None else product.inputs[1].producer()


def _table(model: ir.Model, weight: ir.Value) -> Table:
    gathers: list[ir.Node] = []
    products: list[ir.Node] = []
    otherwise = "it is an output of the model" if weight.is_graph_output() else None
    for use in weight.uses():
        through = list(_products(use.node, use.idx))
        if use.node.graph is not model.graph:
            otherwise = otherwise or f"{use.node.op_type} {use.node.name!r} reads it in a branch or a loop"
        elif use.idx == 0 and _gathers_rows(use.node):
            gathers.append(use.node)
        elif through:
            products.extend(through)
        else:
            otherwise = otherwise or f"{use.node.op_type} {use.node.name!r} reads all of it"
    inputs = tuple(dict.fromkeys(name for node in gathers for name in looked_up(node)))
    return Table(weight, tuple(gathers), tuple(products), inputs, otherwise)


def _gathers_rows(node: ir.Node) -> bool:
    """Whether it takes whole rows of a float32 matrix of constants."""
    if node.op_type != "Gather" or node.domain not in ONNX or not is_constant(node.inputs[0]):
        return False
    tensor = tensor_of(node.inputs[0])
    is_matrix = len(tensor.shape) == 2 and tensor.dtype == ir.DataType.FLOAT and tensor.size > 0
    return is_matrix and node.attributes.get_int("axis", 0) == 0


def _products(node: ir.Node, place: int) -> Iterator[ir.Node]:
    """The products with an output for each row that a reader of the table is, or hands it to; none where it is read
    in another way."""
    if node.domain in ONNX and node.op_type == "Gemm" and place == 1 and rows_axis(node) == 0:
        yield node
    if node.op_type != "Transpose" or list(node.attributes.get_ints("perm", [1, 0])) != [1, 0]:
        return
    turned = node.outputs[0]
    uses = list(turned.uses())
    plain = all(
        use.idx == 1
        and use.node.op_type in MATMULS
        and rows_axis(use.node) == 1
        and use.node.graph is node.graph
        for use in uses
    )
    if plain and not turned.is_graph_output():
        yield from (use.node for use in uses)


def _passed_on(node: ir.Node) -> Iterator[ir.Value | None]:
    """The inputs whose numbers a node passes on. Of a Gather those it takes, or those that a constant maps."""
    if node.domain not in ONNX:
        return
    if node.op_type == "Gather":
        yield node.inputs[1] if is_constant(node.inputs[0]) else node.inputs[0]
    elif node.op_type == "Mul":
        if any(map(is_constant, node.inputs)):
            yield from node.inputs
    elif node.op_type in PASSED_ON:
        places = PASSED_ON[node.op_type]
        yield from node.inputs if places is None else (node.inputs[place] for place in places)


def _map_before(gather: ir.Node) -> ir.Value | None:
    index = gather.inputs[1]
    producer = None if index is None else index.producer()
    if producer is None or producer.op_type != "Gather" or not is_constant(producer.inputs[0]):
        return None
    tensor = tensor_of(producer.inputs[0])
    is_map = len(tensor.shape) == 1 and tensor.dtype in (ir.DataType.INT32, ir.DataType.INT64)
    return producer.inputs[0] if is_map else None


def earlier_map(table: Table) -> Array | None:
    """Read the row of each id, int [ids]; None where an id is its row."""
    return None if table.remapping is None else array_of(table.remapping)
