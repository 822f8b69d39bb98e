"""Reshape, Flatten, Squeeze and Unsqueeze: axes that are taken apart and put together again.

Axes of the input and of the result whose sizes have the same product belong together, in order; inside such a block
both are made of the same atoms. An axis with labels that is taken apart keeps its channels apart along one of its
pieces only: [g·c] → [g, c] has c channels of g values each, or g of c.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.labels.node_view import UNKNOWN, Labelled, NodeView, Rule


@dataclass(frozen=True)
class Piece:
    """What an input's axis gives to an axis of the result."""

    size: int
    labels: Vector | None = None


def reshape(view: NodeView) -> Labelled:
    """Labels follow their values where blocks of axes correspond; else they are pinned."""
    x, shape = view.required(), view.shapes[0]
    axes: list[Vector | None] = [None] * len(shape)
    if UNKNOWN in (*x.shape, *shape) or math.prod(x.shape) != math.prod(shape):
        view.pin_all(f"{view} has a shape that only the data tell")
        return view.result(axes)
    for ins, outs in blocks(x.shape, shape):
        labelled = [x.axes[axis] for axis in ins]
        if all(vector is None for vector in labelled):
            continue
        parts = pieces([x.shape[axis] for axis in ins], [shape[axis] for axis in outs])
        if parts is None:
            for vector in labelled:
                view.pin(vector, f"{view} cuts across them")
            continue
        filled = _fill(view, ins, labelled, parts)
        for place, axis in enumerate(outs):
            axes[axis] = _together(view, filled[place])
    return view.result(axes, zero=x.zero)


def blocks(before: Sequence[int], after: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
    """The smallest runs of axes with the same product, without axes of size 1."""
    before_axes = [axis for axis, size in enumerate(before) if size != 1]
    after_axes = [axis for axis, size in enumerate(after) if size != 1]
    while before_axes and after_axes:
        ins, outs = [before_axes.pop(0)], [after_axes.pop(0)]
        while (a := math.prod(before[i] for i in ins)) != (b := math.prod(after[i] for i in outs)):
            (ins if a < b else outs).append((before_axes if a < b else after_axes).pop(0))
        yield ins, outs


def pieces(ins: Sequence[int], outs: Sequence[int]) -> list[list[tuple[int, int]]] | None:
    """For each output axis the (input axis, size) it is made of; None where axes are cut across."""
    made: list[list[tuple[int, int]]] = [[] for _ in outs]
    source, target, rest, room = 0, 0, ins[0], outs[0]
    while True:
        size = min(rest, room)
        if rest % size or room % size:
            return None
        made[target].append((source, size))
        rest, room = rest // size, room // size
        if rest == 1 and (source := source + 1) < len(ins):
            rest = ins[source]
        if room == 1 and (target := target + 1) < len(outs):
            room = outs[target]
        if source == len(ins) or target == len(outs):
            return made


def _fill(
    view: NodeView, ins: list[int], labelled: list[Vector | None], parts: list[list[tuple[int, int]]]
) -> list[list[Piece]]:
    """Give the labels of each input axis to the one piece that keeps them."""
    filled = [[Piece(size) for _, size in part] for part in parts]
    for source, vector in enumerate(labelled):
        if vector is None:
            continue
        places = [
            (o, i) for o, part in enumerate(parts) for i, (axis, _) in enumerate(part) if axis == source
        ]
        sizes = [parts[o][i][1] for o, i in places]
        pieces_of_axis = view.apart(vector, sizes, ins[source])
        for (o, i), size, labels in zip(places, sizes, pieces_of_axis, strict=True):
            filled[o][i] = Piece(size, labels)
    return filled


def _together(view: NodeView, parts: list[Piece]) -> Vector | None:
    """Each label for all the indices that its piece is part of."""
    labelled = [(i, piece.labels) for i, piece in enumerate(parts) if piece.labels is not None]
    if not labelled:
        return None
    widest, labels = max(
        labelled,
        key=lambda pair: (not view.is_stretched(pair[1]), view.is_favoured(pair[1]), len(pair[1])),
    )
    for i, others in labelled:
        if i != widest:
            view.pin(others, f"{view} joins them with other channels")
    sizes = [piece.size for piece in parts]
    along = [size if i == widest else 1 for i, size in enumerate(sizes)]
    return np.broadcast_to(labels.reshape(along), sizes).reshape(-1)


RULES: Final[dict[str, Rule]] = {
    "Reshape": reshape,
    "Flatten": reshape,
    "Squeeze": reshape,
    "Unsqueeze": reshape,
}
