"""Heads that predict boxes from the points of a grid.

SCRFD      corners = cell · stride ∓ distance · stride
           (deepinsight/insightface, python-package/insightface/model_zoo/scrfd.py, distance2bbox)
CenterNet  peaks of the heat (3 × 3), centre = (cell + offset) · stride, size = size · stride
           (xingyizhou/CenterNet, src/lib/models/decode.py, ctdet_decode)
YuNet      centre = (cell + t_xy) · stride, size = exp(t_wh) · stride, score = √(class · object)
           (opencv, modules/objdetect/src/face_detect.cpp, postProcess)
"""

import numpy as np

from winnow.contract.decoding import Centernet, Scrfd
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.detections import Detections, best_class, corners, detections
from worker.compression.measure.quality.decode.heads import (
    Frame,
    Heads,
    are_shares,
    cells,
    listed,
    misfit,
    named,
    sigmoid,
)

MAX_SIZE_LOGARITHM = 20.0
CENTERNET_STRIDE = 4
YUNET_STRIDES = [8, 16, 32]
YUNET_NMS = 0.3


def scrfd_outputs(heads: Heads, settings: Scrfd) -> list[str]:
    """Choose scores (1 column) and distances (4), the largest map first."""
    by_width = {
        width: sorted((n for n, x in heads.items() if x.shape[-1] == width), key=lambda n: -heads[n].size)
        for width in (1, 4)
    }
    count = len(settings.strides)
    if any(len(names) != count for names in by_width.values()):
        raise misfit(
            f"SCRFD with {count} strides has {count} outputs of 1 column and {count} of 4; the model has "
            f"{listed(heads)}."
        )
    return [*by_width[1], *by_width[4]]


def scrfd(outputs: list[Array], settings: Scrfd, rows: int, frame: Frame) -> list[Detections]:
    half = len(outputs) // 2
    boxes, scores = [], []
    for (stride, places), score, distance in zip(
        cells(frame, settings.strides), outputs[:half], outputs[half:], strict=True
    ):
        centre = np.repeat(places, settings.anchors, axis=0) * stride
        sides = _rows(distance, rows, len(centre), 4) * stride
        boxes.append(np.concatenate([centre - sides[..., :2], centre + sides[..., 2:]], axis=-1))
        scores.append(_rows(score, rows, len(centre), 1))
    joined = zip(np.concatenate(boxes, axis=1), np.concatenate(scores, axis=1), strict=True)
    return [best_class(b, s, settings) for b, s in joined]


def _rows(x: Array, rows: int, boxes: int, width: int) -> Array:
    if x.size != rows * boxes * width:
        raise misfit(
            f"An output is {list(x.shape)}, and the grid has {boxes} boxes for each of {rows} samples."
        )
    return np.asarray(x, np.float64).reshape(rows, boxes, width)


def centernet_outputs(heads: Heads, settings: Centernet) -> list[str]:
    if settings.variant == "yunet":
        return _yunet_outputs(heads, settings)
    maps = {name: x for name, x in heads.items() if x.ndim == 4}
    heat = named(maps, settings.heat, ("hm", "heat")) or next(
        (n for n, x in maps.items() if x.shape[1] != 2), None
    )
    rest = {name: x for name, x in maps.items() if name != heat and x.shape[1] == 2}
    size = named(rest, settings.size, ("wh", "size")) or next(iter(rest), None)
    offset = named({n: x for n, x in rest.items() if n != size}, settings.offset, ("reg", "off"))
    offset = offset or next((name for name in rest if name != size), None)
    if heat is None or size is None:
        raise misfit(
            f"CenterNet needs an output of heat [samples, classes, rows, columns] and one of sizes [samples, 2, rows, "
            f"columns]; the model has {listed(heads)}. Name them in evaluation.decode.heat, size and offset."
        )
    return [heat, size, *([offset] if offset else [])]


def heat_activation(heads: Heads, settings: Centernet) -> Centernet:
    """Return the settings with what makes shares of the heat of a first batch."""
    if settings.activation is not None or settings.variant == "yunet":
        return settings
    heat = heads[centernet_outputs(heads, settings)[0]]
    return settings.model_copy(update={"activation": "none" if are_shares(heat) else "sigmoid"})


def centernet(outputs: list[Array], settings: Centernet) -> list[Detections]:
    heat, size, *offset = (np.asarray(x, np.float64) for x in outputs)
    stride = (settings.strides or [CENTERNET_STRIDE])[0]
    shares = sigmoid(heat) if settings.activation == "sigmoid" else heat
    offsets = offset[0] if offset else np.zeros_like(size)
    return [_peaks(h, s, o, stride, settings) for h, s, o in zip(shares, size, offsets, strict=True)]


def _peaks(heat: Array, size: Array, offset: Array, stride: int, settings: Centernet) -> Detections:
    padded = np.pad(heat, ((0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    rows, columns = heat.shape[1:]
    around = [padded[:, y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    peak = (heat >= np.max(around, axis=0)) & (heat >= settings.score_threshold)
    number, row, column = np.nonzero(peak)
    centre = np.stack([column, row], axis=1) + offset[:, row, column].T
    boxes = corners(centre, size[:, row, column].T) * stride
    return detections(boxes, heat[peak], number, settings)


def _yunet_outputs(heads: Heads, settings: Centernet) -> list[str]:
    """Choose classes, objects and boxes, stride by stride."""
    count = len(settings.strides or YUNET_STRIDES)
    ones = [name for name, x in heads.items() if x.shape[-1] == 1]
    objects = [name for name in ones if "obj" in name.lower()] or ones[count:]
    classes = [name for name in ones if name not in objects]
    boxes = [name for name, x in heads.items() if x.shape[-1] == 4]
    if not len(classes) == len(objects) == len(boxes) == count:
        raise misfit(
            f"YuNet with {count} strides has for each an output of classes, of objects (1 column) and of boxes (4); "
            f"the model has {listed(heads)}."
        )
    kinds = [sorted(names, key=lambda name: -heads[name].size) for names in (classes, objects, boxes)]
    return [name for names in kinds for name in names]


def yunet(outputs: list[Array], settings: Centernet, rows: int, frame: Frame) -> list[Detections]:
    strides = settings.strides or YUNET_STRIDES
    count, boxes, scores = len(strides), [], []
    for place, (stride, grid) in enumerate(cells(frame, strides)):
        kinds = (outputs[place], outputs[count + place], outputs[2 * count + place])
        sure, object_, t = (_rows(x, rows, len(grid), w) for x, w in zip(kinds, (1, 1, 4), strict=True))
        size = np.exp(np.minimum(t[..., 2:], MAX_SIZE_LOGARITHM)) * stride
        boxes.append(corners((grid + t[..., :2]) * stride, size))
        scores.append(np.sqrt(np.clip(sure, 0, 1) * np.clip(object_, 0, 1)))
    joined = zip(np.concatenate(boxes, axis=1), np.concatenate(scores, axis=1)[..., 0], strict=True)
    return [detections(b, s, np.zeros(len(s), np.int64), settings, YUNET_NMS) for b, s in joined]
