"""Boxes that the model itself has decoded, with NMS in the graph or without."""

import numpy as np

from winnow.contract.decoding import Boxes
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.detections import Detections, best_class, detections, in_pixels
from worker.compression.measure.quality.decode.heads import Frame, Heads, listed, misfit, named

BOXES, SCORES = ("box", "loc"), ("score", "conf", "prob")
CLASSES = ("class", "label")
LARGEST_SHARE = 2.0
"""Boxes whose numbers are all at most this are shares of the frame."""
ONE, MANY = 6, 7
"""Columns of an output that holds everything: of one sample (box, score, class), of several (sample, box, class,
score)."""


def box_outputs(heads: Heads, settings: Boxes) -> list[str]:
    """Choose the outputs: boxes, scores and, where there is one, classes; or one that holds everything."""
    boxes = named(heads, settings.boxes, BOXES)
    scores = named({n: x for n, x in heads.items() if n != boxes}, settings.scores, SCORES)
    classes = named({n: x for n, x in heads.items() if n not in (boxes, scores)}, settings.classes, CLASSES)
    if boxes is not None and heads[boxes].shape[-1] in (ONE, MANY) and scores is None:
        return [boxes]
    if boxes is None and len(heads) == 1 and next(iter(heads.values())).shape[-1] in (ONE, MANY):
        return list(heads)
    if boxes is None or heads[boxes].shape[-1] != 4 or scores is None:
        raise misfit(
            f"Boxes need an output [boxes, 4] and one of scores, or one of {ONE} or {MANY} columns; the model has "
            f"{listed(heads)}. Name them in evaluation.decode.boxes, scores and classes."
        )
    return [boxes, scores, *([classes] if classes else [])]


def units_of(heads: Heads, settings: Boxes) -> Boxes:
    """Return the settings with the unit that the numbers of a first batch speak of."""
    if settings.units is not None:
        return settings
    name, *others = box_outputs(heads, settings)
    x = heads[name]
    numbers = x if others else x[..., :4] if x.shape[-1] == ONE else x[..., 1:5]
    finite = numbers[np.isfinite(numbers)]
    shares = bool(finite.size) and float(np.abs(finite).max()) <= LARGEST_SHARE
    return settings.model_copy(update={"units": "normalized" if shares else "pixels"})


def decoded_boxes(outputs: list[Array], settings: Boxes, rows: int, frame: Frame) -> list[Detections]:
    """Make the detections of each of `rows` samples; rows without a sample's axis belong to the only sample."""
    if len(outputs) == 1:
        return [_whole(part, settings, frame) for part in _by_sample(outputs[0], rows)]
    boxes, scores, *classes = (
        _per_sample(x, rows, width) for x, width in zip(outputs, (4, 0, 0), strict=False)
    )
    numbers = classes[0] if classes else [None] * rows
    parts = zip(boxes, scores, numbers, strict=True)
    return [_joined(b.reshape(-1, 4), s, n, settings, frame) for b, s, n in parts]


def _by_sample(x: Array, rows: int) -> list[Array]:
    if x.shape[-1] == MANY:
        flat = x.reshape(-1, MANY)
        parts = [flat[flat[:, 0] == row] for row in range(rows)]
        return [part[:, [1, 2, 3, 4, 6, 5]] for part in parts]
    return [part.reshape(-1, ONE) for part in (x if len(x) == rows and x.ndim > 2 else [x])]


def _per_sample(x: Array, rows: int, width: int) -> list[Array]:
    """Split by sample; an output without that axis is of one sample alone."""
    has_samples = len(x) == rows and (x.ndim > 2 or (width == 0 and (x.ndim == 2 or rows > 1)))
    if has_samples:
        return list(x)
    if rows > 1:
        raise misfit(f"For {rows} samples an output of boxes is {list(x.shape)}: whose are they?")
    return [x]


def _whole(part: Array, settings: Boxes, frame: Frame) -> Detections:
    boxes = in_pixels(part[:, :4], settings, frame)
    return detections(boxes, part[:, 4], np.rint(part[:, 5]) - settings.first_class, settings)


def _joined(boxes: Array, scores: Array, classes: Array | None, settings: Boxes, frame: Frame) -> Detections:
    places = in_pixels(boxes, settings, frame)
    if classes is not None:
        numbers = np.rint(classes.reshape(-1)) - settings.first_class
        return detections(places, scores.reshape(-1), numbers, settings)
    by_class = _by_class(scores, len(boxes))
    if settings.background is not None:
        by_class = np.delete(by_class, settings.background, axis=1)
    return best_class(places, by_class, settings)


def _by_class(scores: Array, boxes: int) -> Array:
    """Return [boxes, classes], whichever axis of the scores is the boxes'."""
    x = scores.reshape(boxes, -1) if scores.ndim == 1 or scores.size == boxes else scores.squeeze()
    if x.ndim == 2 and len(x) != boxes and x.shape[1] == boxes:
        return x.T
    if x.ndim != 2 or len(x) != boxes:
        raise misfit(f"{boxes} boxes have scores {list(scores.shape)}.")
    return x
