"""Check one box, however it was written."""

import math

Box = tuple[float, float, float, float, float]
"""Class number, left, top, right, bottom."""


def box_of(number: int, x_min: float, y_min: float, x_max: float, y_max: float) -> Box:
    """Return the box; `ValueError` where its numbers are none or its sides lie the wrong way round."""
    values = [float(value) for value in (x_min, y_min, x_max, y_max)]
    if not all(map(math.isfinite, values)):
        raise ValueError("numbers were expected")
    if values[2] < values[0] or values[3] < values[1]:
        raise ValueError("its right or lower side lies before the other")
    return float(number), values[0], values[1], values[2], values[3]
