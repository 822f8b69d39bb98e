"""What a rule sees of the label run: one node, the labels of its inputs, and what it may note about them.

A value's labels are kept axis by axis: `axes[a][i]` names the channel that index `i` along axis `a` belongs to, None
stands for an axis that no cut touches. That is the label array of the whole value, if it can be cut at all: what is
left of a tensor after a cut must be a tensor.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.compression.graph.channels.labels.label_run import LabelRun, Split
from worker.compression.graph.channels.labels.ledger import Vector, joined
from worker.compression.ir.values import array_of, input_at, is_constant

Axes = tuple[Vector | None, ...]
Shape = tuple[int, ...]

UNKNOWN: Final = 0
"""The size of a dimension that nothing tells: it matches no other."""


@dataclass(frozen=True)
class Labelled:
    """The labels of a value.

    `zero`: where all weights, biases and other constants of a channel are zero, its values are zero here.
    `weight`: it comes from constants alone. `origin`: why an axis without labels has none.
    """

    shape: Shape
    axes: Axes
    zero: bool = False
    weight: bool = False
    origin: str = ""

    def pairs(self) -> list[tuple[Vector | None, int]]:
        return list(zip(self.axes, self.shape, strict=True))

    def vectors(self) -> list[Vector]:
        return [vector for vector in self.axes if vector is not None]


@dataclass
class NodeView:
    """One node of the label run. `inputs` has None for what is left out."""

    node: ir.Node
    opset: int
    inputs: Sequence[Labelled | None]
    shapes: Sequence[Shape]
    run: LabelRun

    def __str__(self) -> str:
        return f"{self.node.op_type} '{self.node.name}'"

    def required(self, index: int = 0) -> Labelled:
        value = self.optional(index)
        assert value is not None, f"{self} lacks input {index}"
        return value

    def optional(self, index: int) -> Labelled | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def fresh(self, size: int) -> Vector | None:
        return self.run.ledger.fresh(size) if size > 1 else None

    def stretched(self, size: int) -> Vector | None:
        vector = self.fresh(size)
        self.run.ledger.stretched.update(() if vector is None else vector.tolist())
        return vector

    def is_stretched(self, vector: Vector) -> bool:
        return int(vector[0]) in self.run.ledger.stretched

    def is_favoured(self, vector: Vector) -> bool:
        return int(vector[0]) in self.run.favoured

    def unite(self, first: Vector | None, second: Vector | None) -> None:
        if first is not None and second is not None:
            self.run.ledger.unite(first, second)

    def pin(self, vector: Vector | None, reason: str) -> None:
        if vector is not None:
            self.run.ledger.pin(vector, reason)

    def pin_all(self, reason: str) -> None:
        for value in self.inputs:
            if value is not None and not value.weight:
                for vector in value.vectors():
                    self.pin(vector, reason)

    def share_labels(self, *pairs: tuple[Vector | None, int], origin: str = "") -> Vector | None:
        """Unite the labels of axes that match in size. Size 1 is stretched; one without labels pins the others."""
        wide = [(vector, size) for vector, size in pairs if size != 1]
        labelled = sorted((vector for vector, _ in wide if vector is not None), key=self.is_stretched)
        for other in labelled[1:]:
            self.unite(labelled[0], other)
        if labelled and len(labelled) < len(wide):
            self.pin(labelled[0], f"{self} joins them with {origin or 'an axis that no weight produces'}")
            return None
        return labelled[0] if labelled else None

    def fold(self, vector: Vector | None, sizes: Sequence[int], axis: int) -> Vector | None:
        """Make one channel of each index of this axis of `vector.reshape(sizes)`."""
        if vector is None or sizes[axis] == 1:
            if vector is not None:
                self.unite(vector, np.broadcast_to(vector[:1], vector.shape))
            return None if vector is None else vector[:1]
        table = np.moveaxis(vector.reshape(sizes), axis, 0).reshape(sizes[axis], -1)
        self.unite(table, np.broadcast_to(table[:, :1], table.shape))
        return table[:, 0]

    def apart(self, vector: Vector, sizes: Sequence[int], axis: int) -> list[Vector | None]:
        """Take an axis apart into pieces of these sizes: one of them, which is chosen, keeps channels apart."""
        if len(sizes) > 1 and self.run.pieces is not None:
            pieces = [self._piece(vector, sizes, i) for i in range(len(sizes))]
            self.run.pieces[str(self.node.name), axis] = vector, pieces
            return pieces
        chosen = self.choose(vector, sizes, axis) if len(sizes) > 1 else 0
        made = [self.fold(vector, sizes, i) if i == chosen else None for i in range(len(sizes))]
        if self.run.preferred.get((str(self.node.name), axis)) == chosen:
            self.run.favoured.update(joined([v for v in made if v is not None]).tolist())
        return made

    def _piece(self, vector: Vector, sizes: Sequence[int], axis: int) -> Vector | None:
        """Labels of a piece of its own; those that it had where it was joined with others before, none where only they
        are told apart, as along the samples beside heads."""
        table = np.moveaxis(vector.reshape(sizes), axis, 0).reshape(sizes[axis], -1)
        if sizes[axis] > 1 and (table == table[:, :1]).all():
            return table[:, 0]
        return None if (table == table[:1]).all() else self.fresh(sizes[axis])

    def choose(self, vector: Vector, sizes: Sequence[int], axis: int = 0) -> int:
        """Choose by which of these sizes channels stay apart: the preferred or else the largest, unless a run showed
        that to be useless."""
        key = (str(self.node.name), axis)
        first = self.run.preferred.get(key)
        wide = (i for i, size in enumerate(sizes) if size > 1)
        order = sorted(wide, key=lambda i: (i != first, -sizes[i], -i)) or [0]
        self.run.splits.append(Split(key, vector, tuple(sizes), len(order)))
        return order[self.run.choices.get(key, 0) % len(order)]

    def normalises(self, vector: Vector | None, reason: str) -> None:
        """Note that the node's statistics are taken over them: they stay, unless the width of the stream may go."""
        if vector is not None:
            self.run.normalised.append((vector, reason))

    def produces(self, vector: Vector | None) -> None:
        """Note that the node's weight has them along its output axis."""
        if vector is not None:
            self.run.producers.append((self.node, vector.reshape(-1)))

    def consumes(self, vector: Vector | None) -> None:
        """Note that the node's weight has them along its input axis."""
        if vector is not None:
            self.run.consumers.append((self.node, vector.reshape(-1)))

    def result(self, axes: Sequence[Vector | None], *, zero: bool = False, output: int = 0) -> Labelled:
        """Make an output with these labels. Axes of size 1 have none: a channel that is alone on its axis stays."""
        shape = self.shapes[output]
        for vector, size in zip(axes, shape, strict=True):
            if size == 1:
                self.pin(vector, f"{self} leaves one of them alone on its axis")
        longer = [None if size == 1 else v for v, size in zip(axes, shape, strict=True)]
        return Labelled(shape, tuple(longer), zero)

    def unlabelled(self, output: int = 0) -> Labelled:
        """Make an output without labels."""
        return self.result([None] * len(self.shapes[output]), output=output)


def constant(node: ir.Node, index: int) -> NDArray[Any] | None:
    """The array of an input that is an initializer."""
    value = input_at(node, index)
    return array_of(value) if is_constant(value) else None


def integers(
    node: ir.Node, name: str, index: int, numbers: Mapping[ir.Value, list[int]] | None = None
) -> list[int] | None:
    """What older opsets have as an attribute and newer ones as an input; None where it is left out or unknown."""
    if name in node.attributes:
        return list(node.attributes[name].as_ints())
    value = input_at(node, index)
    if numbers is not None and value is not None and value in numbers:
        return list(numbers[value])
    array = constant(node, index)
    return None if array is None else [int(number) for number in array.reshape(-1)]


def originating(value: Labelled, origin: str, *, weight: bool) -> Labelled:
    """Name where its labels come from, unless that is known."""
    return replace(value, origin=value.origin or origin, weight=weight)


Rule = Callable[[NodeView], Labelled | list[Labelled]]
"""Gives a node's labels from those of its inputs, and notes what becomes one channel and what must stay. One answer for
the first output or one for each; outputs without an answer have no labels."""
