"""Find residual blocks by the graph alone.

A *join* is an Add of two computed values. Where one of them, the entry x, is an ancestor of the other, y = x + f(x) is
a residual block, and x in the place of y leaves f out. Where the stream is normalised or activated behind each join
(x = norm(join)), as in BERT and ResNet, the block takes the same tail with it, so that norms do not follow each other:
what lies between the join before and the entry is what has to lie between this join and the exit.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from worker.compression.graph.blocks.reach import Reach
from worker.compression.graph.nodes.weights import layers
from worker.compression.ir.values import is_constant

MAX_TAIL: Final = 24
"""Nodes between a join and the next reading of the stream: a layer normalisation of an old exporter has twelve."""


@dataclass(frozen=True)
class Block:
    """`entry` takes the place of `exit`. `name` is that of the join, `layers` the names of the layers that go."""

    name: str
    entry: str
    exit: str
    layers: tuple[str, ...]


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
    """A residual join, with where its block ends, and the layers between."""

    join: ir.Node
    entry: ir.Value
    exit: ir.Value
    layers: tuple[ir.Node, ...]
    inside: int


def residual_blocks(model: ir.Model) -> Blocks:
    """List the blocks of the model's graph; those within subgraphs are not looked at.

    A block without a layer of weights is none (an activation may well add its input).
    """
    return _Finder(model).blocks()


class _Finder:
    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._reach = Reach(model.graph)
        self._weighted = {node for node, _ in layers(model)}
        self._joins = [node for node in self._reach.nodes if _is_join(node)]

    def blocks(self) -> Blocks:
        found, pinned = list[_Found](), list[PinnedBlock]()
        entries = {join: self._entry(join) for join in self._joins}
        for join, entry in entries.items():
            if entry is None:
                pinned += self._two_ways(join)
                continue
            exit_ = self._exit(join, entry, [other for other in entries.values() if other is not None])
            inside = self._reach.between(entry, exit_)
            own = tuple(node for node in self._reach.of(inside) if node in self._weighted)
            if own and _may_be_alike(entry, exit_):
                found.append(_Found(join, entry, exit_, own, inside))
        blocks = list[Block]()
        for each in found:
            names = tuple(str(node.name) for node in each.layers)
            reason = self._why_pinned(each, found)
            if reason is None:
                blocks.append(Block(str(each.join.name), str(each.entry.name), str(each.exit.name), names))
            else:
                pinned.append(PinnedBlock(str(each.join.name), names, reason))
        return Blocks(blocks, pinned)

    def _entry(self, join: ir.Node) -> ir.Value | None:
        """The operand that the other one depends on."""
        first, second = (value for value in join.inputs if value is not None)
        for value, other in ((first, second), (second, first)):
            if self._reach.between(value, other):
                return value
        return None

    def _exit(self, join: ir.Node, entry: ir.Value, entries: Iterable[ir.Value]) -> ir.Value:
        """Behind the join what lies in front of the entry; what leads to the next entry where nothing does."""
        out = join.outputs[0]
        tail = self._tail_before(entry)
        alike = None if tail is None else self._behind(out, tail)
        if alike is not None:
            return alike
        following = (value for value in entries if self._tail(out, value) is not None)
        nearest = min(following, key=lambda value: self._reach.before(value).bit_count(), default=None)
        return nearest or self._behind_like(out, entry.producer()) or out

    def _behind_like(self, out: ir.Value, made_entry: ir.Node | None) -> ir.Value | None:
        """The value behind the operator that also made the entry: of a network with one block only."""
        readers = self._reach.of(self._reach.readers(out))
        if made_entry is None or [node.op_type for node in readers] != [made_entry.op_type]:
            return None
        behind = readers[0].outputs[0]
        return None if self._tail(out, behind) is None else behind

    def _tail_before(self, entry: ir.Value) -> Counter[str] | None:
        """The operators between the last join before the entry and the entry; None where no join leads to it so."""
        for join in reversed(self._joins):
            tail = self._tail(join.outputs[0], entry)
            if tail is not None:
                return tail
        return None

    def _behind(self, out: ir.Value, tail: Counter[str]) -> ir.Value | None:
        """The value behind these operators."""
        candidates = [
            value
            for node in self._reach.of(self._reach.behind(out))[: 2 * MAX_TAIL]
            for value in node.outputs
        ]
        return next((value for value in (out, *candidates) if self._tail(out, value) == tail), None)

    def _tail(self, out: ir.Value, value: ir.Value) -> Counter[str] | None:
        """The operators from a join to a value of the stream; None where that is more than a norm or an activation,
        where the join is read otherwise too, or the shape changes."""
        if value is out:
            return Counter()
        inside = self._reach.between(out, value)
        nodes = self._reach.of(inside) if 0 < inside.bit_count() <= MAX_TAIL else []
        plain = nodes and not any(node in self._weighted or _is_residual(node, out) for node in nodes)
        only = not self._reach.readers(out) & ~inside and not out.is_graph_output()
        if not plain or not only or not _same_shape(out, value):
            return None
        return Counter(f"{node.domain}.{node.op_type}" for node in nodes)

    def _two_ways(self, join: ir.Node) -> list[PinnedBlock]:
        """An Add of two ways from one value, with layers on one of them at least."""
        first, second = (self._reach.before(value) for value in join.inputs if value is not None)
        own = [
            {*self._reach.of(way & ~other)} & self._weighted
            for way, other in ((first, second), (second, first))
        ]
        if not any(own) or not first & second:
            return []
        names = tuple(str(node.name) for node in self._reach.nodes if node in own[0] | own[1])
        reason = "has layers of its own" if all(own) else "is changed on its way"
        return [PinnedBlock(str(join.name), names, f"its shortcut {reason}")]

    def _why_pinned(self, block: _Found, all_found: Sequence[_Found]) -> str | None:
        if not _same_shape(block.entry, block.exit):
            return "its shape is not known"
        if any(other is not block and other.inside & ~block.inside == 0 for other in all_found):
            return "it holds other blocks"
        if len(block.layers) == len(self._weighted):
            return "nothing would be left"
        kept = self._read_outside(block)
        return None if kept is None else f"{kept.name!r} is read outside of it too"

    def _read_outside(self, block: _Found) -> ir.Value | None:
        """A value that keeps one of the block's layers alive when the exit is no longer read."""
        gone = 0
        for index in sorted(self._indices(block.inside), reverse=True):
            outputs = self._reach.nodes[index].outputs
            if all(self._dies(value, block.exit, gone) for value in outputs):
                gone |= 1 << index
        for node in self._reach.of(block.inside & ~gone):
            if node in self._weighted:
                return next(value for value in node.outputs if not self._dies(value, block.exit, gone))
        return None

    def _dies(self, value: ir.Value, exit_: ir.Value, gone: int) -> bool:
        return value is exit_ or (not value.is_graph_output() and not self._reach.readers(value) & ~gone)

    def _indices(self, bits: int) -> list[int]:
        return [index for index in range(bits.bit_length()) if bits >> index & 1]


def _is_join(node: ir.Node) -> bool:
    if (node.op_type, node.domain) not in (("Add", ""), ("Sum", "")):
        return False
    computed = [value for value in node.inputs if value is not None and not is_constant(value)]
    return len(node.inputs) == len(computed) == 2 and computed[0] is not computed[1]


def _is_residual(node: ir.Node, out: ir.Value) -> bool:
    return _is_join(node) and out in node.inputs


def _may_be_alike(first: ir.Value, second: ir.Value) -> bool:
    """Whether nothing that is known of type and shape tells them apart: an Add also broadcasts."""
    if first.shape is None or second.shape is None:
        return first.dtype == second.dtype
    pairs = zip(first.shape, second.shape, strict=False)
    unlike = any(a != b for a, b in pairs if isinstance(a, int) and isinstance(b, int))
    return first.dtype == second.dtype and len(first.shape) == len(second.shape) and not unlike


def _same_shape(first: ir.Value, second: ir.Value) -> bool:
    """Whether they are alike, and one size at least is known of both."""
    pairs = zip(first.shape or (), second.shape or (), strict=False)
    known = any(isinstance(a, int) and a == b for a, b in pairs)
    return known and _may_be_alike(first, second)
