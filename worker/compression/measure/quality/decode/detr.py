"""DETR: a box and a class for each query, no two for one object.

score = max softmax(logits) without the last class, or max σ(logits);  box = centre and size as shares of the frame
(facebookresearch/detr, models/detr.py, PostProcess; fundamentalvision/Deformable-DETR, the same with σ)
"""

import numpy as np

from winnow.contract.decoding import Detr
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.detections import Detections, best_class, corners
from worker.compression.measure.quality.decode.heads import (
    Frame,
    Heads,
    listed,
    misfit,
    named,
    sigmoid,
    softmax,
)


def detr_outputs(heads: Heads, settings: Detr) -> list[str]:
    maps = {name: x for name, x in heads.items() if x.ndim == 3}
    boxes = named(maps, settings.boxes, ("box",)) or next(
        (n for n, x in maps.items() if x.shape[2] == 4), None
    )
    logits = named(
        {n: x for n, x in maps.items() if n != boxes}, settings.logits, ("logit", "score", "class")
    )
    logits = logits or next((n for n in maps if n != boxes), None)
    if boxes is None or logits is None or maps[boxes].shape[:2] != maps[logits].shape[:2]:
        raise misfit(
            f"DETR needs outputs of logits [samples, queries, classes] and boxes [samples, queries, 4]; the model has "
            f"{listed(heads)}. Name them in evaluation.decode.logits and boxes."
        )
    return [logits, boxes]


def detr(outputs: list[Array], settings: Detr, frame: Frame) -> list[Detections]:
    logits, boxes = (np.asarray(x, np.float64) for x in outputs)
    height, width = frame
    scores = softmax(logits)[..., :-1] if settings.activation == "softmax" else sigmoid(logits)
    places = corners(boxes[..., :2], boxes[..., 2:]) * [width, height, width, height]
    return [best_class(b, s, settings) for b, s in zip(places, scores, strict=True)]
