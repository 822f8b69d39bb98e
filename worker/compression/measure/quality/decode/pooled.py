"""One vector a sample, of a vector for each token: the mean over the tokens of the mask, or the first token.

v = Σ_t m_t h_t / max(Σ_t m_t, 1e-9),  then v / |v|     (sentence-transformers, models/Pooling.py, Normalize.py)
"""

import numpy as np

from winnow.contract.decoding import Pooled
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.heads import Heads, misfit

USUAL_MASK = "attention_mask"


def pooled(hidden: Array, settings: Pooled, feed: Heads, rows: int) -> Array:
    """Return [n, width], or [n, 2, width] where the feeds have two rows for a sample, one behind the other."""
    x = np.asarray(hidden, np.float64)
    x = x.reshape(x.shape[:2]) if x.ndim > 3 and x[0, 0].size == 1 else x
    if x.ndim == 3:
        x = x[:, 0] if settings.pooling == "first" else _mean(x, settings, feed)
    if x.ndim != 2 or len(x) not in (rows, 2 * rows):
        raise misfit(
            f"Vectors need an output [samples, width] or [samples, tokens, width]; for {rows} samples it is "
            f"{list(hidden.shape)}."
        )
    if settings.normalize:
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return x.reshape(rows, 2, -1) if len(x) == 2 * rows else x


def _mean(hidden: Array, settings: Pooled, feed: Heads) -> Array:
    name = settings.mask or USUAL_MASK
    if name not in feed:
        if settings.mask is not None:
            raise misfit(f"The model has no input {name!r} that could be the mask.")
        mean: Array = hidden.mean(axis=1)
        return mean
    mask = np.asarray(feed[name], np.float64)
    if mask.shape != hidden.shape[:2]:
        raise misfit(f"The mask {name!r} is {list(mask.shape)}, the output {list(hidden.shape)}.")
    weighted: Array = (hidden * mask[..., None]).sum(axis=1) / np.maximum(
        mask.sum(axis=1, keepdims=True), 1e-9
    )
    return weighted
