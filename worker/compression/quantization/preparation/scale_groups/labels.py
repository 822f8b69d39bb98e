"""Labels of channels: channels whose labels are in one class have to be scaled by one factor.

    producers   Conv, Gemm, MatMul: rows of the weight and the bias; LayerNormalization: its scale and shift;
                a Mul that is put in
    consumers   Conv, Gemm, MatMul: columns of the weight
    shifts      constants that are added in between

A class with a pinned label keeps its scale: something reads or gives the channel that no factor goes through.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from worker.compression.ir.arrays import Array
from worker.compression.layers.linear import Linear


@dataclass(frozen=True)
class Labelled:
    """int64 [channels] of one value; its channels lie along `axis`, counted from the end (-1 is the last)."""

    labels: Array
    axis: int


@dataclass(frozen=True)
class Place:
    """An input of a node, with the labels of the channels along `axis` of it."""

    node: ir.Node
    index: int
    labels: Array
    axis: int


@dataclass
class Labels:
    """What the rules write down, node by node in the order of the graph."""

    of: dict[ir.Value, Labelled] = field(default_factory=dict)
    producers: list[tuple[Linear, Array]] = field(default_factory=list)
    norms: list[tuple[ir.Node, Array]] = field(default_factory=list)
    consumers: list[tuple[Linear, Array]] = field(default_factory=list)
    shifts: list[Place] = field(default_factory=list)
    put_in: list[Place] = field(default_factory=list)
    count: int = 0
    _pinned: list[Array] = field(default_factory=list)
    _equal: list[tuple[Array, Array]] = field(default_factory=list)

    def fresh(self, size: int, axis: int) -> Labelled:
        """Make labels that no other channel has."""
        self.count += size
        return Labelled(np.arange(self.count - size, self.count), axis)

    def pin(self, value: ir.Value | None) -> None:
        """Let the channels of a value keep their scales."""
        if value is not None and value in self.of:
            self._pinned.append(self.of[value].labels)

    def pin_labels(self, labels: Array) -> None:
        self._pinned.append(labels)

    def join(self, a: Labelled, b: Labelled) -> None:
        """Let both have the same scales, channel by channel."""
        self._equal.append((a.labels, b.labels))

    def read(self, value: ir.Value, size: int, axis: int) -> Labelled:
        """Take the labels of a value whose channels lie along this axis; others are pinned, and so are these then."""
        labelled = self.of.get(value)
        if labelled is not None and labelled.axis == axis and len(labelled.labels) == size:
            return labelled
        self.pin(value)
        unknown = self.fresh(size, axis)
        self.pin_labels(unknown.labels)
        return unknown

    def classes(self) -> Array:
        """int64 [count]: the class of each label."""
        pairs = [np.stack([a, b]) for a, b in self._equal]
        rows, columns = np.concatenate([np.zeros((2, 0), np.int64), *pairs], axis=1)
        edges = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(self.count, self.count))
        return np.asarray(connected_components(edges, directed=False)[1], np.int64)

    def pinned(self, classes: Array) -> Array:
        """bool [classes]: whether a class keeps its scale."""
        kept = np.zeros(int(classes.max(initial=-1)) + 1, bool)
        for labels in self._pinned:
            kept[classes[labels]] = True
        return kept
