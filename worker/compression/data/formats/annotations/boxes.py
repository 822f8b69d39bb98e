"""Check one box, however it was written."""

import math

Box = tuple[float, float, float, float, float]
"""Class number, left, top, right, bottom."""


def box_of(number: int, left: float, top: float, right: float, bottom: float) -> Box:
    """Return the box; `ValueError` where its numbers are none or its sides lie the wrong way round."""
    values = [float(value) for value in (left, top, right, bottom)]
    if not all(map(math.isfinite, values)):
        raise ValueError("numbers were expected")
    if values[2] < values[0] or values[3] < values[1]:
        raise ValueError("its right or lower side lies before the other")
    return float(number), values[0], values[1], values[2], values[3]
