"""Figures of one output, the float model's beside a candidate's, over all batches."""

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.parity import comparable, cosines

EXACT_DB = 200.0
"""Where nothing moved, or less than can be told."""

Pairs = list[tuple[Array, Array]]
"""Of one output: the float model's and the candidate's, batch by batch."""


def snr(pairs: Pairs) -> float:
    """10 log10( Σ x² / Σ (x − y)² ) in dB, within ± `EXACT_DB`."""
    signal = noise = 0.0
    for x, y in pairs:
        if x.shape != y.shape:
            return -EXACT_DB
        a, b, _, broken = compared(x, y)
        if broken.any():
            return -EXACT_DB
        signal += float((a * a).sum())
        noise += float(((a - b) ** 2).sum())
    if noise == 0 or signal == 0:
        return EXACT_DB if noise == 0 else -EXACT_DB
    return float(np.clip(10 * np.log10(signal / noise), -EXACT_DB, EXACT_DB))


def cosine(pairs: Pairs) -> float:
    """The mean of the samples' cosines; -1 for what is broken."""
    by_row: list[float] = []
    for x, y in pairs:
        if x.shape != y.shape:
            return -1.0
        a, b, _, broken = compared(x, y)
        if broken.any():
            return -1.0
        by_row += cosines(a, b)
    return float(np.mean(by_row)) if by_row else 1.0


def compared(x: Array, y: Array) -> tuple[Array, Array, Array, Array]:
    """Both as float64 [rows, …], with what `comparable` says of them."""
    rows = len(x) if x.ndim > 1 else 1
    return comparable(*(v.astype(np.float64).reshape(rows, -1) for v in (x, y)))
