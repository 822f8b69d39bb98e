"""The ways in which pixels and the like are made the numbers that models were trained on."""

from dataclasses import dataclass
from typing import Any, Final

IMAGENET: Final = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
MNIST: Final = {"mean": [0.1307], "std": [0.3081]}
PIXEL_MAX: Final = 255
FEW_LEVELS: Final = 16
"""Of grey in digits of scikit-learn, which have 17."""


@dataclass(frozen=True)
class Scaling:
    """`values` are fields of a declaration: scale, mean, std."""

    tells: str
    values: dict[str, Any]


def scalings(low: float, high: float, whole: bool, channels: int | None) -> list[Scaling]:
    """List what may be computed of numbers of this range, the likeliest of a float model first."""
    raw = Scaling("numbers as they are", {})
    if low < 0 or high <= 0 or not (whole or high <= 1):
        return [raw]
    if whole and high > 1:
        top = FEW_LEVELS if high <= FEW_LEVELS else PIXEL_MAX
        if high > PIXEL_MAX:
            return [raw]
        unit: dict[str, Any] = {"scale": 1 / top}
    else:
        top, unit = 1, {}
    from_zero = Scaling(f"numbers from 0 to {top} as 0 to 1", unit)
    symmetric = Scaling(f"numbers from 0 to {top} as -1 to 1", {**unit, "mean": [0.5], "std": [0.5]})
    standard = {
        3: [Scaling("ImageNet's mean and std", {**unit, **IMAGENET})],
        1: [Scaling("MNIST's mean and std", {**unit, **MNIST})],
    }.get(channels or 0, [])
    return [*standard, from_zero, symmetric, *([raw] if unit else [])]
