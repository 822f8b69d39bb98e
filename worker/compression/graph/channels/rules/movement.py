"""Operators that move values: the same numpy operation on the labels of each axis."""

from typing import Final

import numpy as np

from worker.compression.graph.channels.ledger import Vector, joined
from worker.compression.graph.channels.node_view import Labelled, Step, integers
from worker.compression.graph.channels.rule import Rule


def transpose(step: Step) -> Labelled:
    x = step.given()
    order = step.node.attributes.get_ints("perm") or range(len(x.shape))[::-1]
    return step.result([x.axes[axis] for axis in order], zero=x.zero)


def concat(step: Step) -> Labelled:
    values = [value for value in step.inputs if value is not None]
    return joined_along(step, values, step.node.attributes.get_int("axis", 1))


def joined_along(step: Step, values: list[Labelled], axis: int) -> Labelled:
    """End to end along `axis`, on each other along the others. A part that is never cut gets labels that are pinned."""
    axis %= len(values[0].shape)
    axes = [
        None if a == axis else step.meet(*((v.axes[a], v.shape[a]) for v in values))
        for a in range(len(values[0].shape))
    ]
    if any(value.axes[axis] is not None for value in values):
        axes[axis] = joined([_labels(step, value, axis) for value in values])
    return step.result(axes, zero=all(value.zero for value in values))


def _labels(step: Step, value: Labelled, axis: int) -> Vector:
    found = value.axes[axis]
    if found is None:
        found = step.book.ledger.fresh(value.shape[axis])
        step.pin(found, value.origin or f"{step} joins them with values that no weight makes")
    return found


def split(step: Step) -> list[Labelled]:
    x = step.given()
    axis = step.node.attributes.get_int("axis", 0) % len(x.shape)
    ends = np.cumsum([shape[axis] for shape in step.shapes])
    return [
        step.result(
            [v if a != axis or v is None else v[end - shape[axis] : end] for a, v in enumerate(x.axes)],
            zero=x.zero,
            output=output,
        )
        for output, (shape, end) in enumerate(zip(step.shapes, ends, strict=True))
    ]


def slice_(step: Step) -> Labelled:
    """Steps over k channels make k neighbours one channel, so that the rest can be stepped over alike."""
    x = step.given()
    bounds = slices(step, len(x.shape))
    axes = list(x.axes)
    for axis, vector in enumerate(x.axes):
        if vector is None or bounds is None:
            step.pin(vector, f"{step} has bounds that are computed")
            axes[axis] = None
        elif axis in bounds:
            axes[axis] = _sliced(step, vector, bounds[axis])
    return step.result(axes, zero=x.zero)


def slices(step: Step, rank: int) -> dict[int, slice] | None:
    """The slice of each axis that is named; None where it is computed."""
    starts, ends = (integers(step.node, n, i, step.book.numbers) for n, i in (("starts", 1), ("ends", 2)))
    axes, steps = integers(step.node, "axes", 3), integers(step.node, "steps", 4)
    left_out = [not _given(step, "axes", 3), not _given(step, "steps", 4)]
    if (
        starts is None
        or ends is None
        or (axes is None and not left_out[0])
        or (steps is None and not left_out[1])
    ):
        return None
    places = range(len(starts)) if axes is None else axes
    strides = [1] * len(starts) if steps is None else steps
    named = zip(places, starts, ends, strides, strict=True)
    return {axis % rank: slice(start, end, stride) for axis, start, end, stride in named}


def _given(step: Step, name: str, index: int) -> bool:
    return name in step.node.attributes or step.optional(index) is not None


def _sliced(step: Step, vector: Vector, part: slice) -> Vector:
    stride = part.step
    if stride < -1 or len(vector) % stride:
        step.pin(vector, f"{step} steps by {stride} over {len(vector)}")
    elif stride > 1:
        step.fold(vector, (len(vector) // stride, stride), 0)
    return vector[part]


def pad(step: Step) -> Labelled:
    """What is added along an axis with labels are channels too: they are zero, and meet others later. Copies of others,
    as `reflect` and `edge` add them, pin these."""
    x, pads = step.given(), integers(step.node, "pads", 1)
    mode = step.node.attributes.get_string("mode", "constant")
    named = integers(step.node, "axes", 3) or range(len(x.shape))
    if pads is None:
        for vector in x.vectors():
            step.pin(vector, f"{step} pads by computed amounts")
        return step.result([None] * len(x.shape))
    axes = list(x.axes)
    for axis, before, after in zip(named, pads, pads[len(pads) // 2 :], strict=False):
        if mode == "constant":
            axes[axis] = _padded(step, x.axes[axis], before, after)
        elif (before or after) and (copied := x.axes[axis]) is not None:
            step.pin(copied, f"{step} pads by mode {mode}")
            axes[axis] = None
    value = step.constant(2)
    filled = (value is not None and value.any()) or step.node.attributes.get_float("value", 0.0) != 0
    return step.result(axes, zero=x.zero and not (mode == "constant" and filled))


def _padded(step: Step, vector: Vector | None, before: int, after: int) -> Vector | None:
    if vector is None:
        return None
    if before < 0 or after < 0:
        step.pin(vector, f"{step} cuts some of them off")
        return None
    return joined([step.book.ledger.fresh(before), vector, step.book.ledger.fresh(after)])


def gather(step: Step) -> Labelled:
    """A choice by constant indices, or rows of a table by computed ones."""
    x, indices = step.given(0), step.given(1)
    axis = step.node.attributes.get_int("axis", 0) % len(x.shape)
    chosen, vector = step.constant(1), x.axes[axis]
    between: list[Vector | None] = [None] * len(indices.shape)
    if vector is not None and chosen is not None and chosen.ndim == 1:
        between = [vector[chosen]]
    elif vector is not None and chosen is not None:
        step.pin(vector[chosen].reshape(-1), f"{step} picks them")
    else:
        step.pin(vector, f"{step} picks among them by computed indices")
    if x.weight and not indices.weight:
        for kept in (*x.axes[:axis], *x.axes[axis + 1 :]):
            step.makes(kept)
    return step.result([*x.axes[:axis], *between, *x.axes[axis + 1 :]], zero=x.zero)


def gather_nd(step: Step) -> Labelled:
    """Constant indices along the first axis, as torch's exporter writes x[:, [3, 1, 2]] between two Transposes."""
    x, chosen = step.given(), step.constant(1)
    if (
        chosen is None
        or chosen.ndim != 2
        or chosen.shape[1] != 1
        or step.node.attributes.get_int("batch_dims", 0)
    ):
        step.pin_all(f"{step} picks among them")
        return step.plain()
    first = None if x.axes[0] is None else x.axes[0][chosen[:, 0]]
    return step.result([first, *x.axes[1:]], zero=x.zero)


def expand(step: Step) -> Labelled:
    """A stretched axis may become as long as channels that it meets later: it gets labels of its own."""
    x, shape = step.given(), step.shapes[0]
    wide = Labelled(shape, tuple(step.stretched(size) for size in shape))
    sizes = [1] * (len(shape) - len(x.shape)) + list(x.shape)
    axes = [v if size == 1 else None for v, size in zip(wide.axes, sizes, strict=True)]
    missing: list[Vector | None] = [None] * (len(shape) - len(x.shape))
    own = [*missing, *x.axes]
    stretched = any(v is not None for v in axes)
    return step.result(
        [a if b is None else b for a, b in zip(axes, own, strict=True)], zero=x.zero and not stretched
    )


def tile(step: Step) -> Labelled:
    x = step.given()
    axes: list[Vector | None] = []
    for vector, size, result in zip(x.axes, x.shape, step.shapes[0], strict=True):
        stretched = step.stretched(result) if size == 1 else None
        axes.append(stretched if vector is None else np.resize(vector, result))
    return step.result(
        axes, zero=x.zero and all(a == b for a, b in zip(x.shape, step.shapes[0], strict=True))
    )


def constant_of_shape(step: Step) -> Labelled:
    value = step.node.attributes.get_tensor("value")
    zero = value is None or not value.numpy().any()
    return step.result([step.stretched(size) for size in step.shapes[0]], zero=zero)


def depth_to_space(step: Step) -> Labelled:
    """The b² channels that become one pixel's neighbours are one channel."""
    x, size = step.given(), step.node.attributes.get_int("blocksize", 1)
    outs = step.shapes[0][1]
    first = step.node.attributes.get_string("mode", "DCR") == "CRD"
    sizes = (outs, size * size) if first else (size * size, outs)
    return _blocks(step, x, step.fold(x.axes[1], sizes, 0 if first else 1))


def space_to_depth(step: Step) -> Labelled:
    x, size = step.given(), step.node.attributes.get_int("blocksize", 1)
    return _blocks(step, x, None if x.axes[1] is None else np.tile(x.axes[1], size * size))


def _blocks(step: Step, x: Labelled, channels: Vector | None) -> Labelled:
    for vector in x.axes[2:]:
        step.pin(vector, f"{step} slides over them")
    return step.result([x.axes[0], channels, None, None], zero=x.zero)


RULES: Final[dict[str, Rule]] = {
    "Transpose": transpose,
    "Concat": concat,
    "Split": split,
    "Slice": slice_,
    "Pad": pad,
    "Gather": gather,
    "GatherND": gather_nd,
    "Expand": expand,
    "Tile": tile,
    "ConstantOfShape": constant_of_shape,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
}
