"""What depends on what in a graph: sets of nodes as bits of an integer, node i of the order of the graph is bit i."""

from collections.abc import Iterable, Iterator
from functools import reduce
from heapq import heappop, heappush
from operator import or_

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from worker.compression.ir.values import subgraphs_of


class Reach:
    """Nodes behind and in front of values. Nodes that read a value inside of a subgraph count as readers.

    Takes n² / 5 bytes for n nodes.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.nodes = list(graph)
        self._index = {node: index for index, node in enumerate(self.nodes)}
        self._readers: dict[ir.Value, set[int]] = {}
        for index, node in enumerate(self.nodes):
            for value in _read(node):
                self._readers.setdefault(value, set()).add(index)
        self._behind = [0] * len(self.nodes)
        for index in reversed(range(len(self.nodes))):
            self._behind[index] = 1 << index | _together(map(self.behind, self.nodes[index].outputs))
        self._before = [0] * len(self.nodes)
        for index, node in enumerate(self.nodes):
            self._before[index] = 1 << index | _together(map(self.before, _read(node)))

    def set_of(self, nodes: Iterable[ir.Node]) -> int:
        """Those of the nodes that are in the graph itself."""
        return _together(1 << index for node in nodes if (index := self._index.get(node)) is not None)

    def of(self, bits: int) -> list[ir.Node]:
        """The nodes of a set, in the order of the graph."""
        return [self.nodes[index] for index in ones(bits)]

    def first(self, bits: int, most: int) -> list[ir.Node]:
        """The first nodes of a set."""
        return [self.nodes[index] for index in ones(bits)[:most]]

    def last(self, bits: int, most: int) -> list[ir.Node]:
        """The last nodes of a set, from the last one."""
        return [self.nodes[index] for index in ones(bits)[::-1][:most]]

    def readers(self, value: ir.Value) -> int:
        """The nodes that read the value."""
        return _together(1 << index for index in self._readers.get(value, ()))

    def behind(self, value: ir.Value) -> int:
        """The nodes that depend on the value."""
        return _together(self._behind[index] for index in self._readers.get(value, ()))

    def before(self, value: ir.Value) -> int:
        """The nodes that the value depends on; none for inputs and constants."""
        index = self._maker(value)
        return 0 if index is None else self._before[index]

    def between(self, entry: ir.Value, exit_: ir.Value) -> int:
        """The nodes on a way from one value to the other, the one that makes the other included."""
        return self.behind(entry) & self.before(exit_)

    def left_over(self, entry: ir.Value, exit_: ir.Value) -> int:
        """The nodes that nobody needs any more once the entry is read where the exit was."""
        left, seen = set[int](), set[int]()
        waiting = list[int]()  # negative: a node comes behind all that read it
        made: Iterable[ir.Value] = (exit_,)
        while True:
            for value in made:
                index = self._maker(value)
                if index is not None and index not in seen:
                    seen.add(index)
                    heappush(waiting, -index)
            if not waiting:
                return _together(1 << index for index in left)
            node = self.nodes[index := -heappop(waiting)]
            unread = all(value is exit_ or self._is_unread(value, entry, left) for value in node.outputs)
            left |= {index} if unread else set()
            made = _read(node) if unread else ()

    def _is_unread(self, value: ir.Value, entry: ir.Value, going: set[int]) -> bool:
        stays = value is entry or value.is_graph_output()
        return not stays and self._readers.get(value, set()) <= going

    def _maker(self, value: ir.Value) -> int | None:
        producer = value.producer()
        return None if producer is None else self._index.get(producer)


def ones(bits: int) -> npt.NDArray[np.intp]:
    """Find the places of the ones, from the lowest."""
    content = np.frombuffer(bits.to_bytes(bits.bit_length() // 8 + 1, "little"), np.uint8)
    return np.flatnonzero(np.unpackbits(content, bitorder="little"))


def _together(sets: Iterable[int]) -> int:
    return reduce(or_, sets, 0)


def _read(node: ir.Node) -> Iterator[ir.Value]:
    """Yield what the node reads, in its subgraphs too."""
    yield from (value for value in node.inputs if value is not None)
    for graph in subgraphs_of(node):
        for inner in ir.traversal.RecursiveGraphIterator(graph):
            yield from (value for value in inner.inputs if value is not None)
        yield from graph.outputs
