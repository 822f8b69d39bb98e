"""Operators that move values: other shapes, slices, joins, channels into space and back, sampling on a grid."""

import math
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator
from worker.compression.engine.operators.arguments import integers


def reshape(attributes: Attributes) -> Function:
    """Reshape; 0 in the shape keeps an axis, unless `allowzero`; −1 is what is left."""
    keeps = not attributes.integer("allowzero", 0)

    def run(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        sizes = shape.tolist()
        if keeps and 0 in sizes:
            sizes = [size or x.shape[i] for i, size in enumerate(sizes)]
        return x.reshape(sizes)

    return run


def flatten(attributes: Attributes) -> Function:
    """Flatten to two axes, [d₀ ⋯ d_{axis−1}, d_axis ⋯]."""
    axis = attributes.integer("axis", 1)

    def run(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(math.prod(x.shape[: axis if axis >= 0 else axis + x.ndim]), -1)

    return run


def transpose(attributes: Attributes) -> Function:
    """Permute the axes; without `perm` they are reversed."""
    order = attributes.integers("perm")
    return lambda x: x.permute(order if order is not None else tuple(reversed(range(x.ndim))))


def squeeze(attributes: Attributes) -> Function:
    """Drop the axes that are named, by attribute or input; without names all of size 1."""
    axes_of = integers(attributes, "axes")

    def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
        unit_axes = axes_of(axes)
        return x.squeeze() if unit_axes is None else x.squeeze(unit_axes)

    return run


def unsqueeze(attributes: Attributes) -> Function:
    """Insert axes, which count in the result."""
    axes_of = integers(attributes, "axes")

    def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
        unit_axes = axes_of(axes) or []
        rank = x.ndim + len(unit_axes)
        for axis in sorted(axis % rank for axis in unit_axes):
            x = x.unsqueeze(axis)
        return x

    return run


def concat(attributes: Attributes) -> Function:
    """Join along one axis."""
    axis = attributes.integer("axis", 1)
    return lambda *parts: torch.cat(parts, axis)


def split(attributes: Attributes) -> Function:
    """Split into these lengths, else into as many parts as outputs, the last one the shorter."""
    axis, parts, lengths_of = attributes.integer("axis", 0), attributes.outputs, integers(attributes, "split")

    def run(x: torch.Tensor, lengths: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
        sizes = lengths_of(lengths)
        return torch.split(x, -(-x.shape[axis] // parts) if sizes is None else sizes, axis)

    return run


def slice_(attributes: Attributes) -> Function:
    """Take x[…, start:end:step, …] as numpy has it."""
    starts_of, ends_of = integers(attributes, "starts"), integers(attributes, "ends")
    axes_of = integers(attributes, "axes")

    def run(
        x: torch.Tensor,
        starts: torch.Tensor | None = None,
        ends: torch.Tensor | None = None,
        axes: torch.Tensor | None = None,
        steps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        begins = starts_of(starts) or []
        strides = steps.tolist() if steps is not None else [1] * len(begins)
        places = axes_of(axes) or range(len(begins))
        for axis, start, end, step in zip(places, begins, ends_of(ends) or [], strides, strict=True):
            x = _sliced(x, axis, slice(start, end, step))
        return x

    return run


def _sliced(x: torch.Tensor, axis: int, part: slice) -> torch.Tensor:
    """Slice one axis, backward too: torch slices forward only."""
    if part.step > 0:
        return x[(slice(None),) * (axis % x.ndim) + (part,)]
    taken = range(*part.indices(x.shape[axis]))
    return x.index_select(axis, torch.tensor(taken, dtype=torch.int64, device=x.device))


def expand(attributes: Attributes) -> Function:
    """Broadcast x and the shape with each other: a 1 in the shape keeps x's axis."""

    def run(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
        return x.expand(np.broadcast_shapes(x.shape, tuple(shape.tolist())))

    return run


def tile(attributes: Attributes) -> Function:
    """Repeat x so many times along each axis."""
    return lambda x, repeats: x.repeat(repeats.tolist())


GRID_MODES: Final = {"linear": "bilinear", "cubic": "bicubic"}


def depth_to_space(attributes: Attributes) -> Function:
    """Move channels into space: [N, C b², H, W] → [N, C, H b, W b]. Channels are b, b, C (DCR) or C, b, b (CRD)."""
    block = attributes.integer("blocksize", 1)
    if attributes.text("mode", "DCR") == "CRD":
        return lambda x: functional.pixel_shuffle(x, block)

    def run(x: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = x.shape
        parts = x.reshape(n, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
        return parts.reshape(n, channels // block**2, height * block, width * block)

    return run


def space_to_depth(attributes: Attributes) -> Function:
    """Move space into channels: [N, C, H b, W b] → [N, C b², H, W], channels as in DepthToSpace."""
    block = attributes.integer("blocksize", 1)
    if attributes.text("mode", "DCR") == "CRD":
        return lambda x: functional.pixel_unshuffle(x, block)

    def run(x: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = x.shape
        parts = x.reshape(n, channels, height // block, block, width // block, block).permute(
            0, 3, 5, 1, 2, 4
        )
        return parts.reshape(n, channels * block**2, height // block, width // block)

    return run


def grid_sample(attributes: Attributes) -> Function:
    """Sample x [N, C, …] at the places of a grid [N, …, axes] from −1 to 1."""
    mode = attributes.text("mode", "bilinear")
    mode = GRID_MODES.get(mode, mode)
    padding, corners = attributes.text("padding_mode", "zeros"), bool(attributes.integer("align_corners", 0))
    return lambda x, grid: functional.grid_sample(x.to(grid.dtype), grid, mode, padding, corners)


def affine_grid(attributes: Attributes) -> Function:
    """Make the grid of a shape [N, C, …] under the matrix theta."""
    corners = bool(attributes.integer("align_corners", 0))
    return lambda theta, size: functional.affine_grid(theta, size.tolist(), corners)


OPERATORS: Final[dict[str, Operator]] = {
    "Reshape": Operator(reshape, since=5, host=(1,)),
    "Flatten": Operator(flatten),
    "Transpose": Operator(transpose),
    "Squeeze": Operator(squeeze, host=(1,)),
    "Unsqueeze": Operator(unsqueeze, host=(1,)),
    "Concat": Operator(concat),
    "Split": Operator(split, since=2, host=(1,)),
    "Slice": Operator(slice_, host=(1, 2, 3, 4)),
    "Expand": Operator(expand, host=(1,)),
    "Tile": Operator(tile, since=6, host=(1,)),
    "DepthToSpace": Operator(depth_to_space),
    "SpaceToDepth": Operator(space_to_depth),
    "GridSample": Operator(grid_sample),
    "AffineGrid": Operator(affine_grid, host=(1,)),
}
