"""What depends on what in a graph: sets of nodes as bits of an integer, node i of the order of the graph is bit i."""

from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_

import onnx_ir as ir


class Reach:
    """Nodes behind and in front of values. Nodes that read a value inside of a subgraph count as readers."""

    def __init__(self, graph: ir.Graph) -> None:
        self.nodes = list(graph)
        self._index = {node: index for index, node in enumerate(self.nodes)}
        self._readers: dict[ir.Value, int] = {}
        for index, node in enumerate(self.nodes):
            for value in _read(node):
                self._readers[value] = self._readers.get(value, 0) | 1 << index
        self._behind = [0] * len(self.nodes)
        for index in reversed(range(len(self.nodes))):
            self._behind[index] = 1 << index | self._all_behind(self.nodes[index].outputs)
        self._before = [0] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            self._before[index] = 1 << index | self._all_before(_read(node))

    def readers(self, value: ir.Value) -> int:
        """The nodes that read the value."""
        return self._readers.get(value, 0)

    def behind(self, value: ir.Value) -> int:
        """The nodes that depend on the value."""
        return reduce(or_, (self._behind[index] for index in ones(self.readers(value))), 0)

    def before(self, value: ir.Value) -> int:
        """The nodes that the value depends on; none for inputs and constants."""
        producer = value.producer()
        index = None if producer is None else self._index.get(producer)
        return 0 if index is None else self._before[index]

    def between(self, entry: ir.Value, exit_: ir.Value) -> int:
        """The nodes on a way from one value to the other, the one that makes the other included."""
        return self.behind(entry) & self.before(exit_)

    def of(self, bits: int) -> list[ir.Node]:
        """The nodes of a set, in the order of the graph."""
        return [self.nodes[index] for index in ones(bits)]

    def _all_behind(self, values: Iterable[ir.Value]) -> int:
        return reduce(or_, map(self.behind, values), 0)

    def _all_before(self, values: Iterable[ir.Value]) -> int:
        return reduce(or_, map(self.before, values), 0)


def ones(bits: int) -> Iterator[int]:
    """Yield the places of the ones, from the lowest."""
    while bits:
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """Yield what the node reads, in its subgraphs too."""
    yield from (value for value in node.inputs if value is not None)
    for attribute in node.attributes.values():
        graphs = (
            [attribute.as_graph()]
            if attribute.type == ir.AttributeType.GRAPH
            else attribute.as_graphs()
            if attribute.type == ir.AttributeType.GRAPHS
            else []
        )
        for graph in graphs:
            for inner in ir.traversal.RecursiveGraphIterator(graph):
                yield from (value for value in inner.inputs if value is not None)
            yield from graph.outputs
