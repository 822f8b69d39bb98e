"""Families of detectors that are known by their heads, and how their authors feed them.

With strides 8, 16 and 32 an input of H × W has HW/64 + HW/256 + HW/1024 cells.

    YOLOX                [N, cells, 5 + classes]       BGR, 0 to 255, letterbox at the upper left, filled with 114
    YOLOv5, v7           [N, 3 cells, 5 + classes]     RGB, 0 to 1, letterbox in the middle
    YOLOv8, v11          [N, 4 + classes, cells]       as YOLOv5

(github.com/Megvii-BaseDetection/YOLOX `preproc`, github.com/ultralytics/ultralytics `LetterBox`)
"""

from dataclasses import dataclass
from typing import Final, Literal

from winnow.contract.model import ModelFacts

STRIDES: Final = (8, 16, 32)
PICTURE_AXES: Final = 4
HEAD_AXES: Final = 3
BOX: Final = 4
"""Numbers of a box."""


@dataclass(frozen=True)
class Family:
    """How its detectors are fed."""

    name: str
    color: Literal["RGB", "BGR"]
    scale: float
    place: Literal["center", "corner"]
    because: str


def family_of(model: ModelFacts) -> Family | None:
    """Tell the family from the only picture input and the first output; None where it is none of these."""
    pictures = [spec for spec in model.inputs if len(spec.shape) == PICTURE_AXES]
    if len(pictures) != 1 or not model.outputs or len(model.outputs[0].shape) != HEAD_AXES:
        return None
    sizes = [size for size in (*pictures[0].shape[2:], *model.outputs[0].shape[1:]) if isinstance(size, int)]
    if len(sizes) != 4:
        return None
    height, width, rows, columns = sizes
    cells = sum(height // stride * (width // stride) for stride in STRIDES)
    head = f"its output {model.outputs[0].shape} is a head of"
    if rows == cells and columns > BOX + 1:
        return Family("YOLOX", "BGR", 1.0, "corner", f"{head} YOLOX, whose authors feed it so")
    if rows == 3 * cells and columns > BOX + 1:
        return Family("YOLOv5", "RGB", 1 / 255, "center", f"{head} YOLOv5 or v7, whose authors feed it so")
    if columns == cells and rows > BOX:
        return Family("YOLOv8", "RGB", 1 / 255, "center", f"{head} YOLOv8 or v11, whose authors feed it so")
    return None
