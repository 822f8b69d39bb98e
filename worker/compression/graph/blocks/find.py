"""Find residual blocks by the graph alone.

A *join* is an Add of two computed values. Where one of them, the entry x, is an ancestor of the other, y = x + f(x) is
a residual block, and x in the place of y leaves f out. Where the stream is normalised or activated behind each join
(x = norm(join)), as in BERT and ResNet, the block takes the same tail with it, so that norms do not follow each other:
what lies between the join before and the entry is what has to lie between this join and the exit.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Final

import onnx_ir as ir

from winnow.contract.model import HOLDS_OTHERS
from worker.compression.graph.blocks.alike import may_be_alike, same_shape
from worker.compression.graph.blocks.reach import Reach, ones
from worker.compression.graph.nodes.weights import layers
from worker.compression.ir.values import is_constant

MAX_TAIL: Final = 24
"""Nodes between a join and the next reading of the stream: a layer normalisation of an old exporter has twelve."""
RESIZES: Final = frozenset(
    {
        *("MaxPool", "AveragePool", "LpPool", "Resize", "Upsample", "DepthToSpace", "SpaceToDepth"),
        *("Pad", "Slice", "Concat", "Gather", "Tile", "Expand"),
    }
)
"""Operators that change sizes, also where none is known that would tell."""
ATTENTION: Final = frozenset({"Softmax", "Attention", "MultiHeadAttention", "GroupQueryAttention"})
"""Operators of which one is in every attention."""
MAX_NODES: Final = 30_000
"""Of a graph in which blocks are looked for, which takes memory that grows with the square: 0.2 GB for so many."""


@dataclass(frozen=True)
class Block:
    """`entry` takes the place of `exit`. `name` is that of the join, `layers` the names of the layers that go: those in
    between, and those that make what only these read, as the keys and values of what a decoder looks at. `attends`:
    attention is among the nodes between."""

    name: str
    entry: str
    exit: str
    layers: tuple[str, ...]
    attends: bool = False


@dataclass(frozen=True)
class PinnedBlock:
    """A block that stays: `reason` is a clause."""

    name: str
    layers: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class Blocks:
    """In the order of the graph."""

    blocks: Sequence[Block]
    pinned: Sequence[PinnedBlock]


@dataclass(frozen=True)
class _Found:
    """A residual join, with where its block ends, and the nodes between."""

    join: ir.Node
    entry: ir.Value
    exit: ir.Value
    inside: int


def residual_blocks(model: ir.Model) -> Blocks:
    """List the blocks of the model's graph; those within subgraphs are not looked at.

    A block without a layer of weights is none (an activation may well add its input). Give it no graph that
    `is_too_large`.
    """
    return _Finder(model).blocks()


def is_too_large(model: ir.Model) -> bool:
    """Whether its graph has too many nodes to follow what depends on what."""
    return len(model.graph) > MAX_NODES


class _Finder:
    def __init__(self, model: ir.Model) -> None:
        all_layers = [node for node, _ in layers(model)]
        self._reach = Reach(model.graph)
        self._layers, self._count = self._reach.set_of(all_layers), len(all_layers)
        self._joins = self._reach.set_of(filter(_is_join, self._reach.nodes))
        self._changing = self._layers | self._reach.set_of(
            node for node in self._reach.nodes if node.op_type in RESIZES
        )
        self._attention = self._reach.set_of(n for n in self._reach.nodes if n.op_type in ATTENTION)
        self._entries = defaultdict[ir.Node, list[ir.Value]](list)
        """By the nodes that make them, which are `_makers`."""
        self._makers = 0

    def blocks(self) -> Blocks:
        found, pinned = list[_Found](), list[PinnedBlock]()
        entries = {join: self._entry(join) for join in self._reach.of(self._joins)}
        for value in entries.values():
            if value is not None and (maker := value.producer()) is not None:
                self._entries[maker].append(value)
        self._makers = self._reach.set_of(self._entries)
        for join, entry in entries.items():
            if entry is None:
                pinned += self._two_ways(join)
                continue
            exit_ = self._exit(join, entry)
            inside = self._reach.between(entry, exit_)
            if inside & self._layers and may_be_alike(entry, exit_):
                found.append(_Found(join, entry, exit_, inside))
        blocks, others = list[Block](), _Others(found)
        for each in found:
            block = self._freed(each, others)
            if isinstance(block, Block):
                blocks.append(block)
            else:
                pinned.append(block)
        return Blocks(blocks, pinned)

    def _entry(self, join: ir.Node) -> ir.Value | None:
        """The operand that the other one depends on."""
        first, second = (value for value in join.inputs if value is not None)
        for value, other in ((first, second), (second, first)):
            if self._reach.between(value, other):
                return value
        return None

    def _exit(self, join: ir.Node, entry: ir.Value) -> ir.Value:
        """Behind the join what lies in front of the entry; what leads to the next entry where nothing does."""
        out = join.outputs[0]
        tail = self._tail_before(entry)
        alike = None if tail is None else self._behind(out, tail)
        return alike or self._next_entry(join) or self._behind_like(out, entry.producer()) or out

    def _next_entry(self, join: ir.Node) -> ir.Value | None:
        out = join.outputs[0]
        if join in self._entries:
            return out
        makers = self._reach.first(self._reach.behind(out) & self._makers, MAX_TAIL)
        near = (
            value for node in makers for value in self._entries[node] if self._tail(out, value) is not None
        )
        return min(near, key=lambda value: self._reach.before(value).bit_count(), default=None)

    def _behind_like(self, out: ir.Value, made_entry: ir.Node | None) -> ir.Value | None:
        """The value behind the operator that also made the entry: of a network with one block only."""
        readers = self._reach.of(self._reach.readers(out))
        if made_entry is None or [node.op_type for node in readers] != [made_entry.op_type]:
            return None
        behind = readers[0].outputs[0]
        return None if self._tail(out, behind) is None else behind

    def _tail_before(self, entry: ir.Value) -> Counter[str] | None:
        """The operators between the last join before the entry and the entry; None where no join leads to it so."""
        joins = self._reach.last(self._reach.before(entry) & self._joins, MAX_TAIL)
        tails = (self._tail(join.outputs[0], entry) for join in joins)
        return next((tail for tail in tails if tail is not None), None)

    def _behind(self, out: ir.Value, tail: Counter[str]) -> ir.Value | None:
        """The value behind these operators."""
        nodes = self._reach.first(self._reach.behind(out), 2 * MAX_TAIL)
        candidates = (out, *(value for node in nodes for value in node.outputs))
        return next((value for value in candidates if self._tail(out, value) == tail), None)

    def _tail(self, out: ir.Value, value: ir.Value) -> Counter[str] | None:
        """The operators from a join to a value of the stream; None where that is more than a norm or an activation,
        where the join is read otherwise too, or the shape changes."""
        if value is out:
            return Counter()
        inside, readers = self._reach.between(out, value), self._reach.readers(out)
        plain = 0 < inside.bit_count() <= MAX_TAIL and not inside & (self._changing | readers & self._joins)
        only = not readers & ~inside and not out.is_graph_output()
        if not plain or not only or not same_shape(out, value):
            return None
        return Counter(f"{node.domain}.{node.op_type}" for node in self._reach.of(inside))

    def _two_ways(self, join: ir.Node) -> list[PinnedBlock]:
        """An Add of two ways from one value, with layers on one of them at least."""
        first, second = (self._reach.before(value) for value in join.inputs if value is not None)
        own = [way & ~other & self._layers for way, other in ((first, second), (second, first))]
        if not any(own) or not first & second:
            return []
        reason = "has layers of its own" if all(own) else "is changed on its way"
        return [PinnedBlock(str(join.name), self._names(own[0] | own[1]), f"its shortcut {reason}")]

    def _freed(self, each: _Found, others: "_Others") -> Block | PinnedBlock:
        """The block that can go, with all that goes with it, or why it cannot."""
        if not same_shape(each.entry, each.exit):
            return self._pinned(each, "its shape is not known")
        if others.in_(each, each.inside):
            return self._pinned(each, HOLDS_OTHERS)
        left = self._reach.left_over(each.entry, each.exit)
        if others.in_(each, each.inside | left):
            return self._pinned(each, "other blocks are there for it alone")
        going = (each.inside | left) & self._layers
        if going.bit_count() == self._count:
            return self._pinned(each, "nothing would be left")
        if kept := each.inside & self._layers & ~left:
            return self._pinned(each, f"{self._read_outside(kept, left)!r} is read outside of it too")
        names = str(each.join.name), str(each.entry.name), str(each.exit.name)
        return Block(*names, self._names(going), bool(each.inside & self._attention))

    def _pinned(self, each: _Found, reason: str) -> PinnedBlock:
        return PinnedBlock(str(each.join.name), self._names(each.inside & self._layers), reason)

    def _read_outside(self, staying: int, going: int) -> str | None:
        """The name of the value that keeps the first of these layers."""
        values = self._reach.of(staying)[0].outputs
        is_read = (
            value for value in values if value.is_graph_output() or self._reach.readers(value) & ~going
        )
        return next(is_read).name

    def _names(self, of_layers: int) -> tuple[str, ...]:
        return tuple(str(node.name) for node in self._reach.of(of_layers))


class _Others:
    """All that was found, by the first node of each."""

    def __init__(self, blocks: Iterable[_Found]) -> None:
        self._by_first = defaultdict[int, list[_Found]](list)
        for each in blocks:
            self._by_first[each.inside & -each.inside].append(each)
        self._firsts = reduce(or_, self._by_first, 0)

    def in_(self, block: _Found, nodes: int) -> bool:
        """Whether another one lies in these nodes as a whole."""
        firsts = (1 << int(place) for place in ones(nodes & self._firsts))
        near = (other for first in firsts for other in self._by_first[first])
        return any(other is not block and not other.inside & ~nodes for other in near)


def _is_join(node: ir.Node) -> bool:
    if (node.op_type, node.domain) not in (("Add", ""), ("Sum", "")):
        return False
    computed = [value for value in node.inputs if value is not None and not is_constant(value)]
    return len(node.inputs) == len(computed) == 2 and computed[0] is not computed[1]
