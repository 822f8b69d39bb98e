"""Resize and Upsample: by torch's own interpolation where it is the same, else by a matrix for each axis."""

import functools
import math
from typing import Final

import numpy as np
import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator
from worker.compression.engine.operators.arguments import constant
from worker.compression.engine.operators.interpolation import Interpolation

ROI: Final = 11
"""From this version on scales are the third input; before it there is no transformation but `asymmetric`."""
TORCHS_COEFFICIENT: Final = -0.75
LINEAR: Final = {3: "linear", 4: "bilinear", 5: "trilinear"}


def resize(attributes: Attributes) -> Function:
    """To `sizes`, or by `scales`, of all axes or of `axes`. Upsample is the Resize of version 10."""
    how, modern = _how(attributes), attributes.opset >= ROI
    axes, policy = attributes.integers("axes"), attributes.text("keep_aspect_ratio_policy", "stretch")
    known = attributes.numbers("scales") or constant(attributes, 2 if modern else 1)

    def run(x: torch.Tensor, *rest: torch.Tensor | None) -> torch.Tensor:
        scale_input, sizes = (*(rest if modern else (None, *rest)), None, None, None)[1:3]
        scales = known or (scale_input.tolist() if scale_input is not None and scale_input.numel() else None)
        places = [axis % x.ndim for axis in axes] if axes else list(range(x.ndim))
        if scales is None:
            assert sizes is not None
            pairs = _fitted([x.shape[axis] for axis in places], sizes.tolist(), policy)
        else:
            pairs = [(_length(x.shape[axis], s), s) for axis, s in zip(places, scales, strict=True)]
        return resized(x, dict(zip(places, pairs, strict=True)), how)

    return run


def _length(size: int, scale: float) -> int:
    """In float32, as ONNX Runtime rounds."""
    return int(np.float32(size) * np.float32(scale))


def _how(attributes: Attributes) -> Interpolation:
    modern = attributes.opset >= ROI
    mode = attributes.text("mode", "nearest")
    return Interpolation(
        mode={"bilinear": "linear", "trilinear": "linear"}.get(mode, mode),
        transformation=attributes.text("coordinate_transformation_mode", "half_pixel")
        if modern
        else "asymmetric",
        rounding=attributes.text("nearest_mode", "round_prefer_floor") if modern else "floor",
        coefficient=attributes.number("cubic_coeff_a", -0.75),
        exclude_outside=bool(attributes.integer("exclude_outside", 0)),
        antialias=bool(attributes.integer("antialias", 0)),
    )


def _fitted(have: list[int], wanted: list[int], policy: str) -> list[tuple[int, float]]:
    """Size and scale of each axis: the sizes as they are, or one scale for all, so that none is larger (smaller)."""
    scales = [to / size for size, to in zip(have, wanted, strict=True)]
    if policy == "stretch":
        return list(zip(wanted, scales, strict=True))
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [(math.floor(scale * size + 0.5), scale) for size in have]


def resized(x: torch.Tensor, sizes: dict[int, tuple[int, float]], how: Interpolation) -> torch.Tensor:
    """x with each axis of that size, by that scale. Where no size changes nothing does, as in ONNX Runtime."""
    if all(wanted == x.shape[axis] for axis, (wanted, _) in sizes.items()):
        return x
    moved = {axis: to for axis, to in sizes.items() if to[0] != x.shape[axis] or to[1] != 1.0}
    if x.ndim in LINEAR and min(moved) > 1 and (own := _torchs(x, moved, how)) is not None:
        return own
    for axis, (wanted, scale) in moved.items():
        x = _along(x, axis, wanted, scale, how)
    return x


def _torchs(x: torch.Tensor, moved: dict[int, tuple[int, float]], how: Interpolation) -> torch.Tensor | None:
    """By `functional.interpolate`, where it computes the same."""
    if how.antialias or how.exclude_outside or not x.is_floating_point():
        return None
    sizes = [moved.get(axis, (x.shape[axis], 1.0)) for axis in range(2, x.ndim)]
    wanted = [size for size, _ in sizes]
    exact = all(
        abs(n * scale - size) < 1e-6 * size for n, (size, scale) in zip(x.shape[2:], sizes, strict=True)
    )
    if how.mode == "nearest":
        whole = exact and all(scale == int(scale) for _, scale in sizes)
        return functional.interpolate(x, wanted, mode="nearest") if whole and _repeats(how) else None
    corners = how.transformation == "align_corners"
    centred = how.transformation in ("half_pixel", "pytorch_half_pixel") and exact and min(wanted) > 1
    if not corners and not centred:
        return None
    if how.mode == "linear":
        return functional.interpolate(x, wanted, mode=LINEAR[x.ndim], align_corners=corners)
    if x.ndim == 4 and how.coefficient == TORCHS_COEFFICIENT:
        return functional.interpolate(x, wanted, mode="bicubic", align_corners=corners)
    return None


def _repeats(how: Interpolation) -> bool:
    """Whether a whole factor means that each value is repeated."""
    if how.transformation == "asymmetric":
        return how.rounding == "floor"
    return how.transformation in ("half_pixel", "half_pixel_symmetric") and how.rounding.startswith("round")


def _along(x: torch.Tensor, axis: int, wanted: int, scale: float, how: Interpolation) -> torch.Tensor:
    table = _table(how, x.shape[axis], wanted, scale).to(x.device)
    if how.mode == "nearest":
        return x.index_select(axis, table)
    return (x.movedim(axis, -1) @ table.to(x.dtype).T).movedim(-1, axis)


@functools.lru_cache(maxsize=256)
def _table(how: Interpolation, size: int, wanted: int, scale: float) -> torch.Tensor:
    """The matrix, or for `nearest` the index of each output."""
    if how.mode == "nearest":
        return torch.from_numpy(how.nearest(how.places(size, wanted, scale), size))
    return torch.from_numpy(how.matrix(size, wanted, scale))


OPERATORS: Final[dict[str, Operator]] = {
    "Resize": Operator(resize, since=10, host=(1, 2, 3)),
    "Upsample": Operator(resize, since=7, host=(1,)),
}
