"""What one pass over the samples leaves of an activation: its extremes, and a histogram that needs no range beforehand.

A bin holds the float32 numbers that agree in sign, exponent and the first six bits of the mantissa. So it is at most
1/64 as wide as what it holds is large, and any batch can be counted at once: nothing is stretched or merged later
(cf. Masson et al. 2019, "DDSketch", arXiv:1908.10693). Inside a bin values count as evenly spread.

    minmax       [min, max]
    percentile   cuts (100 − p)/2 percent of the values off either end
    entropy      the threshold T with the least KL divergence between the histogram clipped at T and its
                 quantized form (Migacz 2017, "8-bit inference with TensorRT")
    mse          the ends with the least squared error of rounding and clipping (Choukroun et al. 2019,
                 arXiv:1902.06822)
"""

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from worker.compression.ir.affine import Range
from worker.compression.ir.arrays import Array
from worker.compression.quantization.calibration.entropy import threshold
from worker.compression.quantization.calibration.mse import least_error

Method = Literal["minmax", "percentile", "entropy", "mse"]

BINS: Final = 2048
"""Equal ones over the extremes, that the methods see."""
COUNTED: Final = 1 << 20
"""Values of one activation, of all samples together, that enter its histogram; of more, every k-th does."""
DROPPED_BITS: Final = 17
"""Of a float32's 32: the last ones of the mantissa."""
HALF: Final = 1 << (31 - DROPPED_BITS)
"""Bins of one sign; those of negative numbers come second."""
TINY: Final = float(np.finfo(np.float32).tiny)


def _edges() -> Array:
    """float64 [2 · HALF + 1], ascending; what is no number counts as infinite."""
    sizes = (np.arange(HALF + 1, dtype=np.uint32) << DROPPED_BITS).view(np.float32)
    sizes = np.where(np.isfinite(sizes) & ~np.signbit(sizes), sizes, np.float32(np.inf)).astype(np.float64)
    return np.concatenate([-sizes[::-1], sizes[1:]])


EDGES: Final = _edges()


@dataclass
class Distribution:
    """`counts` by the first bits of a number; without any where only `minmax` will be asked for."""

    low: float = np.inf
    high: float = -np.inf
    counts: Array = field(default_factory=lambda: np.zeros(2 * HALF, np.uint32))

    def extend(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)

    def count(self, x: Array, share: float) -> None:
        """`x` of that share of the samples."""
        flat = x.reshape(-1)
        step = max(1, int(flat.size / (share * COUNTED))) | 1
        flat = np.ascontiguousarray(flat[::step], np.float32)
        bins = (flat.view(np.uint32) >> DROPPED_BITS).astype(np.intp)
        self.counts += np.bincount(bins, minlength=2 * HALF).astype(np.uint32)

    def range(self, method: Method, percentile: float = 100.0) -> Range:
        """What the method makes of it; [0, 0] where nothing was seen."""
        if self.low > self.high:
            return Range(0.0, 0.0)
        match method:
            case "minmax":
                return Range(self.low, self.high)
            case "percentile":
                return self._percentile(percentile)
            case "entropy":
                limit = threshold(self.equal_bins(), self.low, self.high)
                return Range(max(self.low, -limit), min(self.high, limit))
            case "mse":
                return Range(*least_error(self.equal_bins(), self.low, self.high))

    def equal_bins(self) -> Array:
        """float64 [BINS] over [low, high]."""
        total = float(self.counts.sum())
        if self.high - self.low < BINS * TINY:
            return np.array([total] + [0.0] * (BINS - 1))
        ascending = np.concatenate([self.counts[: HALF - 1 : -1], self.counts[:HALF]])
        below = np.concatenate([[0.0], np.cumsum(ascending, dtype=np.float64)])
        inner = np.linspace(self.low, self.high, BINS + 1)[1:-1]
        at = np.interp(inner, np.clip(EDGES, self.low, self.high), below)
        return np.diff(at, prepend=0.0, append=total)

    def _percentile(self, percentile: float) -> Range:
        counts = self.equal_bins()
        share = np.cumsum(counts) / max(1, counts.sum())
        edges = np.linspace(self.low, self.high, BINS + 1)
        cut = (100 - percentile) / 200
        first, last = int(np.searchsorted(share, cut, "right")), int(np.searchsorted(share, 1 - cut, "left"))
        return Range(float(edges[min(first, BINS - 1)]), float(edges[min(last, BINS - 1) + 1]))
