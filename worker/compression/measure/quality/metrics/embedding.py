"""Embeddings: one vector a sample, or a pair of them.

spearman     over pairs: their cosine against the label that says how alike they are
recall_at_k  pairs: whether a first one's partner is among the k second ones nearest to it; vectors with class
             numbers: whether one of the k nearest others has the same class
agreement    pairs: Spearman of the cosines of both models; vectors: Spearman of the cosines between all samples,
             of at most `MAX_COMPARED`
"""

from collections.abc import Callable

import numpy as np

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.measure import (
    Floats,
    Measure,
    Value,
    in_parts,
    mean_of_rows,
    weighted_mean,
)
from worker.compression.measure.quality.metrics import ranks
from worker.compression.measure.quality.metrics.regression import rank_correlation

MAX_COMPARED = 256
MAX_GALLERY = 20_000
"""Vectors that each is compared with."""
ROWS_AT_A_TIME = 512


def embedding(metric: Metric, *, pairs: bool) -> Measure:
    """`pairs`: predictions are [n, 2, width], else [n, width]."""
    match metric:
        case "spearman":
            return rank_correlation(_labelled_cosines)
        case "agreement":
            return rank_correlation(_both_cosines) if pairs else _LIKENESS
        case "recall_at_1" | "recall_at_5" | "recall_at_10":
            return _recall(int(metric.rpartition("_")[2]), pairs)
        case _:
            raise AssertionError(f"{metric} is not of embeddings")


def cosines(pairs: Array) -> Array:
    """Compute the cosine of each pair [n, 2, width]; −1 where one has no direction or is no number."""
    x, y = pairs[:, 0].astype(np.float64), pairs[:, 1].astype(np.float64)
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    dots = (x * y).sum(axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    return np.where(usable, dots / np.where(usable, norms, 1), -1.0)


def _labelled_cosines(pairs: Array, labels: Array) -> Array:
    return np.column_stack([labels.ravel(), cosines(pairs)]).astype(np.float64)


def _both_cosines(pairs: Array, others: Array) -> Array:
    return np.column_stack([cosines(others), cosines(pairs)])


def _recall(k: int, pairs: bool) -> Measure:
    gather = _partner_hits(k) if pairs else _neighbour_hits(k)
    record = _flat if pairs else _with_class
    return Measure(record, mean_of_rows, weighted_mean, gather)


def _flat(pairs: Array, truth: Array) -> Array:
    return pairs.reshape(len(pairs), -1).astype(np.float32)


def _with_class(vectors: Array, labels: Array) -> Array:
    return np.column_stack([labels.ravel(), vectors]).astype(np.float32)


def _partner_hits(k: int) -> Callable[[Array], Array]:
    def gather(records: Array) -> Array:
        first, second = np.split(records[:MAX_GALLERY], 2, axis=1)
        own = np.arange(len(first))

        def hit(similar: Array, rows: Array) -> Array:
            partner = similar[np.arange(len(rows)), own[rows]][:, None]
            ahead: Array = (similar >= partner).sum(axis=1)
            return ahead <= k

        return _by_block(_unit(first), _unit(second), hit)

    return gather


def _neighbour_hits(k: int) -> Callable[[Array], Array]:
    def gather(records: Array) -> Array:
        labels, vectors = records[:MAX_GALLERY, 0], _unit(records[:MAX_GALLERY, 1:])

        def hit(similar: Array, rows: Array) -> Array:
            similar[np.arange(len(rows)), rows] = -np.inf
            nearest = np.argpartition(-similar, min(k, similar.shape[1]) - 1, axis=1)[:, :k]
            others = np.isfinite(np.take_along_axis(similar, nearest, axis=1))
            same: Array = ((labels[nearest] == labels[rows, None]) & others).any(axis=1)
            return same

        return _by_block(vectors, vectors, hit)

    return gather


def _unit(vectors: Array) -> Array:
    """Scale to length 1; what is no number points nowhere."""
    x = np.where(np.isfinite(vectors).all(axis=1, keepdims=True), vectors, 0)
    unit: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return unit


def _by_block(queries: Array, gallery: Array, hit: Callable[[Array, Array], Array]) -> Array:
    """Return [n, 1]: whether each query is a hit among its similarities to the gallery."""
    hits = []
    for start in range(0, len(queries), ROWS_AT_A_TIME):
        rows = np.arange(start, min(start + ROWS_AT_A_TIME, len(queries)))
        hits.append(hit(queries[rows] @ gallery.T, rows))
    return np.concatenate(hits).astype(np.float64)[:, None]


def _both_vectors(vectors: Array, others: Array) -> Array:
    return np.concatenate([others, vectors], axis=1).astype(np.float32)


def _compared(records: Array) -> tuple[Array, Array, Array, Array]:
    """Return the samples that are compared, both numbers of each pair of them, and their cosines in both models."""
    rows = np.unique(np.linspace(0, len(records) - 1, MAX_COMPARED).astype(np.int64))
    first, second = np.triu_indices(len(rows), 1)
    sides = [_unit(side) for side in np.split(records[rows].astype(np.float64), 2, axis=1)]
    before, after = ((side @ side.T)[first, second] for side in sides)
    return rows, np.stack([first, second]), before, after


def _likeness(records: Array) -> Value:
    return Value(float(_weighted_likeness(records, np.ones((1, len(records))))[0]))


def _weighted_likeness(records: Array, weights: Floats) -> Floats:
    rows, (first, second), before, after = _compared(records)
    if np.array_equal(before, after) or not len(before):
        return np.ones(len(weights))

    def correlation(part: Floats) -> Floats:
        chosen = part[:, rows]
        return ranks.spearman(before, after, chosen[:, first] * chosen[:, second])

    return in_parts(weights, len(before), correlation)


_LIKENESS = Measure(
    _both_vectors,
    _likeness,
    _weighted_likeness,
    work=lambda records: 8 * min(len(records), MAX_COMPARED) ** 2,
)
