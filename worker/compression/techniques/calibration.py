"""Ranges of activations from data, batch by batch, in constant memory.

The observed values become extra outputs of the graph. One pass finds the extremes; `percentile` and `entropy` take
a second one that counts into a histogram of that fixed range, so no histogram is ever merged or stretched.

    minmax       [min, max]
    percentile   cuts (100 − p)/2 percent of the values off either end
    entropy      the threshold T with the least KL divergence between the histogram clipped at T and its
                 quantized form (Migacz 2017, "8-bit inference with TensorRT")
"""

import logging
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.observe import Observer
from worker.compression.progress import Progress
from worker.compression.techniques.entropy import threshold
from worker.compression.techniques.ranges import Array, Range

log = logging.getLogger(__name__)

Method = Literal["minmax", "percentile", "entropy"]

BINS = 2048
COUNTED = 1 << 18
"""Values of one activation and batch that enter its histogram; of more, every k-th does."""


TINY = float(np.finfo(np.float32).tiny)


@dataclass
class _Seen:
    """Extremes of one activation, and its histogram over them in the second pass."""

    low: float = np.inf
    high: float = -np.inf
    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def extend(self, x: Array) -> None:
        self.low, self.high = min(self.low, float(x.min())), max(self.high, float(x.max()))

    def count(self, x: Array) -> None:
        flat = x.reshape(-1)
        flat = flat[:: max(1, flat.size // COUNTED) | 1]
        bins = (flat - self.low) * (BINS / max(self.high - self.low, TINY))
        self.counts += np.bincount(np.clip(bins, 0, BINS - 1).astype(np.int32), minlength=BINS)


def calibrate(
    model: ir.Model,
    values: list[str],
    samples: Samples,
    method: Method,
    percentile: float,
    progress: Progress,
) -> dict[str, Range]:
    """The range of each of these float values over the samples.

    Raises `Refusal` `not_finite` naming the layer that gave NaN or infinity, `model_does_not_run`.
    """
    seen = {name: _Seen() for name in values}
    observer = Observer(model, values)
    passes = 1 if method == "minmax" else 2
    for number in range(passes):
        done = 0
        for batch in observer.run(samples):
            for name, x in zip(values, batch.values, strict=True):
                if x.size:
                    seen[name].count(x) if number else seen[name].extend(x)
            done += batch.rows
            progress.advance((number + min(1.0, done / len(samples))) / passes)
    return {name: _chosen(stats, method, percentile) for name, stats in seen.items()}


def _chosen(seen: _Seen, method: Method, percentile: float) -> Range:
    if seen.low > seen.high:
        return Range(0.0, 0.0)
    match method:
        case "minmax":
            return Range(seen.low, seen.high)
        case "percentile":
            return _percentile(seen, percentile)
        case "entropy":
            limit = threshold(seen.counts, seen.low, seen.high)
            return Range(max(seen.low, -limit), min(seen.high, limit))


def _percentile(seen: _Seen, percentile: float) -> Range:
    share = np.cumsum(seen.counts) / max(1, seen.counts.sum())
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    cut = (100 - percentile) / 200
    first, last = int(np.searchsorted(share, cut, "right")), int(np.searchsorted(share, 1 - cut, "left"))
    return Range(float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1]))
