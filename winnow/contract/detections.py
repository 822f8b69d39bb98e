"""How a detector's raw outputs lie: which columns are boxes, which scores, told from shapes alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from winnow.contract.model import TensorSpec

BOX: Final = 4
RANK: Final = 3
SCORES: Final = ("score", "conf", "cls", "class", "logit")
"""Parts of names that outputs of scores have."""
EXPECTED: Final = (
    "boxes [samples, places, 4] and scores [samples, places, classes], or one output [samples, places, 5 + classes] or "
    "[samples, 4 + classes, places]"
)


@dataclass(frozen=True)
class Columns:
    """Columns `start` to `stop` (None: to the end) of an output, which lie along `axis`."""

    output: str
    axis: int
    start: int
    stop: int | None


@dataclass(frozen=True)
class DetectionLayout:
    """`objectness` is whether the first of the scores says that there is anything at all."""

    boxes: Columns
    scores: Columns
    objectness: bool = False


def layout_of(outputs: Sequence[TensorSpec]) -> DetectionLayout | None:
    """The layout, None where the shapes tell none. Outputs that are neither (landmarks, masks) are left aside."""
    flat = [
        spec
        for spec in outputs
        if len(spec.shape) == RANK and all(isinstance(n, int) for n in spec.shape[1:])
    ]
    return _in_two(flat) or next(filter(None, map(_in_one, flat)), None)


def _in_two(outputs: Sequence[TensorSpec]) -> DetectionLayout | None:
    """SSD, RetinaFace, DETR and their kin. Of two outputs with 4 columns the one named so has the boxes."""
    for boxes in sorted(outputs, key=lambda spec: "box" not in spec.name.lower()):
        rows = [spec for spec in outputs if spec is not boxes and spec.shape[1] == boxes.shape[1]]
        named = sorted(rows, key=lambda spec: not any(part in spec.name.lower() for part in SCORES))
        if boxes.shape[2] == BOX and named:
            return DetectionLayout(Columns(boxes.name, 2, 0, None), Columns(named[0].name, 2, 0, None))
    return None


def _in_one(output: TensorSpec) -> DetectionLayout | None:
    """YOLOX, YOLOv5 and v7 have columns for each place, YOLOv8 and YOLO11 rows. There are more places than classes."""
    _, first, last = output.shape
    assert isinstance(first, int)
    assert isinstance(last, int)
    if first > last > BOX + 1:
        return DetectionLayout(
            Columns(output.name, 2, 0, BOX), Columns(output.name, 2, BOX, None), objectness=True
        )
    if last > first > BOX:
        return DetectionLayout(Columns(output.name, 1, 0, BOX), Columns(output.name, 1, BOX, None))
    return None


def unknown_layout(whose: str, outputs: Sequence[TensorSpec]) -> str:
    """Say of a student or a teacher that its outputs tell no layout, and what to do."""
    listed = ", ".join(f"{spec.name!r} {list(spec.shape)}" for spec in outputs)
    return (
        f"head detection learns {EXPECTED}; the {whose} answers {listed}. Name the outputs one by one (`output`, "
        "`outputs`), with head regression."
    )
