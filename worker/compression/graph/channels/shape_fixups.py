"""What a node says about the sizes of its values, said again after a cut: one short function for each operator.

The labels before and behind a node tell every number: how many are left in a piece, before a bound, along an axis.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels.fixup import Mask, Repair
from worker.compression.graph.channels.node_view import Labelled, constant, integers

SPLIT_BY_INPUT: Final = 13


def groups(w: int) -> Callable[[Repair], None]:
    """`group`: how many of them have a channel left."""

    def repair(it: Repair) -> None:
        count = it.node.attributes.get_int("group", 1)
        weight = it.before(w)
        assert weight is not None
        axis = weight.axes[0]
        if count == 1 or axis is None or not it.cut[axis].any():
            return
        left = (~it.cut[axis]).reshape(count, -1).any(1).sum()
        it.node.attributes["group"] = ir.AttrInt64("group", int(left))

    return repair


def shape_of_result(index: int, relative: tuple[int, ...] = ()) -> Callable[[Repair], None]:
    """An input that is the shape of the result."""

    def repair(it: Repair) -> None:
        if new := it.changed(it.behind()):
            it.entries(index, new, relative=relative)

    return repair


def reshape(it: Repair) -> None:
    """0 stays where it still copies the right size, −1 is what is left."""
    new = it.changed(it.behind())
    if not new:
        return
    source, shape = it.before(), constant(it.node, 1)
    copies = shape is not None and not it.node.attributes.get_int("allowzero", 0)
    sizes = it.changed(source)
    follows = {a for a, n in new.items() if copies and shape[a] == 0 and sizes.get(a) == n}  # type: ignore[index]
    it.entries(1, {a: n for a, n in new.items() if a not in follows}, relative=(-1,))


def split(it: Repair) -> None:
    x = it.before()
    axis = it.node.attributes.get_int("axis", 0)
    if it.stays(x, axis) is None:
        return
    sizes = []
    for output in range(len(it.node.outputs)):
        piece = it.behind(output)
        assert piece is not None
        mask = it.stays(piece, axis)
        sizes.append(piece.shape[axis] if mask is None else int(mask.sum()))
    it.node.attributes.pop("num_outputs", None)
    it.write("split", 1 if it.opset >= SPLIT_BY_INPUT else -1, sizes)


def slice_(it: Repair) -> None:
    """A bound moves by what is cut before it."""
    x = it.before()
    starts, ends = (integers(it.node, n, i, it.numbers) for n, i in (("starts", 1), ("ends", 2)))
    if x is None or starts is None or ends is None or not it.changed(x):
        return
    axes = integers(it.node, "axes", 3) or list(range(len(starts)))
    steps = integers(it.node, "steps", 4) or [1] * len(starts)
    for place, axis in enumerate(axes):
        mask = it.stays(x, axis)
        if mask is not None:
            size = len(mask)
            first, last, _ = slice(starts[place], ends[place], steps[place]).indices(size)
            starts[place], ends[place] = _bounds(mask, first, last, steps[place])
    it.write("starts", 1, starts)
    it.write("ends", 2, ends)


def _bounds(mask: Mask, first: int, last: int, step: int) -> tuple[int, int]:
    """Forward: what stays before each bound; neighbours that are stepped over stay or go together, so a start keeps its
    place among them. Backward: what stays up to each bound, and before all is −size − 1.
    """
    if step > 0:
        run = first - first % step
        return int(mask[:run].sum()) + first % step, int(mask[:last].sum())
    end = int(mask[: last + 1].sum()) - 1
    return int(mask[: first + 1].sum()) - 1, end if end >= 0 else -len(mask) - 1


def pad(it: Repair) -> None:
    behind = it.behind()
    pads = integers(it.node, "pads", 1)
    if behind is None or pads is None or not it.changed(behind):
        return
    half = len(pads) // 2
    for place, axis in enumerate(integers(it.node, "axes", 3) or range(half)):
        mask = it.stays(behind, axis)
        if mask is not None:
            before, after = pads[place], pads[place + half]
            pads[place] = _left(it, behind, axis, 0, before)
            pads[place + half] = _left(it, behind, axis, behind.shape[axis] - after, after)
    it.write("pads", 1, pads)


def _left(it: Repair, behind: Labelled, axis: int, start: int, size: int) -> int:
    vector = behind.axes[axis]
    assert vector is not None
    return int((~it.cut[vector[start : start + size]]).sum()) if size > 0 else size


def gather(it: Repair) -> None:
    """Indices that stay, counted anew."""
    x, chosen = it.before(), constant(it.node, 1)
    axis = it.node.attributes.get_int("axis", 0)
    mask = it.stays(x, axis)
    if mask is None or chosen is None:
        return
    places = np.cumsum(mask) - 1
    wanted = chosen % len(mask)
    it.put(1, places[wanted[mask[wanted]]] if chosen.ndim else places[wanted])


def gather_nd(it: Repair) -> None:
    mask, chosen = it.stays(it.before(), 0), constant(it.node, 1)
    if mask is not None and chosen is not None:
        wanted = chosen % len(mask)
        it.put(1, (np.cumsum(mask) - 1)[wanted[mask[wanted[:, 0]]]])


def tile(it: Repair) -> None:
    """Only an axis of size 1 is repeated for the sake of channels."""
    before, behind = it.before(), it.behind()
    new = {
        axis: n for axis, n in it.changed(behind).items() if before is not None and before.shape[axis] == 1
    }
    if new:
        it.entries(1, new)


def resize(it: Repair) -> None:
    """Sizes, where they are given; the axes they are for may be named."""
    behind = it.behind()
    if len(it.node.inputs) < 4 or it.node.inputs[3] is None or behind is None:
        return
    named = list(it.node.attributes.get_ints("axes") or range(len(behind.shape)))
    new = {named.index(axis): n for axis, n in it.changed(behind).items() if axis in named}
    if new:
        it.entries(3, new)


def hidden_size(it: Repair) -> None:
    mask = it.stays(it.before(2), 2)
    if mask is not None:
        it.node.attributes["hidden_size"] = ir.AttrInt64("hidden_size", int(mask.sum()))


def num_groups(it: Repair) -> None:
    count = it.node.attributes.get_int("num_groups", 1)
    mask = it.stays(it.before(), 1)
    if mask is not None:
        it.node.attributes["num_groups"] = ir.AttrInt64(
            "num_groups", int(mask.reshape(count, -1).any(1).sum())
        )


REPAIRS: Final[dict[str, Callable[[Repair], None]]] = {
    "Conv": groups(1),
    "FusedConv": groups(1),
    "ConvInteger": groups(1),
    "QLinearConv": groups(3),
    "ConvTranspose": groups(1),
    "Reshape": reshape,
    "Expand": shape_of_result(1),
    "ConstantOfShape": shape_of_result(0),
    "Split": split,
    "Slice": slice_,
    "Pad": pad,
    "Gather": gather,
    "GatherND": gather_nd,
    "Tile": tile,
    "Resize": resize,
    "GroupNormalization": num_groups,
    "LSTM": hidden_size,
    "GRU": hidden_size,
    "RNN": hidden_size,
}
