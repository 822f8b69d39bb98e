"""One node whose sizes a cut changes, with the labels of its values and ways to say sizes again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from worker.compression.graph.channels.labels.node_view import Labelled, constant
from worker.compression.ir.edit import new_constant
from worker.compression.ir.values import input_at, required_input

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Fixup:
    """A node to be fixed after a cut. `cut`: for each label whether it is cut."""

    node: ir.Node
    values: dict[ir.Value, Labelled]
    cut: Mask
    opset: int
    numbers: dict[ir.Value, list[int]]

    def input_labels(self, index: int = 0) -> Labelled | None:
        value = input_at(self.node, index)
        return None if value is None else self.values.get(value)

    def output_labels(self, index: int = 0) -> Labelled | None:
        return self.values.get(self.node.outputs[index])

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
        _override(self.node, index, value, new, len(self.output_labels().shape))  # type: ignore[union-attr]


def _register(node: ir.Node, what: str, array: NDArray[Any]) -> ir.Value:
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    name = stem = f"winnow.{node.name}.{what}"
    number = 0
    while name in graph.initializers:
        number += 1
        name = f"{stem}.{number}"
    return new_constant(graph, name, array)


def _override(node: ir.Node, index: int, value: ir.Value, new: dict[int, int], rank: int) -> None:
    """Put Where(these places, these numbers, the computed shape) in front of the node."""
    graph = node.graph
    assert graph is not None
    places, numbers = np.zeros(rank, bool), np.zeros(rank, np.int64)
    for place, size in new.items():
        places[place], numbers[place] = True, size
    chosen = [_register(node, "places", places), _register(node, "sizes", numbers)]
    where = ir.Node("", "Where", [*chosen, value], name=f"{chosen[1].name}.shape")
    where.outputs[0].name = where.name
    where.outputs[0].type = value.type
    graph.insert_before(node, where)
    node.replace_input_with(index, where.outputs[0])
