"""Detectors among the models: what they see, and how their boxes are read.

Photographs in crops for YOLOX, without labels. For the face detector faces that come with scikit-image (25 by 25,
`lfw_subset.npy`), enlarged to 50 to 110 pixels, two on each crop, whose places are the labels; those of the first half
calibrate, the others judge. All of it comes with the extra `bench`.
"""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from benchmarks.collapse.made import SIDE
from benchmarks.peers.quality import Detector
from benchmarks.students.photographs import crops, photographs
from winnow.contract.decoding import Boxes, Yolov5, Yolox
from worker.compression.ir.arrays import Array

CALIBRATED, JUDGED = 20, 50
"""Crops of each photograph."""
FACES, KNOWN_FACES = 100, 50
SMALLEST, LARGEST = 50, 110
WIDTH, HEIGHT = 320, 240

Seen = Callable[[], tuple[Array, Array, Sequence[Array] | None]]
"""What calibrates and what judges, as the model takes it, and the boxes in what judges, where they are known: of each
sample rows of class, left, top, right, bottom."""


def pictures() -> tuple[Array, Array, None]:
    """images float32 [n, 3, 416, 416]: blue, green, red from 0 to 255."""
    training, testing = photographs()
    calibrated, judged = crops(training, CALIBRATED, SIDE, 0), crops(testing, JUDGED, SIDE, 1)
    return _channels_first(calibrated), _channels_first(judged), None


def faces() -> tuple[Array, Array, Sequence[Array]]:
    """input float32 [n, 3, 240, 320] from -1 to 1."""
    training, testing = photographs()
    known, others = np.split(_faces(), [KNOWN_FACES])
    calibrated, _ = _with_faces(training, CALIBRATED, known, 0)
    return calibrated, *_with_faces(testing, JUDGED, others, 1)


def _with_faces(paths: list[Path], each: int, of: Array, seed: int) -> tuple[Array, list[Array]]:
    truth, random = list[Array](), np.random.default_rng(seed)
    seen = crops(paths, each, WIDTH, seed)[:, :HEIGHT, :, ::-1].astype(np.float32)
    for picture in seen:
        boxes = []
        for left in (0, WIDTH // 2):
            side = int(random.integers(SMALLEST, LARGEST))
            top, left = random.integers(0, HEIGHT - side), left + random.integers(0, WIDTH // 2 - side)
            face = Image.fromarray(of[random.integers(len(of))]).resize((side, side))
            picture[top : top + side, left : left + side] = np.asarray(face)[..., None]
            boxes.append([0, left, top, left + side, top + side])
        truth.append(np.array(boxes, np.float64))
    return (_channels_first(seen) - 127) / 128, truth


def _faces() -> Array:
    """uint8 [100, 25, 25]."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image is missing: pip install -e '.[bench]' -c constraints.txt")
    whole: Array = np.load(Path(spec.origin).parent / "data" / "lfw_subset.npy")[:FACES]
    return (255 * whole).round().astype(np.uint8)


def _channels_first(images: Array) -> Array:
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)


def _split(at: int) -> Callable[[list[Array]], list[Array]]:
    return lambda outputs: np.split(outputs[0], [at], axis=2)


def _scores_first(outputs: list[Array]) -> list[Array]:
    scores, boxes = np.split(outputs[0], [10], axis=2)
    return [boxes, scores]


FRAME: Final = (HEIGHT, WIDTH)
DETECTORS: Final[dict[str, tuple[Seen, Detector]]] = {
    "yolox_nano.onnx": (pictures, Detector(Yolox(kind="yolox"))),
    "yolox, decoded": (pictures, Detector(Yolov5(kind="yolov5"))),
    "ultraface-rfb-320.onnx": (
        faces,
        Detector(
            Boxes(kind="boxes", units="normalized", background=0, nms=0.45), lambda outputs: outputs[::-1]
        ),
    ),
    "ultraface, joined": (
        faces,
        Detector(Boxes(kind="boxes", units="pixels", background=0, nms=0.45), _split(4)),
    ),
}
DIGITS: Final = Detector(Boxes(kind="boxes", units="pixels"), _scores_first)
"""Of `trained.detr`."""
