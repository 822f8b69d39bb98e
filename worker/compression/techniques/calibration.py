"""Ranges of activations from data, batch by batch, in constant memory.

The observed values become extra outputs of the graph. One pass finds the extremes; all methods but `minmax` take
a second one that counts into a histogram of that fixed range, so no histogram is ever merged or stretched.

    minmax       [min, max]
    percentile   cuts (100 − p)/2 percent of the values off either end
    entropy      the threshold T with the least KL divergence between the histogram clipped at T and its
                 quantized form (Migacz 2017, "8-bit inference with TensorRT")
    mse          the ends with the least squared error of rounding and clipping (Choukroun et al. 2019,
                 arXiv:1902.06822)
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.observe import Observer
from worker.compression.techniques.entropy import threshold
from worker.compression.techniques.least_squares import least_error
from worker.compression.techniques.ranges import Array, Range

log = logging.getLogger(__name__)

Method = Literal["minmax", "percentile", "entropy", "mse"]

BINS = 2048
COUNTED = 1 << 15
"""Values of one activation and batch that enter its histogram; of more, every k-th does."""


TINY = float(np.finfo(np.float32).tiny)


@dataclass
class Distribution:
    """Extremes of one activation, and its histogram over them when a second pass was made."""

    low: float = np.inf
    high: float = -np.inf
    counts: Array = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def extend(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)

    def count(self, x: Array) -> None:
        flat = x.reshape(-1)
        flat = flat[:: max(1, flat.size // COUNTED) | 1]
        if self.high - self.low < BINS * TINY:
            self.counts[0] += flat.size
            return
        bins = (flat - self.low) * (BINS / (self.high - self.low))
        self.counts += np.bincount(np.clip(bins, 0, BINS - 1).astype(np.int32), minlength=BINS)

    def range(self, method: Method, percentile: float = 100.0) -> Range:
        """What the method makes of it; [0, 0] where nothing was seen. Only `minmax` does without the second pass."""
        if self.low > self.high:
            return Range(0.0, 0.0)
        match method:
            case "minmax":
                return Range(self.low, self.high)
            case "percentile":
                return _percentile(self, percentile)
            case "entropy":
                limit = threshold(self.counts, self.low, self.high)
                return Range(max(self.low, -limit), min(self.high, limit))
            case "mse":
                return Range(*least_error(self.counts, self.low, self.high))


def distributions(
    model: ir.Model,
    values: Iterable[str],
    samples: Samples,
    told: Callable[[float], None],
    *,
    histograms: bool = True,
) -> dict[str, Distribution]:
    """Of each of these float values over the samples. `told` hears the share of the work that is done.

    Raises `Refusal` `not_finite` naming the layer that gave NaN or infinity, `model_does_not_run`.
    """
    seen = {name: Distribution() for name in values}
    if not seen:
        return seen
    observer = Observer(model, list(seen))
    passes = 2 if histograms else 1
    for number in range(passes):
        done = 0
        for batch in observer.run(samples, checked=number > 0):
            if number == 0:
                for one, extremes in zip(seen.values(), batch.extremes, strict=True):
                    one.extend(*extremes)
            else:
                for one, x in zip(seen.values(), batch.values, strict=True):
                    if x.size:
                        one.count(x)
            done += batch.rows
            told((number + min(1.0, done / len(samples))) / passes)
    return seen


def _percentile(seen: Distribution, percentile: float) -> Range:
    share = np.cumsum(seen.counts) / max(1, seen.counts.sum())
    edges = np.linspace(seen.low, seen.high, BINS + 1)
    cut = (100 - percentile) / 200
    first, last = int(np.searchsorted(share, cut, "right")), int(np.searchsorted(share, 1 - cut, "left"))
    return Range(float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1]))
