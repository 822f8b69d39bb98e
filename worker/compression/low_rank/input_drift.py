"""Measures what reaches a layer after the layers before it were changed, x', beside what reached it, x; streamed.

    K = E x x'ᵀ,  C' = E x' x'ᵀ                         (centred where a bias takes the means up)
    M = (W K + λ W) (C' + λ)⁻¹                          minimises E |W x - M x'|² + λ |M - W|²

M answers the changed inputs as W answered the original ones (the asymmetric reconstruction of Zhang et al. 2015), so
errors do not add up from layer to layer. λ is the mean of C's diagonal times inputs / rows: few rows, little trust.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.layers.input_moments import MAX_ROWS, runs_within_memory
from worker.compression.layers.linear import Linear
from worker.compression.runtime.observe import Observer

MAX_PASSES: Final = 8
"""Passes over the data, more or less: layers that follow on one another are measured in one pass, as if only those
before all of them were changed."""

ROUNDING: Final = 1e-6
"""Of the mean square of the inputs. It matters where means are large beside deviations."""


@dataclass
class Drift:
    """Sums over `rows` rows for each group, float64: `cross` [groups, in, in] of x x'ᵀ, `hessian` of x' x'ᵀ, `before`
    [groups, in] of x, `after` of x'."""

    cross: Array
    hessian: Array
    before: Array
    after: Array
    rows: int = 0

    @classmethod
    def empty(cls, layer: Linear) -> "Drift":
        groups, _, inner = layer.shape
        square, flat = (groups, inner, inner), (groups, inner)
        return cls(np.zeros(square), np.zeros(square), np.zeros(flat), np.zeros(flat))

    def add(self, x: Array, changed: Array) -> None:
        """Add rows of both, float32 [groups, rows, in]."""
        self.cross += x.swapaxes(1, 2) @ changed
        self.hessian += changed.swapaxes(1, 2) @ changed
        self.before += x.sum(1, dtype=np.float64)
        self.after += changed.sum(1, dtype=np.float64)
        self.rows += x.shape[1]

    def averaged(self, centred: bool) -> "Drift":
        """Turn sums into means, and second moments into covariances where they are `centred`."""
        cross, second = self.cross / self.rows, self.hessian / self.rows
        before, after = self.before / self.rows, self.after / self.rows
        if centred:
            floor = rounding_noise(second)
            cross += floor - before[:, :, None] * after[:, None, :]
            second += floor - after[:, :, None] * after[:, None, :]
        return Drift(cross, second, before, after, self.rows)

    def compensated(self, weight: Array) -> Array:
        """Solve for M, float64 [groups, out, in], of averages (`averaged`)."""
        inner = weight.shape[2]
        trace = np.trace(self.hessian, axis1=1, axis2=2)[:, None, None] / inner
        damping = np.where(trace > 0, trace, 1.0) * (inner / self.rows) * np.eye(inner)
        wanted = weight @ (self.cross + damping)
        return np.linalg.solve(self.hessian + damping, wanted.swapaxes(1, 2)).swapaxes(1, 2)


def rounding_noise(second: Array) -> Array:
    """Estimate what float32 sums of squares leave uncertain, as noise of its own on each input: [groups, in, in]."""
    inner = second.shape[-1]
    noise: Array = ROUNDING * np.trace(second, axis1=1, axis2=2)[:, None, None] / inner * np.eye(inner)
    return noise


def measure_drift(
    original: ir.Model, changed: ir.Model, layers: Sequence[Linear], samples: Samples
) -> list[Drift]:
    """Sum up the drift of each layer's inputs, over all that reads its weight. Raises what `Observer` raises."""
    drifts = [Drift.empty(layer) for layer in layers]
    readers = [(reader, sums) for layer, sums in zip(layers, drifts, strict=True) for reader in layer.readers]
    values = [reader.data for reader, _ in readers]
    both = (Observer(model, values).run(samples) for model in (original, changed))
    for before, after in zip(*both, strict=True):
        for (reader, sums), x, y in zip(readers, before.values, after.values, strict=True):
            if x.size:
                sums.add(reader.columns(x, MAX_ROWS), reader.columns(y, MAX_ROWS))
    return drifts


def runs_for_one_pass(layers: Sequence[Linear]) -> Iterator[list[Linear]]:
    """Group layers into runs for one pass over the data each, whose sums can be held at once."""
    return runs_within_memory(layers, matrices=2, max_layers=-(-len(layers) // MAX_PASSES))
