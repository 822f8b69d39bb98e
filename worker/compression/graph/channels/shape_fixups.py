"""Adapt what nodes say about the sizes of their values to a cut: one short function for each operator.

The labels of inputs and results give every number: how many are kept in a piece, before a bound, along an axis.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels.fixup import Fixup, Mask
from worker.compression.graph.channels.labels.node_view import Labelled, constant, integers

SPLIT_BY_INPUT: Final = 13
HEADS_ON_LAST_AXIS: Final = 3
"""Axes of an operand [batch, length, heads · width]."""


def groups(w: int) -> Callable[[Fixup], None]:
    """Set `group` to the number of groups that keep a channel; `w` is the index of the weight."""

    def set_group(fixup: Fixup) -> None:
        count = fixup.node.attributes.get_int("group", 1)
        weight = fixup.input_labels(w)
        assert weight is not None
        axis = weight.axes[0]
        if count == 1 or axis is None or not fixup.cut[axis].any():
            return
        remaining = (~fixup.cut[axis]).reshape(count, -1).any(1).sum()
        fixup.node.attributes["group"] = ir.AttrInt64("group", int(remaining))

    return set_group


def shape_of_result(index: int) -> Callable[[Fixup], None]:
    """Change the input that is the shape of the result."""

    def set_shape(fixup: Fixup) -> None:
        if new := fixup.new_sizes(fixup.output_labels()):
            fixup.set_entries(index, new)

    return set_shape


def reshape(fixup: Fixup) -> None:
    """Change the target shape: 0 stays where it still copies the right size, −1 follows from the rest."""
    new = fixup.new_sizes(fixup.output_labels())
    if not new:
        return
    source, shape = fixup.input_labels(), constant(fixup.node, 1)
    copies = shape is not None and not fixup.node.attributes.get_int("allowzero", 0)
    sizes = fixup.new_sizes(source)
    follows = {a for a, n in new.items() if copies and shape[a] == 0 and sizes.get(a) == n}  # type: ignore[index]
    fixup.set_entries(1, {a: n for a, n in new.items() if a not in follows}, relative=(-1,))


def split(fixup: Fixup) -> None:
    """Set the sizes of the pieces to what is kept of each."""
    x = fixup.input_labels()
    axis = fixup.node.attributes.get_int("axis", 0)
    if fixup.kept_mask(x, axis) is None:
        return
    sizes = []
    for output in range(len(fixup.node.outputs)):
        piece = fixup.output_labels(output)
        assert piece is not None
        mask = fixup.kept_mask(piece, axis)
        sizes.append(piece.shape[axis] if mask is None else int(mask.sum()))
    fixup.node.attributes.pop("num_outputs", None)
    fixup.write_numbers("split", 1 if fixup.opset >= SPLIT_BY_INPUT else -1, sizes)


def slice_(fixup: Fixup) -> None:
    """Move each bound by what is cut before it."""
    x = fixup.input_labels()
    starts, ends = (
        integers(fixup.node, n, i, fixup.labelling.run.numbers) for n, i in (("starts", 1), ("ends", 2))
    )
    if x is None or starts is None or ends is None or not fixup.new_sizes(x):
        return
    axes = integers(fixup.node, "axes", 3) or list(range(len(starts)))
    steps = integers(fixup.node, "steps", 4) or [1] * len(starts)
    for place, axis in enumerate(axes):
        mask = fixup.kept_mask(x, axis)
        if mask is not None:
            size = len(mask)
            first, last, _ = slice(starts[place], ends[place], steps[place]).indices(size)
            starts[place], ends[place] = _bounds(mask, first, last, steps[place])
    fixup.write_numbers("starts", 1, starts)
    fixup.write_numbers("ends", 2, ends)


def _bounds(mask: Mask, first: int, last: int, step: int) -> tuple[int, int]:
    """Count bounds after the cut.

    Forward: what is kept before each bound; neighbours that are stepped over stay or go together, so a start keeps its
    place among them. Backward: what is kept up to each bound, and before all is −size − 1.
    """
    if step > 0:
        run = first - first % step
        return int(mask[:run].sum()) + first % step, int(mask[:last].sum())
    end = int(mask[: last + 1].sum()) - 1
    return int(mask[: first + 1].sum()) - 1, end if end >= 0 else -len(mask) - 1


def pad(fixup: Fixup) -> None:
    """Count anew how many of the padded places are kept."""
    behind = fixup.output_labels()
    pads = integers(fixup.node, "pads", 1)
    if behind is None or pads is None or not fixup.new_sizes(behind):
        return
    half = len(pads) // 2
    for place, axis in enumerate(integers(fixup.node, "axes", 3) or range(half)):
        mask = fixup.kept_mask(behind, axis)
        if mask is not None:
            before, after = pads[place], pads[place + half]
            pads[place] = _kept_count(fixup, behind, axis, 0, before)
            pads[place + half] = _kept_count(fixup, behind, axis, behind.shape[axis] - after, after)
    fixup.write_numbers("pads", 1, pads)


def _kept_count(fixup: Fixup, behind: Labelled, axis: int, start: int, size: int) -> int:
    vector = behind.axes[axis]
    assert vector is not None
    return int((~fixup.cut[vector[start : start + size]]).sum()) if size > 0 else size


def gather(fixup: Fixup) -> None:
    """Renumber constant indices, without those that are cut."""
    x, chosen = fixup.input_labels(), constant(fixup.node, 1)
    axis = fixup.node.attributes.get_int("axis", 0)
    mask = fixup.kept_mask(x, axis)
    if mask is None or chosen is None:
        return
    places = np.cumsum(mask) - 1
    wanted = chosen % len(mask)
    fixup.set_input(1, places[wanted[mask[wanted]]] if chosen.ndim else places[wanted])


def gather_nd(fixup: Fixup) -> None:
    """Renumber the indices of the first axis, without those of what is cut."""
    mask, chosen = fixup.kept_mask(fixup.input_labels(), 0), constant(fixup.node, 1)
    if mask is not None and chosen is not None:
        wanted = chosen % len(mask)
        fixup.set_input(1, (np.cumsum(mask) - 1)[wanted[mask[wanted[:, 0]]]])


def tile(fixup: Fixup) -> None:
    """Change repeats along axes of size 1: no others are repeated for the sake of channels."""
    before, behind = fixup.input_labels(), fixup.output_labels()
    new = {
        axis: n
        for axis, n in fixup.new_sizes(behind).items()
        if before is not None and before.shape[axis] == 1
    }
    if new:
        fixup.set_entries(1, new)


def resize(fixup: Fixup) -> None:
    """Change explicit sizes; the axes they are for may be named."""
    behind = fixup.output_labels()
    if len(fixup.node.inputs) < 4 or fixup.node.inputs[3] is None or behind is None:
        return
    named = list(fixup.node.attributes.get_ints("axes") or range(len(behind.shape)))
    new = {named.index(axis): n for axis, n in fixup.new_sizes(behind).items() if axis in named}
    if new:
        fixup.set_entries(3, new)


def hidden_size(fixup: Fixup) -> None:
    """Set the number of units that are kept."""
    mask = fixup.kept_mask(fixup.input_labels(2), 2)
    if mask is not None:
        fixup.node.attributes["hidden_size"] = ir.AttrInt64("hidden_size", int(mask.sum()))


def num_groups(fixup: Fixup) -> None:
    """Count the groups of which anything is kept."""
    count = fixup.node.attributes.get_int("num_groups", 1)
    mask = fixup.kept_mask(fixup.input_labels(), 1)
    if mask is not None:
        fixup.node.attributes["num_groups"] = ir.AttrInt64(
            "num_groups", int(mask.reshape(count, -1).any(1).sum())
        )


def head_counts(*names: str) -> Callable[[Fixup], None]:
    """Count the heads of which anything is kept, where they share an axis with their width: of each input by name."""

    def set_counts(fixup: Fixup) -> None:
        for index, name in enumerate(names):
            labelled, count = fixup.input_labels(index), fixup.node.attributes.get_int(name, 0)
            if not count or labelled is None or len(labelled.shape) != HEADS_ON_LAST_AXIS:
                continue
            mask = fixup.kept_mask(labelled, 2)
            if mask is not None:
                remaining = int(mask.reshape(count, -1).any(1).sum())
                fixup.node.attributes[name] = ir.AttrInt64(name, remaining)

    return set_counts


FIXUPS: Final[dict[str, Callable[[Fixup], None]]] = {
    "Conv": groups(1),
    "FusedConv": groups(1),
    "ConvInteger": groups(1),
    "QLinearConv": groups(3),
    "ConvTranspose": groups(1),
    "Reshape": reshape,
    "Expand": shape_of_result(1),
    "ConstantOfShape": shape_of_result(0),
    "Attention": head_counts("q_num_heads", "kv_num_heads"),
    "RotaryEmbedding": head_counts("num_heads"),
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
