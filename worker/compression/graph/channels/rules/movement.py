"""Operators that move values: the same numpy operation on the labels of each axis."""

from typing import Final

import numpy as np

from worker.compression.graph.channels.labels.ledger import Vector, joined
from worker.compression.graph.channels.labels.node_view import Labelled, NodeView, Rule, constant, integers


def transpose(view: NodeView) -> Labelled:
    """Axes in another order."""
    x = view.required()
    order = view.node.attributes.get_ints("perm") or range(len(x.shape))[::-1]
    return view.result([x.axes[axis] for axis in order], zero=x.zero)


def concat(view: NodeView) -> Labelled:
    """The labels of all, one behind the other along the axis."""
    values = [value for value in view.inputs if value is not None]
    return joined_along(view, values, view.node.attributes.get_int("axis", 1))


def joined_along(view: NodeView, values: list[Labelled], axis: int) -> Labelled:
    """Join labels end to end along `axis`, share them along the others. A part never cut gets pinned labels."""
    axis %= len(values[0].shape)
    axes = [
        None if a == axis else view.share_labels(*((v.axes[a], v.shape[a]) for v in values))
        for a in range(len(values[0].shape))
    ]
    if any(value.axes[axis] is not None for value in values):
        axes[axis] = joined([_labels(view, value, axis) for value in values])
    return view.result(axes, zero=all(value.zero for value in values))


def _labels(view: NodeView, value: Labelled, axis: int) -> Vector:
    labels = value.axes[axis]
    if labels is None:
        labels = view.run.ledger.fresh(value.shape[axis])
        view.pin(labels, value.origin or f"{view} joins them with values that no weight makes")
    return labels


def split(view: NodeView) -> list[Labelled]:
    """Each output has its piece of the labels along the axis."""
    x = view.required()
    axis = view.node.attributes.get_int("axis", 0) % len(x.shape)
    ends = np.cumsum([shape[axis] for shape in view.shapes])
    return [
        view.result(
            [v if a != axis or v is None else v[end - shape[axis] : end] for a, v in enumerate(x.axes)],
            zero=x.zero,
            output=output,
        )
        for output, (shape, end) in enumerate(zip(view.shapes, ends, strict=True))
    ]


def slice_(view: NodeView) -> Labelled:
    """Steps over k channels make k neighbours one channel, so that the rest can be stepped over alike."""
    x = view.required()
    bounds, axes = slices(view, len(x.shape)), list(x.axes)
    for axis in _named_axes(view, len(x.shape)):
        if (vector := x.axes[axis]) is None:
            continue
        if bounds is None:
            view.pin(vector, f"{view} has bounds that are computed")
            axes[axis] = None
        elif axis in bounds:
            axes[axis] = _sliced(view, vector, bounds[axis])
    return view.result(axes, zero=x.zero)


def _named_axes(view: NodeView, rank: int) -> set[int]:
    """The axes that a Slice may shorten; all where it does not say which."""
    axes = integers(view.node, "axes", 3)
    return {axis % rank for axis in (range(rank) if axes is None else axes)}


def slices(view: NodeView, rank: int) -> dict[int, slice] | None:
    """The slice of each axis that is named; None where it is computed."""
    starts, ends = (integers(view.node, n, i, view.run.numbers) for n, i in (("starts", 1), ("ends", 2)))
    axes, steps = integers(view.node, "axes", 3), integers(view.node, "steps", 4)
    left_out = [not _is_set(view, "axes", 3), not _is_set(view, "steps", 4)]
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


def _is_set(view: NodeView, name: str, index: int) -> bool:
    return name in view.node.attributes or view.optional(index) is not None


def _sliced(view: NodeView, vector: Vector, part: slice) -> Vector:
    stride = part.step
    if stride < -1 or len(vector) % stride:
        view.pin(vector, f"{view} steps by {stride} over {len(vector)}")
    elif stride > 1:
        view.fold(vector, (len(vector) // stride, stride), 0)
    return vector[part]


def pad(view: NodeView) -> Labelled:
    """Label padding along a labelled axis too: zeros, which share labels with others later.

    Copies of others, as `reflect` and `edge` add them, pin these.
    """
    x, pads = view.required(), integers(view.node, "pads", 1)
    mode = view.node.attributes.get_string("mode", "constant")
    named = integers(view.node, "axes", 3) or range(len(x.shape))
    if pads is None:
        for vector in x.vectors():
            view.pin(vector, f"{view} pads by computed amounts")
        return view.result([None] * len(x.shape))
    axes = list(x.axes)
    for axis, before, after in zip(named, pads, pads[len(pads) // 2 :], strict=False):
        if mode == "constant":
            axes[axis] = _padded(view, x.axes[axis], before, after)
        elif (before or after) and (copied := x.axes[axis]) is not None:
            view.pin(copied, f"{view} pads by mode {mode}")
            axes[axis] = None
    value = constant(view.node, 2)
    filled = (value is not None and value.any()) or view.node.attributes.get_float("value", 0.0) != 0
    return view.result(axes, zero=x.zero and not (mode == "constant" and filled))


def _padded(view: NodeView, vector: Vector | None, before: int, after: int) -> Vector | None:
    if vector is None:
        return None
    if before < 0 or after < 0:
        view.pin(vector, f"{view} cuts some of them off")
        return None
    return joined([view.run.ledger.fresh(before), vector, view.run.ledger.fresh(after)])


def gather(view: NodeView) -> Labelled:
    """A choice by constant indices, or rows of a table by computed ones."""
    x, indices = view.required(0), view.required(1)
    axis = view.node.attributes.get_int("axis", 0) % len(x.shape)
    chosen, vector = constant(view.node, 1), x.axes[axis]
    between: list[Vector | None] = [None] * len(indices.shape)
    if vector is not None and chosen is not None and chosen.ndim == 1:
        between = [vector[chosen]]
    elif vector is not None and chosen is not None:
        view.pin(vector[chosen].reshape(-1), f"{view} picks them")
    else:
        view.pin(vector, f"{view} picks among them by computed indices")
    if x.weight and not indices.weight:
        for vector in (*x.axes[:axis], *x.axes[axis + 1 :]):
            view.produces(vector)
    return view.result([*x.axes[:axis], *between, *x.axes[axis + 1 :]], zero=x.zero)


def gather_nd(view: NodeView) -> Labelled:
    """Constant indices along the first axis, as torch's exporter writes x[:, [3, 1, 2]] between two Transposes."""
    x, chosen = view.required(), constant(view.node, 1)
    if (
        chosen is None
        or chosen.ndim != 2
        or chosen.shape[1] != 1
        or view.node.attributes.get_int("batch_dims", 0)
    ):
        view.pin_all(f"{view} picks among them")
        return view.unlabelled()
    first = None if x.axes[0] is None else x.axes[0][chosen[:, 0]]
    return view.result([first, *x.axes[1:]], zero=x.zero)


def expand(view: NodeView) -> Labelled:
    """A stretched axis may become as long as channels that it matches later: it gets labels of its own."""
    x, shape = view.required(), view.shapes[0]
    wide = Labelled(shape, tuple(view.stretched(size) for size in shape))
    sizes = [1] * (len(shape) - len(x.shape)) + list(x.shape)
    axes = [v if size == 1 else None for v, size in zip(wide.axes, sizes, strict=True)]
    missing: list[Vector | None] = [None] * (len(shape) - len(x.shape))
    own = [*missing, *x.axes]
    stretched = any(v is not None for v in axes)
    return view.result(
        [a if b is None else b for a, b in zip(axes, own, strict=True)], zero=x.zero and not stretched
    )


def tile(view: NodeView) -> Labelled:
    """Labels are repeated with their values: copies of a channel go together."""
    x = view.required()
    axes: list[Vector | None] = []
    for vector, size, result in zip(x.axes, x.shape, view.shapes[0], strict=True):
        stretched = view.stretched(result) if size == 1 else None
        axes.append(stretched if vector is None else np.resize(vector, result))
    return view.result(
        axes, zero=x.zero and all(a == b for a, b in zip(x.shape, view.shapes[0], strict=True))
    )


def constant_of_shape(view: NodeView) -> Labelled:
    """Any size will do: what is filled in stretches."""
    value = view.node.attributes.get_tensor("value")
    zero = value is None or not value.numpy().any()
    return view.result([view.stretched(size) for size in view.shapes[0]], zero=zero)


def depth_to_space(view: NodeView) -> Labelled:
    """The b² channels that become one pixel's neighbours are one channel."""
    x, size = view.required(), view.node.attributes.get_int("blocksize", 1)
    outs = view.shapes[0][1]
    first = view.node.attributes.get_string("mode", "DCR") == "CRD"
    sizes = (outs, size * size) if first else (size * size, outs)
    return _blocks(view, x, view.fold(x.axes[1], sizes, 0 if first else 1))


def space_to_depth(view: NodeView) -> Labelled:
    """[N, C, H, W] → [N, b² · C, …]: each input channel is b² output channels."""
    x, size = view.required(), view.node.attributes.get_int("blocksize", 1)
    return _blocks(view, x, None if x.axes[1] is None else np.tile(x.axes[1], size * size))


def _blocks(view: NodeView, x: Labelled, channels: Vector | None) -> Labelled:
    for vector in x.axes[2:]:
        view.pin(vector, f"{view} slides over them")
    return view.result([x.axes[0], channels, None, None], zero=x.zero)


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
