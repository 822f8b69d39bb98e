"""Objects of one picture as Hugging Face's imagefolder has them in a row: lists `bbox`, as COCO's, and `categories`."""

from typing import Any, Final

from worker.compression.data.formats.annotations.boxes import Box, box_of

COLUMN: Final = "objects"
CATEGORIES: Final = ("categories", "category", "category_id", "label", "labels")


def boxes_of(value: Any) -> list[Box]:
    """Return the boxes. Raises `ValueError` for what are none."""
    if not isinstance(value, dict):
        raise ValueError(
            f"its objects are {str(value)[:80]}, an object with bbox and categories was expected"
        )
    corners, classes = value.get("bbox"), next((value[key] for key in CATEGORIES if key in value), None)
    if not isinstance(corners, list) or not isinstance(classes, list) or len(corners) != len(classes):
        raise ValueError("its objects should have as many categories as bbox")
    return [_box(number, corner) for number, corner in zip(classes, corners, strict=True)]


def _box(number: Any, corner: Any) -> Box:
    if not isinstance(number, int) or number < 0:
        raise ValueError(f"the category {str(number)[:40]!r} is no class number from 0")
    try:
        x, y, width, height = map(float, corner)
        return box_of(number, x, y, x + width, y + height)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"the bbox {str(corner)[:80]} is no left, top, width and height ({error})"
        ) from error
