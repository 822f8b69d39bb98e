"""Offsets to boxes that lie fixed (priors), as SSD and RetinaFace have them: with a prior's centre c and size s as
shares of the frame,

    centre = c + t_xy · v₀ · s,   size = s · exp(t_wh · v₁)

(weiliu89/caffe, ssd; amdegroot/ssd.pytorch, layers/box_utils.py; biubug6/Pytorch_Retinaface, utils/box_utils.py)
"""

import numpy as np

from winnow.contract.decoding import Priors, Retinaface, Ssd
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.detections import Detections, best_class, corners
from worker.compression.measure.quality.decode.heads import (
    Frame,
    Heads,
    are_probabilities,
    cells,
    listed,
    misfit,
    named,
    softmax,
)

MAX_SIZE_LOGARITHM = 20.0
LANDMARKS = 10


def prior_outputs(heads: Heads, settings: Priors) -> list[str]:
    """Choose offsets (4 columns) and scores (as many rows, other columns)."""
    offsets = named(heads, settings.boxes, ()) or next(
        (name for name, x in heads.items() if x.ndim == 3 and x.shape[2] == 4), None
    )
    rows = None if offsets is None else heads[offsets].shape[1]
    scores = named(heads, settings.scores, ()) or next(
        (
            n
            for n, x in heads.items()
            if x.ndim == 3 and x.shape[1] == rows and x.shape[2] not in (4, LANDMARKS)
        ),
        None,
    )
    if offsets is None or scores is None:
        raise misfit(
            f"Priors need an output of offsets [samples, priors, 4] and one of scores; the model has {listed(heads)}. "
            "Name them in evaluation.decode.boxes and scores."
        )
    return [offsets, scores]


def from_priors(outputs: list[Array], settings: Ssd | Retinaface, frame: Frame) -> list[Detections]:
    offsets, scores = (np.asarray(x, np.float64) for x in outputs)
    priors = ssd_priors(settings, frame) if isinstance(settings, Ssd) else retinaface_priors(settings, frame)
    if offsets.shape[1:] != priors.shape:
        raise misfit(
            f"The settings of {settings.kind} make {len(priors)} priors for a frame of {list(frame)}; the output of "
            f"offsets is {list(offsets.shape)}."
        )
    height, width = frame
    first, second = settings.variances
    centre = priors[:, :2] + offsets[..., :2] * first * priors[:, 2:]
    size = priors[:, 2:] * np.exp(np.minimum(offsets[..., 2:] * second, MAX_SIZE_LOGARITHM))
    boxes = corners(centre, size) * [width, height, width, height]
    shares = softmax(scores) if settings.activation == "softmax" else scores
    return [best_class(b, s[:, 1:], settings) for b, s in zip(boxes, shares, strict=True)]


def activation_of(heads: Heads, settings: Ssd | Retinaface) -> Ssd | Retinaface:
    """Return the settings with what makes probabilities of the scores of a first batch."""
    if settings.activation is not None:
        return settings
    scores = heads[prior_outputs(heads, settings)[1]]
    return settings.model_copy(update={"activation": "none" if are_probabilities(scores) else "softmax"})


def ssd_priors(settings: Ssd, frame: Frame) -> Array:
    """Make centre and size of all priors [priors, 4], as shares (ssd.pytorch, layers/functions/prior_box.py)."""
    height, width = frame
    priors = []
    maps = zip(
        settings.maps,
        settings.steps,
        settings.min_sizes,
        settings.max_sizes,
        settings.aspect_ratios,
        strict=True,
    )
    for side, step, small, large, ratios in maps:
        row, column = np.mgrid[:side, :side]
        centre = np.stack([(column + 0.5) * step / width, (row + 0.5) * step / height], axis=-1)
        sizes = [(small, small), (np.sqrt(small * large),) * 2]
        for ratio in ratios:
            long, short = small * np.sqrt(ratio), small / np.sqrt(ratio)
            sizes += [(long, short), (short, long)]
        shares = np.array(sizes) / [width, height]
        shape = (side, side, len(sizes), 2)
        priors.append(
            np.concatenate([np.broadcast_to(centre[:, :, None], shape), np.broadcast_to(shares, shape)], -1)
        )
    made = np.concatenate([part.reshape(-1, 4) for part in priors])
    return np.clip(made, 0, 1) if settings.clip else made


def retinaface_priors(settings: Retinaface, frame: Frame) -> Array:
    """Make centre and size of all priors [priors, 4], as shares (Pytorch_Retinaface, layers/functions/prior_box.py)."""
    height, width = frame
    priors = []
    for (stride, places), sizes in zip(cells(frame, settings.strides), settings.min_sizes, strict=True):
        centre = (places + 0.5) * stride / [width, height]
        shares = np.array([[size / width, size / height] for size in sizes])
        shape = (len(places), len(sizes), 2)
        priors.append(
            np.concatenate([np.broadcast_to(centre[:, None], shape), np.broadcast_to(shares, shape)], axis=-1)
        )
    return np.concatenate([part.reshape(-1, 4) for part in priors])
