"""Parts of outputs that are joined of several: boxes in pixels beside scores below 1, whose errors are told apart.

The noise of the larger part would drown the smaller one: 40 dB of the whole are compatible with scores that are all 0.

    Concat               its inputs, along its axis; along the others what all of them have
    Transpose, Reshape   the same parts, where the axis can be followed
    Sigmoid, Mul, …      those of what is computed element by element

An output is taken apart along the axis whose parts differ most in range, by a factor of `UNEVEN` at least.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.values import required_input

UNEVEN: Final = 16.0
MAX_PARTS: Final = 64
MAX_DEPTH: Final = 32
"""Nodes between an output and what it is joined of."""
ELEMENTWISE: Final = frozenset(
    {"Add", "Cast", "Clip", "Div", "Exp", "Identity", "Mul", "Relu", "Sigmoid", "Softmax", "Sub", "Tanh"}
)

Sizes = dict[int, tuple[int, ...]]
"""Of the parts along an axis, counted from the end."""


@dataclass(frozen=True)
class Parts:
    """Of one output: where along the axis each begins and the last one ends; `ranges` are the largest and the least
    of their largest magnitudes."""

    axis: int
    bounds: tuple[int, ...]
    ranges: tuple[float, float]

    def split(self, x: Array) -> list[Array]:
        """Take an array apart; one that is not as long as the float model's stays whole."""
        if x.ndim < -self.axis or x.shape[self.axis] != self.bounds[-1]:
            return [x]
        return np.split(x, self.bounds[1:-1], axis=self.axis)


def joined_parts(model: ir.Model) -> dict[str, Sizes]:
    """Find what the outputs are joined of, as far as the graph says it: by their names."""
    found = {str(value.name): _sizes(value, MAX_DEPTH) for value in model.graph.outputs}
    return {name: sizes for name, sizes in found.items() if sizes}


def uneven_parts(sizes: Mapping[int, Sequence[int]], arrays: Sequence[Array]) -> Parts | None:
    """Choose the axis whose parts differ most in these answers; None where they hardly do."""
    best: Parts | None = None
    for axis, along in sizes.items():
        bounds = tuple(int(bound) for bound in np.cumsum([0, *along]))
        if len(along) > MAX_PARTS or any(x.ndim < -axis or x.shape[axis] != bounds[-1] for x in arrays):
            continue
        largest = np.max([_largest(x, axis, bounds) for x in arrays], axis=0)
        alive = largest[largest > 0]
        if len(alive) < len(largest) or alive.max() < UNEVEN * alive.min():
            continue
        parts = Parts(axis, bounds, (float(alive.max()), float(alive.min())))
        if best is None or parts.ranges[0] / parts.ranges[1] > best.ranges[0] / best.ranges[1]:
            best = parts
    return best


def _largest(x: Array, axis: int, bounds: Sequence[int]) -> list[float]:
    by_place = np.moveaxis(np.nan_to_num(x, posinf=0, neginf=0), axis, 0)
    return [float(np.abs(by_place[start:end]).max(initial=0)) for start, end in pairwise(bounds)]


def _shape(value: ir.Value) -> tuple[int | None, ...] | None:
    if value.shape is None:
        return None
    return tuple(size if isinstance(size, int) else None for size in value.shape)


def _sizes(value: ir.Value, depth: int) -> Sizes:
    node = value.producer()
    if node is None or depth == 0 or node.domain not in ("", "ai.onnx"):
        return {}
    if node.op_type == "Concat":
        return _of_concat(node, depth)
    if node.op_type in ELEMENTWISE:
        same = [
            v for v in node.inputs if v is not None and v.const_value is None and _shape(v) == _shape(value)
        ]
        return _sizes(same[0], depth - 1) if same and _shape(value) is not None else {}
    before, after = _shape(required_input(node, 0)) if node.inputs else None, _shape(value)
    if before is None or after is None or node.op_type not in ("Transpose", "Reshape", "Flatten"):
        return {}
    inner = _sizes(required_input(node, 0), depth - 1)
    if node.op_type == "Transpose":
        perm = (
            list(node.attributes["perm"].as_ints())
            if "perm" in node.attributes
            else [*range(len(before))][::-1]
        )
        return {perm.index(axis + len(before)) - len(before): sizes for axis, sizes in inner.items()}
    return _reshaped(inner, before, after)


def _of_concat(node: ir.Node, depth: int) -> Sizes:
    values = [value for value in node.inputs if value is not None]
    shapes = [_shape(value) for value in values]
    if any(shape is None for shape in shapes):
        return {}
    known = [shape for shape in shapes if shape is not None]
    axis = node.attributes["axis"].as_int()
    axis = axis - len(known[0]) if axis >= 0 else axis
    inner = [_sizes(value, depth - 1) for value in values]
    common = {
        other: sizes
        for other, sizes in inner[0].items()
        if other != axis and all(each.get(other) == sizes for each in inner)
    }
    along = [shape[axis] for shape in known]
    if None in along or len(along) < 2:
        return common
    parts = [each.get(axis, (int(size or 0),)) for each, size in zip(inner, along, strict=True)]
    return common | {axis: tuple(size for sizes in parts for size in sizes)}


def _reshaped(inner: Sizes, before: tuple[int | None, ...], after: tuple[int | None, ...]) -> Sizes:
    """Axes stay that have the same sizes before them, or behind them."""
    sizes: Sizes = {}
    for axis, along in inner.items():
        at = axis + len(before)
        if before[: at + 1] == after[: at + 1] and None not in before[1 : at + 1]:
            sizes[at - len(after)] = along
        elif before[at:] == after[axis:] and len(after) >= -axis and None not in before[at:]:
            sizes[axis] = along
    return sizes
