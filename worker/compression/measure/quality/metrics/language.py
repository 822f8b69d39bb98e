"""Language: logits for each place [n, tokens, vocabulary] against the token there; what is negative does not count.

    perplexity = exp(Σ − log p(token) / tokens)       (log p by the logits' log-softmax)

Logits are folded into three sums a sample batch by batch, and never kept.
"""

import numpy as np

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.plain import classes_at
from worker.compression.measure.quality.measure import Floats, Measure, Value, ratio

MAX_LOSS = float(np.log(np.finfo(np.float32).max))
"""Of a token whose probability is zero, or no number."""


def language(metric: Metric) -> Measure:
    match metric:
        case "perplexity":
            return Measure(_losses, _perplexity, _weighted_perplexity)
        case "token_accuracy":
            return Measure(_right, _share, _weighted_share)
        case "agreement":
            return Measure(_same, _share, _weighted_share)
        case _:
            raise AssertionError(f"{metric} is not of language")


def _losses(logits: Array, tokens: Array) -> Array:
    """Make records [n, 2]: the sum of the losses, and the number of tokens."""
    counts = tokens >= 0
    x = np.asarray(logits, np.float64)
    top = x.max(axis=-1, keepdims=True)
    own = np.take_along_axis(x, np.where(counts, tokens, 0)[..., None].astype(np.int64), axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        loss = (np.log(np.exp(x - top).sum(axis=-1, keepdims=True)) + top - own)[..., 0]
    loss = np.clip(np.nan_to_num(loss, nan=MAX_LOSS, posinf=MAX_LOSS), 0, MAX_LOSS)
    return np.stack([np.where(counts, loss, 0).sum(axis=1), counts.sum(axis=1)], axis=1).astype(np.float64)


def _right(logits: Array, tokens: Array) -> Array:
    """Make records [n, 2]: the tokens that are right, and all."""
    counts = tokens >= 0
    hits = (classes_at(logits) == tokens) & counts
    return np.stack([hits.sum(axis=1), counts.sum(axis=1)], axis=1).astype(np.float64)


def _same(logits: Array, others: Array) -> Array:
    return _right(logits, classes_at(others))


def _weighted_share(records: Array, weights: Floats) -> Floats:
    hits, tokens = (weights @ records).T
    return ratio(hits, tokens, 1.0)


def _share(records: Array) -> Value:
    return Value(float(_weighted_share(records, np.ones((1, len(records))))[0]))


def _weighted_perplexity(records: Array, weights: Floats) -> Floats:
    losses, tokens = (weights @ records).T
    return np.exp(ratio(losses, tokens))


def _perplexity(records: Array) -> Value:
    return Value(float(_weighted_perplexity(records, np.ones((1, len(records))))[0]))
