"""Write the target of a Reshape as numbers where all but one of its sizes follow from the model's inputs.

    Reshape(x, Concat(Slice(Shape(y), 0:2), 8, 12)), y [N, 4, …]      Reshape(x, [-1, 4, 8, 12])
    Reshape(x, Concat(Gather(Shape(x), 0), Gather(Shape(x), 1), 8))   Reshape(x, [0, 0, 8]),  x [N, L, …]

A Reshape moves no number, so every bit stays. A size that varies becomes -1, or 0 where it is x's own there; never
both, since without samples a -1 beside a 0 cannot be worked out.
"""

from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.nodes.known_shapes import slice_of_shape
from worker.compression.graph.normal_form.cancelling.reading import (
    int_of,
    numbers_at,
    small_constant,
    traced_dims,
)
from worker.compression.graph.normal_form.folding import nodes_in_bodies
from worker.compression.graph.normal_form.tracing import Traced, trace
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import input_at, is_constant

Sizes = list[int | str | None]
"""Numbers, names of sizes that vary, and None for what is not known."""

MAX_DEPTH: Final = 16
"""Of nodes between a shape and the Reshape that it is for; honest exports have four."""
PASSED_ON: Final = frozenset({"Cast", "Identity", "Squeeze", "Unsqueeze"})
"""Of a vector or a single number, which is as long as it was."""


def write_targets(model: ir.Model) -> int:
    """Write them in place, branches included; what computed them is dead. Returns how many."""
    reshapes = [
        (node, iterated)
        for node, iterated in nodes_in_bodies(model.graph)
        if (node.domain, node.op_type) == ("", "Reshape") and not is_constant(input_at(node, 1))
    ]
    if not reshapes:
        return 0
    traced, edit, written = trace(model), GraphEdit(model), 0
    for node, iterated in reshapes:
        target = None if iterated else _target(node, traced)
        if target is not None:
            numbers = np.array(target, np.int64)
            node.replace_input_with(1, edit.new_constant(f"{node.name}_shape", numbers))
            written += 1
    return written


def _target(node: ir.Node, traced: Traced) -> list[int] | None:
    sizes, dims = _sizes(input_at(node, 1), traced, MAX_DEPTH), traced_dims(input_at(node, 0), traced)
    if sizes is None or (int_of(node, "allowzero", 0) and 0 in sizes):
        return None
    open_places = [place for place, size in enumerate(sizes) if not isinstance(size, int)]
    if not int_of(node, "allowzero", 0) and all(_is_own(place, sizes, dims) for place in open_places):
        return [size if isinstance(size, int) else 0 for size in sizes]
    if len(open_places) > 1 or any(size in (0, -1) for size in sizes):
        return None
    return [size if isinstance(size, int) else -1 for size in sizes]


def _is_own(place: int, sizes: Sizes, dims: Sizes | None) -> bool:
    """Whether the size has the name of the input's at the same place."""
    known = None if dims is None or place >= len(dims) else dims[place]
    return isinstance(known, str) and known == sizes[place]


def _sizes(value: ir.Value | None, traced: Traced, depth: int) -> Sizes | None:
    """What a vector of sizes, or a single one, holds; None where not even how many is known."""
    if value is None or depth == 0:
        return None
    if (numbers := small_constant(value)) is not None:
        return [int(number) for number in numbers.reshape(-1)] if numbers.dtype == np.int64 else None
    node = value.producer()
    known = None if node is None or node.domain != "" else _made_by(node, traced, depth - 1)
    if known is not None:
        return known
    length = traced_dims(value, traced)
    if length == []:
        return [None]
    return (
        [None] * length[0] if length is not None and len(length) == 1 and isinstance(length[0], int) else None
    )


def _made_by(node: ir.Node, traced: Traced, depth: int) -> Sizes | None:
    match node.op_type:
        case "Shape":
            dims = traced_dims(input_at(node, 0), traced)
            return None if dims is None else dims[slice_of_shape(node)]
        case "Concat":
            parts = [_sizes(value, traced, depth) for value in node.inputs]
            return None if None in parts else [size for part in parts for size in part or ()]
        case "Slice":
            sizes, part = _sizes(input_at(node, 0), traced, depth), _slice(node)
            return None if sizes is None or part is None else sizes[part]
        case "Gather":
            sizes, places = _sizes(input_at(node, 0), traced, depth), numbers_at(node, 1)
            if sizes is None or places is None or not all(-len(sizes) <= at < len(sizes) for at in places):
                return None
            return [sizes[int(at)] for at in places]
    return _sizes(input_at(node, 0), traced, depth) if node.op_type in PASSED_ON else None


def _slice(node: ir.Node) -> slice | None:
    """Of a vector, forwards one by one (from opset 10 on)."""
    numbers = [numbers_at(node, index) for index in range(1, len(node.inputs))]
    given = [input_at(node, index) for index in range(1, len(node.inputs))]
    if len(numbers) < 2 or any(n is None and v is not None for n, v in zip(numbers, given, strict=True)):
        return None
    starts, ends = numbers[:2]
    axis, step = ([*numbers[2:], None, None][at] for at in range(2))
    along = axis is None or axis.tolist() in ([0], [-1])
    if starts is None or ends is None or len(starts) != 1 or not along or (step is not None and step[0] != 1):
        return None
    return slice(int(starts[0]), int(ends[0]))
