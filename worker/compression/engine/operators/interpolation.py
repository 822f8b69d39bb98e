"""Interpolation along one axis as a matrix [out, in]: row o holds what each value of the input weighs in output o.

A place o of the output lies at x(o) in the input, by the coordinate transformation; the values around x(o) weigh by

    nearest    1 at x rounded
    linear     1 − |d|
    cubic      Keys' kernel with the coefficient a:
               (a + 2)|d|³ − (a + 3)|d|² + 1  for |d| ≤ 1,  a|d|³ − 5a|d|² + 8a|d| − 4a  for |d| < 2

where d is the distance to x. Beyond the ends the last value is repeated, or left out with `exclude_outside`. With
`antialias` the kernel of an axis that shrinks is wider by as much.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from worker.compression.engine.operator import Unsupported

Array = NDArray[np.float64]
HALF: Final = np.float32(0.5)
Single = NDArray[np.float32]


@dataclass(frozen=True)
class Interpolation:
    """How Resize reads between places, in ONNX's words. Raises `Unsupported` for a transformation it does not know."""

    mode: str
    transformation: str
    rounding: str
    coefficient: float
    exclude_outside: bool
    antialias: bool

    def __post_init__(self) -> None:
        if self.transformation not in TRANSFORMATIONS:
            raise Unsupported(f"the engine knows no coordinate transformation {self.transformation!r}")

    def matrix(self, size: int, wanted: int, scale: float) -> Array:
        places = self.places(size, wanted, scale)
        if self.mode == "nearest":
            return np.eye(size)[self.nearest(places, size)]
        shrink = min(scale, 1.0) if self.antialias else 1.0
        reach = int(np.ceil((1 if self.mode == "linear" else 2) / shrink))
        around = np.floor(places)[:, None] + np.arange(-reach, reach + 2)
        weights = self.kernel(np.abs(around - places[:, None]) * shrink)
        if self.exclude_outside:
            weights[(around < 0) | (around >= size)] = 0.0
        weights /= weights.sum(1, keepdims=True)
        rows = np.zeros((wanted, size))
        np.add.at(rows, (np.arange(wanted)[:, None], np.clip(around, 0, size - 1).astype(int)), weights)
        return rows

    def places(self, size: int, wanted: int, scale: float) -> Array:
        """x(o) for each o: in float32 as in ONNX Runtime, so that what lies between two goes the same way."""
        each = np.arange(wanted, dtype=np.float32)
        positions = TRANSFORMATIONS[self.transformation](
            each, np.float32(size), np.float32(wanted), np.float32(scale)
        )
        return positions.astype(np.float64)

    def nearest(self, places: Array, size: int) -> NDArray[np.int64]:
        rounded = ROUNDINGS[self.rounding](places).astype(np.int64)
        return np.clip(rounded, 0, size - 1)

    def kernel(self, distance: Array) -> Array:
        if self.mode == "linear":
            return np.clip(1 - distance, 0, None)
        a, d = self.coefficient, distance
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _half_pixel(o: Single, size: np.float32, wanted: np.float32, scale: np.float32) -> Single:
    return (o + HALF) / scale - HALF


def _pytorch(o: Single, size: np.float32, wanted: np.float32, scale: np.float32) -> Single:
    return _half_pixel(o, size, wanted, scale) if wanted > 1 else o * 0


def _symmetric(o: Single, size: np.float32, wanted: np.float32, scale: np.float32) -> Single:
    """The centres coincide even where size · scale is not whole."""
    return size / 2 * (1 - wanted / (size * scale)) + _half_pixel(o, size, wanted, scale)


def _corners(o: Single, size: np.float32, wanted: np.float32, scale: np.float32) -> Single:
    return o * (size - 1) / (wanted - 1) if wanted > 1 else o * 0


def _asymmetric(o: Single, size: np.float32, wanted: np.float32, scale: np.float32) -> Single:
    return o / scale


TRANSFORMATIONS: Final = {
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": _pytorch,
    "half_pixel_symmetric": _symmetric,
    "align_corners": _corners,
    "asymmetric": _asymmetric,
}
ROUNDINGS: Final[dict[str, Callable[[Array], Array]]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}
