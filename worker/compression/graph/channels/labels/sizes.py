"""Follow numbers that a graph computes from shapes, entry by entry: which are known, which channels they count.

Exporters write x[:, : C // 2] as Shape → Gather → Div → Slice where other dimensions are open. An axis with labels
comes from a weight, so its size is known, and so is what follows from it and from constants.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.labels.node_view import Labelled, constant
from worker.compression.graph.nodes.known_shapes import slice_of_shape

MAX_ENTRIES: Final = 64
ARITHMETIC: Final[dict[str, Callable[[int, int], int]]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": lambda a, b: int(a / b) if b else 0,
}
PASSES_ON: Final = ("Identity", "Cast", "Squeeze", "Unsqueeze", "Reshape")


@dataclass(frozen=True)
class Entry:
    """One number, None if it is open, and the axes whose sizes it was computed from."""

    number: int | None
    counts: tuple[Vector, ...] = ()


Entries = list[Entry]


def computed_entries(node: ir.Node, known: Mapping[ir.Value, Entries], x: Labelled | None) -> Entries | None:
    """Return the entries of the node's result; None where it is no arithmetic on shapes."""
    if node.op_type == "Shape" and x is not None:
        pairs = x.pairs()[slice_of_shape(node)]
        return [Entry(None) if v is None else Entry(size, (v,)) for v, size in pairs]
    if not any(value in known for value in node.inputs if value is not None):
        return None
    inputs = [_entries(node, index, known) for index in range(len(node.inputs))]
    if node.op_type in PASSES_ON:
        return inputs[0]
    if node.op_type == "Concat":
        return None if None in inputs else [entry for part in inputs if part is not None for entry in part]
    if node.op_type in ("Gather", "Slice") and inputs[0] is not None:
        return _chosen(node, inputs[0])
    if node.op_type in ARITHMETIC and inputs[0] is not None and inputs[1] is not None:
        return _combined(ARITHMETIC[node.op_type], inputs[0], inputs[1])
    return None


def _entries(node: ir.Node, index: int, known: Mapping[ir.Value, Entries]) -> Entries | None:
    value, array = node.inputs[index], constant(node, index)
    if value is not None and value in known:
        return known[value]
    if array is None or array.size > MAX_ENTRIES or array.dtype.kind != "i":
        return None
    return [Entry(int(number)) for number in array.reshape(-1)]


def _chosen(node: ir.Node, entries: Entries) -> Entries | None:
    arguments = [constant(node, index) for index in range(1, len(node.inputs))]
    if any(array is None or array.size > MAX_ENTRIES for array in arguments):
        return None
    numbers = [array.reshape(-1).tolist() for array in arguments if array is not None]
    if node.op_type == "Gather":
        return [entries[index] for index in numbers[0]]
    if len(numbers) < 2 or len(numbers[0]) != 1:
        return None
    return entries[numbers[0][0] : numbers[1][0] : numbers[3][0] if len(numbers) > 3 else 1]


def _combined(compute: Callable[[int, int], int], first: Entries, second: Entries) -> Entries | None:
    length = max(len(first), len(second))
    if len(first) not in (1, length) or len(second) not in (1, length):
        return None
    pairs = zip(first * (length // len(first)), second * (length // len(second)), strict=True)
    return [
        Entry(
            None if a.number is None or b.number is None else compute(a.number, b.number),
            (*a.counts, *b.counts),
        )
        for a, b in pairs
    ]
