"""Tell which nodes that move numbers about leave all of them where they are."""

from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.normal_form.cancelling.reading import int_of, ints_of, numbers_at, traced_dims
from worker.compression.graph.normal_form.tracing import Traced
from worker.compression.ir.values import input_at

TO_THE_END: Final = 2**31 - 1
"""Ends of a Slice from here on mean the end, whatever the size."""


def is_in_order(node: ir.Node, _: Traced) -> bool:
    """Whether a Transpose has every axis in its place."""
    perm = ints_of(node, "perm")
    return bool(perm) and list(perm) == list(range(len(perm)))


def keeps_shape(node: ir.Node, traced: Traced) -> bool:
    """Whether a Reshape answers the shape of its input: each size is that, 0 for it, or -1 for what is not named."""
    target, dims = numbers_at(node, 1), traced_dims(input_at(node, 0), traced)
    if target is None or dims is None or len(target) != len(dims):
        return False
    copies = not int_of(node, "allowzero", 0)
    pairs = zip(target.tolist(), dims, strict=True)
    return all(n == -1 or n == dim or (n == 0 and copies) for n, dim in pairs)


def is_flat(node: ir.Node, traced: Traced) -> bool:
    """Whether a Flatten reads a matrix and cuts it into rows."""
    dims = traced_dims(input_at(node, 0), traced)
    return dims is not None and len(dims) == 2 and int_of(node, "axis", 1) in (1, -1)


def expands_nothing(node: ir.Node, traced: Traced) -> bool:
    """Whether an Expand repeats along no axis."""
    target, dims = numbers_at(node, 1), traced_dims(input_at(node, 0), traced)
    if target is None or dims is None or len(target) > len(dims):
        return False
    pairs = zip(reversed(target.tolist()), reversed(dims), strict=False)
    return all(n in (1, dim) for n, dim in pairs)


def repeats_once(node: ir.Node, _: Traced) -> bool:
    """Whether a Tile repeats along no axis."""
    repeats = numbers_at(node, 1)
    return repeats is not None and len(node.inputs) == 2 and bool(np.all(repeats == 1))


def pads_nothing(node: ir.Node, _: Traced) -> bool:
    """Whether all sizes of a Pad are 0 (an attribute until opset 10)."""
    pads = ints_of(node, "pads") if len(node.inputs) < 2 else numbers_at(node, 1)
    return pads is not None and len(pads) > 0 and not np.any(pads)


def takes_all(node: ir.Node, traced: Traced) -> bool:
    """Whether a Slice takes each of its axes from its begin to its end, in steps of 1 (from opset 10 on)."""
    starts, ends = numbers_at(node, 1), numbers_at(node, 2)
    if starts is None or ends is None:
        return False
    axes, steps = (numbers_at(node, at) for at in (3, 4))
    is_open = any(array is None and input_at(node, at) is not None for at, array in ((3, axes), (4, steps)))
    uneven = any(len(each) != len(starts) for each in (ends, axes, steps) if each is not None)
    if is_open or uneven or (steps is not None and np.any(steps != 1)):
        return False
    dims = traced_dims(input_at(node, 0), traced) or []
    for at, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        axis = at if axes is None else int(axes[at])
        size = dims[axis] if -len(dims) <= axis < len(dims) else None
        if start != 0 or not (end >= TO_THE_END or (isinstance(size, int) and end >= size)):
            return False
    return True
