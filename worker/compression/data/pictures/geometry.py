"""Compute where a picture comes to lie in a model's input, the same for its pixels, its boxes and its mask.

    x' = x · resized / stored + offset        (each axis of its own)

The numbers are torchvision's (`Resize`: the other side is int(size · other / side); `CenterCrop`: zeros are put around
what is smaller, the offset is rounded half to even), for letterboxes YOLOX's (`corner`) and ultralytics' (`center`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from winnow.contract.declaration import ImageInput, Letterbox, Resize, Size

Pair = tuple[int, int]
"""Height and width, or what lies along them."""


@dataclass(frozen=True)
class Placement:
    """The picture is resized, moved by `offset` (up and left where negative), and what lies in `frame` is the input."""

    stored: Pair
    resized: Pair
    offset: Pair
    frame: Pair


@dataclass(frozen=True)
class Geometry:
    """Resizing and cropping as declared, every preset and default spelled out."""

    resize: Resize | None
    crop: Pair | None
    letterbox: Letterbox | None


def geometry_of(how: ImageInput) -> Geometry:
    """Take the geometry out of a declaration."""
    box = how.letterbox
    return Geometry(
        how.resize,
        pair(how.crop) if how.crop is not None else None,
        Letterbox(size=box) if isinstance(box, int | tuple) else box,
    )


def placement(stored: Pair, how: Geometry) -> Placement:
    """Place a picture of this height and width."""
    if how.letterbox is not None:
        return _letterboxed(stored, how.letterbox)
    resized = _resized(stored, how.resize) if how.resize is not None else stored
    if how.crop is None:
        return Placement(stored, resized, (0, 0), resized)
    return Placement(stored, resized, _both(_cropped, resized, how.crop), how.crop)


def frame_of(how: Geometry) -> Pair | None:
    """Height and width of every input; None where they depend on the picture."""
    if how.letterbox is not None:
        return pair(how.letterbox.size)
    if how.crop is not None:
        return how.crop
    return pair(how.resize.size) if how.resize is not None and how.resize.mode == "exact" else None


def pair(size: Size) -> Pair:
    """Spell out a square."""
    return (size, size) if isinstance(size, int) else size


def _resized(stored: Pair, resize: Resize) -> Pair:
    if resize.mode == "exact":
        return pair(resize.size)
    size = resize.size
    assert isinstance(size, int)  # the declaration says so
    height, width = stored
    leading_height = (height <= width) == (resize.mode == "shorter")
    if leading_height:
        return size, max(1, int(size * width / height))
    return max(1, int(size * height / width)), size


def _letterboxed(stored: Pair, letterbox: Letterbox) -> Placement:
    frame = pair(letterbox.size)
    ratio = min(frame[0] / stored[0], frame[1] / stored[1])
    if letterbox.place == "corner":
        resized = max(1, int(stored[0] * ratio)), max(1, int(stored[1] * ratio))
        return Placement(stored, resized, (0, 0), frame)
    resized = max(1, round(stored[0] * ratio)), max(1, round(stored[1] * ratio))
    return Placement(stored, resized, _both(_centered, resized, frame), frame)


def _both(along: Callable[[int, int], int], resized: Pair, frame: Pair) -> Pair:
    return along(resized[0], frame[0]), along(resized[1], frame[1])


def _centered(side: int, frame: int) -> int:
    """ultralytics: half of what is free, a half pixel rounded down."""
    return round((frame - side) / 2 - 0.1)


def _cropped(side: int, frame: int) -> int:
    """torchvision: half of what is missing put in front, rounded down; half of what is over cut, to even."""
    return (frame - side) // 2 if side < frame else -round((side - frame) / 2.0)
