"""The lower convex hull of what can be had for how much: a budget is spent best along it, the flattest step first."""

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
Point = tuple[float, float]


def lower_hull(items: Iterable[T], point: Callable[[T], Point]) -> list[T]:
    """Choose the corners, from left to right. Slopes between them rise; of two on one place the lower counts."""
    corners: list[T] = []
    for item in sorted(items, key=point):
        if corners and point(corners[-1])[0] == point(item)[0]:
            continue
        while len(corners) > 1 and slope(*map(point, corners[-2:])) >= slope(point(corners[-1]), point(item)):
            corners.pop()
        corners.append(item)
    return corners


def slope(a: Point, b: Point) -> float:
    """Compute how steeply it rises from one point to another on its right."""
    return (b[1] - a[1]) / (b[0] - a[0])
