"""Write two nodes in a row that move numbers about, or cast them, as a single one.

    Transpose(Transpose(x, p), q)                            Transpose(x, p[q])
    Reshape(Reshape | Flatten | Squeeze | Unsqueeze(x), s)   Reshape(x, s)
    Squeeze(Squeeze(x, a), b), and Unsqueeze                 Squeeze(x, a and b)
    Slice(Slice(x, a), b), of other axes                     Slice(x, a and b)
    Cast(Cast(x, wider), t)                                  Cast(x, t)

No bit changes. The first of the two has no other reader; the second keeps its name.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import count, islice
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.normal_form.cancelling.reading import (
    axes_of,
    int_of,
    numbers_at,
    transposed_twice,
)
from worker.compression.ir.arrays import Array
from worker.compression.ir.casts import FLOATS, INTEGERS, NUMBERS, is_lossless
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import all_nodes, input_at, is_read_once

VIEWS: Final = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})
SLICE_INPUTS: Final = ("starts", "ends", "axes", "steps")


class _Merging:
    def __init__(self, model: ir.Model) -> None:
        self._model = model

    @cached_property
    def edit(self) -> GraphEdit:
        """Made when the first constant is needed."""
        return GraphEdit(self._model)

    def put(self, node: ir.Node, index: int, name: str, numbers: Sequence[int] | Array) -> None:
        """Let the node read new numbers there."""
        constant = self.edit.new_constant(f"{node.name}_{name}", np.array(numbers, np.int64))
        node.replace_input_with(index, constant)


Merge = Callable[[_Merging, ir.Node, ir.Node], bool]
"""Change the second node so that it does all that both did to what the first reads. Returns whether it can."""


def merge_pairs(model: ir.Model) -> bool:
    """Merge them in place, subgraphs included. Returns whether there was any."""
    merging, merged = _Merging(model), False
    for node in list(all_nodes(model)):
        x = input_at(node, 0)
        inner = None if x is None else x.producer()
        if (
            x is None
            or inner is None
            or node.domain != ""
            or inner.domain != ""
            or node.op_type not in MERGES
        ):
            continue
        alone = is_read_once(x) and inner.graph is node.graph
        if alone and input_at(inner, 0) is not None and MERGES[node.op_type](merging, inner, node):
            node.replace_input_with(0, inner.inputs[0])
            merged = True
    return merged


def _transposes(_: _Merging, first: ir.Node, second: ir.Node) -> bool:
    perm = transposed_twice(first, second) if first.op_type == "Transpose" else None
    if perm is None:
        return False
    second.attributes["perm"] = ir.AttrInt64s("perm", perm)
    return True


def _reshapes(_: _Merging, first: ir.Node, second: ir.Node) -> bool:
    """A 0 in the second shape says a size of what stands between; it may, where that is a size of x."""
    shape = numbers_at(second, 1)
    if first.op_type not in VIEWS or shape is None:
        return False
    if int_of(second, "allowzero", 0):
        return True
    copied = np.flatnonzero(shape == 0)
    before = numbers_at(first, 1) if first.op_type == "Reshape" else None
    if before is None or int_of(first, "allowzero", 0):
        return not len(copied)
    return all(axis < len(before) and before[axis] == 0 for axis in copied)


def _squeezes(merging: _Merging, first: ir.Node, second: ir.Node) -> bool:
    inner, outer = axes_of(first), axes_of(second)
    if first.op_type != second.op_type or inner is None or outer is None:
        return False
    begin, then = (inner, outer) if first.op_type == "Squeeze" else (outer, inner)
    axes = [*begin, *_except(begin, then)]
    if len(second.inputs) < 2:
        second.attributes["axes"] = ir.AttrInt64s("axes", sorted(axes))
    else:
        merging.put(second, 1, "axes", sorted(axes))
    return True


def _except(axes: Sequence[int], places: Sequence[int]) -> list[int]:
    """Where the axes that are at these places lie when the other axes are counted too."""
    others = list(islice((axis for axis in count() if axis not in axes), max(places) + 1))
    return [others[place] for place in places]


def _slices(merging: _Merging, first: ir.Node, second: ir.Node) -> bool:
    if first.op_type != "Slice":
        return False
    parts = [_slice_numbers(node) for node in (first, second)]
    if parts[0] is None or parts[1] is None:
        return False
    axes = [int(axis) for part in (parts[0], parts[1]) for axis in part[2]]
    if min(axes) < 0 or len(set(axes)) < len(axes):
        return False
    second.resize_inputs(5)
    for index, name in enumerate(SLICE_INPUTS):
        merging.put(second, index + 1, name, np.concatenate([parts[0][index], parts[1][index]]))
    return True


def _slice_numbers(node: ir.Node) -> list[Array] | None:
    """Starts, ends, axes and steps, from opset 10 on, where all are constants."""
    numbers = [numbers_at(node, index) for index in range(1, 5)]
    if any(n is None and input_at(node, index) is not None for index, n in enumerate(numbers, 1)):
        return None
    starts, ends, axes, steps = numbers
    if starts is None or ends is None:
        return None
    size = len(starts)
    return [
        starts,
        ends,
        np.arange(size) if axes is None else axes,
        np.ones(size) if steps is None else steps,
    ]


def _casts(_: _Merging, first: ir.Node, second: ir.Node) -> bool:
    """From a float to an integer what is out of range is whatever the runtime makes of it, so that way stays."""
    before, between, after = first.inputs[0], first.outputs[0].dtype, int_of(second, "to", 0)
    if first.op_type != "Cast" or before is None or before.dtype is None or between is None:
        return False
    if after not in NUMBERS or (after in INTEGERS and {before.dtype, between} & FLOATS):
        return False
    return is_lossless(before.dtype, between) and not (set(first.attributes) | set(second.attributes)) - {
        "to"
    }


MERGES: Final[dict[str, Merge]] = {
    "Transpose": _transposes,
    "Reshape": _reshapes,
    "Squeeze": _squeezes,
    "Unsqueeze": _squeezes,
    "Slice": _slices,
    "Cast": _casts,
}
