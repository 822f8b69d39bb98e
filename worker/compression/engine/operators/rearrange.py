"""Channels into space and back, and sampling on a grid."""

from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.attributes import Attributes
from worker.compression.engine.operator import Function, Operator

GRID_MODES: Final = {"linear": "bilinear", "cubic": "bicubic"}


def depth_to_space(attributes: Attributes) -> Function:
    """[N, C b², H, W] → [N, C, H b, W b]; the channels are of shape b, b, C (DCR) or C, b, b (CRD)."""
    block = attributes.integer("blocksize", 1)
    if attributes.text("mode", "DCR") == "CRD":
        return lambda x: functional.pixel_shuffle(x, block)

    def run(x: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = x.shape
        parts = x.reshape(n, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
        return parts.reshape(n, channels // block**2, height * block, width * block)

    return run


def space_to_depth(attributes: Attributes) -> Function:
    """[N, C, H b, W b] → [N, C b², H, W], channels as in DepthToSpace."""
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
    """x [N, C, …] at the places of a grid [N, …, axes] from −1 to 1."""
    mode = attributes.text("mode", "bilinear")
    mode = GRID_MODES.get(mode, mode)
    padding, corners = attributes.text("padding_mode", "zeros"), bool(attributes.integer("align_corners", 0))
    return lambda x, grid: functional.grid_sample(x.to(grid.dtype), grid, mode, padding, corners)


def affine_grid(attributes: Attributes) -> Function:
    """The grid of a shape [N, C, …] under the matrix theta."""
    corners = bool(attributes.integer("align_corners", 0))
    return lambda theta, size: functional.affine_grid(theta, size.tolist(), corners)


OPERATORS: Final[dict[str, Operator]] = {
    "DepthToSpace": Operator(depth_to_space),
    "SpaceToDepth": Operator(space_to_depth),
    "GridSample": Operator(grid_sample),
    "AffineGrid": Operator(affine_grid, host=(1,)),
}
