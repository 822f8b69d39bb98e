"""Which outputs of a detector are boxes and which scores, by the shapes of published exports."""

import pytest

from tests.support.facts import tensor
from winnow.contract.detections import Columns, DetectionLayout, layout_of, unknown_layout
from winnow.contract.model import TensorSpec


def columns(output: str, axis: int = 2, start: int = 0, stop: int | None = None) -> Columns:
    return Columns(output, axis, start, stop)


YOLOX = [tensor("output", 1, 3549, 85)]
YOLOV8 = [tensor("output0", 1, 84, 8400)]
FACES = [tensor("scores", 1, 4420, 2), tensor("boxes", 1, 4420, 4)]
RETINAFACE = [tensor("loc", "N", 16800, 4), tensor("conf", "N", 16800, 2), tensor("landms", "N", 16800, 10)]
DETR = [tensor("logits", "N", 100, 92), tensor("pred_boxes", "N", 100, 4)]
THREE_CLASSES = [tensor("cls", "N", 100, 4), tensor("boxes", "N", 100, 4)]


@pytest.mark.parametrize(
    ("outputs", "layout"),
    [
        (YOLOX, DetectionLayout(columns("output", stop=4), columns("output", start=4), objectness=True)),
        (YOLOV8, DetectionLayout(columns("output0", 1, stop=4), columns("output0", 1, 4))),
        (FACES, DetectionLayout(columns("boxes"), columns("scores"))),
        (RETINAFACE, DetectionLayout(columns("loc"), columns("conf"))),
        (DETR, DetectionLayout(columns("pred_boxes"), columns("logits"))),
        (THREE_CLASSES, DetectionLayout(columns("boxes"), columns("cls"))),
    ],
    ids=["yolox", "yolov8", "faces", "retinaface", "detr", "four columns of scores"],
)
def test_shapes_tell_the_layout(outputs: list[TensorSpec], layout: DetectionLayout) -> None:
    assert layout_of(outputs) == layout
    assert layout_of(outputs[::-1]) == layout


@pytest.mark.parametrize(
    "outputs",
    [
        [tensor("logits", "N", 10)],
        [tensor("map", "N", 80, 40, 40)],
        [tensor("boxes", "N", 100, 4)],
        [tensor("out", "N", "places", 85)],
        [],
    ],
)
def test_other_shapes_tell_none_and_are_named(outputs: list[TensorSpec]) -> None:
    assert layout_of(outputs) is None
    assert all(repr(spec.name) in unknown_layout("student", outputs) for spec in outputs)
