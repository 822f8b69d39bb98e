"""One node whose sizes a cut changes, with the labels of its values and ways to say sizes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.compression.graph.channels.labelling import Labelling
from worker.compression.graph.channels.labels.node_view import Labelled, constant
from worker.compression.graph.channels.labels.sizes import Entry
from worker.compression.ir.edit import new_constant
from worker.compression.ir.values import input_at, required_input

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Fixup:
    """A node to be fixed after a cut. `cut`: for each label whether it is cut."""

    node: ir.Node
    labelling: Labelling
    cut: Mask
    opset: int

    def input_labels(self, index: int = 0) -> Labelled | None:
        value = input_at(self.node, index)
        return None if value is None else self.labelling.values.get(value)

    def output_labels(self, index: int = 0) -> Labelled | None:
        return self.labelling.values.get(self.node.outputs[index])

    def kept_mask(self, labelled: Labelled | None, axis: int) -> Mask | None:
        """Which indices along the axis are kept; None where all are."""
        vector = None if labelled is None else labelled.axes[axis]
        if vector is None or not self.cut[vector].any():
            return None
        return ~self.cut[vector]

    def new_sizes(self, labelled: Labelled | None) -> dict[int, int]:
        """Axis → its new size, for the axes that become shorter."""
        axes = range(len(labelled.axes)) if labelled is not None else ()
        masks = {axis: self.kept_mask(labelled, axis) for axis in axes}
        return {axis: int(mask.sum()) for axis, mask in masks.items() if mask is not None}

    def write_numbers(self, name: str, index: int, numbers: Sequence[int]) -> None:
        """Write numbers where the node has them, in its attribute or its input."""
        if name in self.node.attributes or index < 0:
            self.node.attributes[name] = ir.AttrInt64s(name, list(numbers))
        else:
            self.set_input(index, np.array(numbers, np.int64))

    def set_input(self, index: int, array: NDArray[Any]) -> None:
        """Give the node a constant of its own."""
        old = input_at(self.node, index)
        if old is not None and old.const_value is not None:
            array = array.astype(old.const_value.dtype.numpy())
        value = _register(self.node, str(index), array)
        self.node.resize_inputs(max(len(self.node.inputs), index + 1))
        self.node.replace_input_with(index, value)

    def set_entries(self, index: int, new: dict[int, int], *, relative: tuple[int, ...] = ()) -> None:
        """Write some entries of a shape anew, computed or not. What is in `relative` (−1, say) follows by itself."""
        value = required_input(self.node, index)
        array = constant(self.node, index)
        if array is not None:
            fixed = array.copy().reshape(-1)
            for place, size in new.items():
                if fixed[place] not in relative:
                    fixed[place] = size
            self.set_input(index, fixed)
            return
        behind = self.output_labels()
        assert behind is not None
        entries = self.labelling.entries.get(value)
        is_open = {place for place in new if entries is not None and entries[place].number is None}
        sizes = {place: size for place, size in new.items() if place not in is_open}
        shares = {
            place: (size, behind.shape[place])
            for place, size in new.items()
            if place in is_open and not self._follows(entries[place])  # type: ignore[index]
        }
        _rewrite(self.node, index, len(behind.shape), sizes, shares)

    def _follows(self, entry: Entry) -> bool:
        """Whether it counts what is cut, so that it changes by itself."""
        return any(self.cut[labels].any() for labels in entry.counts)


def _register(node: ir.Node, what: str, array: NDArray[Any]) -> ir.Value:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    name = stem = f"winnow.{node.name}.{what}"
    number = 0
    while name in graph.initializers:
        number += 1
        name = f"{stem}.{number}"
    return new_constant(graph, name, array)


def _rewrite(
    node: ir.Node, index: int, rank: int, sizes: dict[int, int], shares: dict[int, tuple[int, int]]
) -> None:
    """Put in front of the node Where(these places, their sizes, the computed shape · new / old).

    `shares`: of sizes that count samples too, as batch · heads, what is new for the old size of one sample.
    """
    if shares:
        new, old = np.ones(rank, np.int64), np.ones(rank, np.int64)
        for place, pair in shares.items():
            new[place], old[place] = pair
        _put_before(node, index, "Mul", [_register(node, "new", new)])
        _put_before(node, index, "Div", [_register(node, "old", old)])
    if sizes:
        places, numbers = np.zeros(rank, bool), np.zeros(rank, np.int64)
        for place, size in sizes.items():
            places[place], numbers[place] = True, size
        chosen = [_register(node, "places", places), _register(node, "sizes", numbers)]
        _put_before(node, index, "Where", chosen)


def _put_before(node: ir.Node, index: int, operator: str, constants: list[ir.Value]) -> None:
    """Compute the input anew: by an operator of it and of constants, which stand first for Where, else behind."""
    value, graph = required_input(node, index), node.graph
    assert graph is not None
    inputs = [*constants, value] if operator == "Where" else [value, *constants]
    made = ir.Node("", operator, inputs, name=f"{constants[-1].name}.shape")
    made.outputs[0].name = made.name
    made.outputs[0].type = value.type
    graph.insert_before(node, made)
    node.replace_input_with(index, made.outputs[0])
