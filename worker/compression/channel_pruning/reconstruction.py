"""Least-squares reconstruction: after a cut, each linear layer is fitted to the outputs of the whole network's layer.

    W', b' = argmin Σ ‖y − W x' − b‖² + λ ‖W − W_S‖²   =  (Σ y zᵀ + λ [W_S 0]) (Σ z zᵀ + λ diag(1, …, 1, 0))⁻¹

y: outputs of the layer in the whole network, for the channels that remain;  x': what reaches it in the network that is
cut, and fitted up to there, as the matrix rows that it multiplies;  z = [x' 1] (z = x' for a MatMul, which has no
bias);  W_S: the weights after the cut.  λ is the one of `DAMPINGS` times the mean of Σ x'² that leaves the least
error on rows held out of the fit; where none leaves less than W_S does, the layer stays as it is.
(He et al. 2017, arXiv:1707.06168; Luo et al. 2017, arXiv:1707.06342)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.channel_pruning.dependency_levels import dependency_levels
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.cost import macs
from worker.compression.ir.arrays import Array
from worker.compression.layers.bias import Bias, bias_of
from worker.compression.layers.im2col import sampled_rows
from worker.compression.layers.linear import Linear, linears
from worker.compression.runtime.observe import MAX_OBSERVED_BYTES
from worker.compression.runtime.stages import Stages

ROWS_PER_NUMBER: Final = 64
"""Rows for each number that is fitted; of more (a convolution has one for each position) a random part is taken."""
HELD_OUT_EVERY: Final = 4
"""Every fourth batch chooses λ."""
DAMPINGS: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
MIN_ERROR: Final = 1e-6
"""A relative error that float32 arithmetic makes by itself: no smaller one is worth a fit."""
BATCH: Final = 32
MIN_BATCHES: Final = 8
"""Where there are as many samples: enough to hold some out."""
MAX_MACS: Final = 3 * 10**11
"""Multiply-accumulates of both networks; where the samples would take more, fewer are used, `MIN_SAMPLES` at least."""
MIN_SAMPLES: Final = 32
MAX_HELD_BYTES: Final = 1 << 29
"""Of both networks between two levels; where the samples would take more, fewer are used, `MIN_BATCHES` at least."""


@dataclass(frozen=True)
class Reconstruction:
    """Error of a layer's outputs on held-out rows, relative to their variance: after the cut, and after the fit."""

    name: str
    before: float
    after: float


@dataclass
class LeastSquares:
    """Sums for each group: Σ y zᵀ [groups, out, in (+1)], Σ z zᵀ [groups, in (+1), in (+1)], Σ y² and Σ y."""

    cross: Array
    hessian: Array
    squares: float
    first: Array
    rows: int = 0

    @classmethod
    def empty(cls, shape: tuple[int, int, int]) -> "LeastSquares":
        groups, outer, inner = shape
        return cls(np.zeros(shape), np.zeros((groups, inner, inner)), 0.0, np.zeros((groups, outer)))

    def add(self, z: Array, y: Array) -> None:
        """Add rows, float32: z [groups, rows, in (+1)] and y [groups, rows, out]."""
        self.cross += y.swapaxes(1, 2) @ z
        self.hessian += z.swapaxes(1, 2) @ z
        self.squares += float((y.astype(np.float64) ** 2).sum())
        self.first += y.sum(1, dtype=np.float64)
        self.rows += z.shape[1]

    def error(self, weights: Array) -> float:
        """Compute Σ ‖y − W z‖² relative to Σ ‖y − mean y‖²."""
        error = self.squares - 2 * (weights * self.cross).sum() + ((weights @ self.hessian) * weights).sum()
        variance = self.squares - (self.first**2).sum() / max(1, self.rows)
        return max(0.0, float(error / variance)) if variance > 0 else 0.0

    def solved(self, before: Array, damping: float, free: int) -> Array:
        """Solve for the weights of least error; the last `free` columns (the bias) are not drawn to `before`."""
        inner = self.hessian.shape[1]
        diagonal = np.diagonal(self.hessian, axis1=1, axis2=2)[:, : inner - free]
        ridge = damping * diagonal.mean(1) + np.finfo(np.float32).tiny
        penalty = ridge[:, None] * np.concatenate([np.ones(inner - free), np.zeros(free)])
        system = self.hessian + penalty[:, :, None] * np.eye(inner)
        return np.linalg.solve(system, (self.cross + before * penalty[:, None]).swapaxes(1, 2)).swapaxes(1, 2)

    def __add__(self, other: "LeastSquares") -> "LeastSquares":
        return LeastSquares(
            self.cross + other.cross,
            self.hessian + other.hessian,
            self.squares + other.squares,
            self.first + other.first,
            self.rows + other.rows,
        )


def reconstruct(
    whole: ir.Model,
    cut: ir.Model,
    pruned: Mapping[str, Iterable[int]],
    samples: Samples,
    exclude: Iterable[str],
    report_progress: Callable[[float], None],
) -> list[Reconstruction]:
    """Fit the layers of `cut` behind its first change, in place, from the first to the last.

    `pruned`: the outputs that a layer of `whole` has lost, by the name of its weight. Raises `model_does_not_run`,
    `not_finite`.
    """
    original = {layer.name: layer for layer in linears(whole)}
    linear = [layer for layer in linears(cut, exclude) if layer.name in original]
    levels = [_biased(cut, level) for level in dependency_levels(cut, linear, whole)]
    levels = [level for level in levels if level]
    if not levels:
        return []
    both = _Both.of(whole, cut, original, levels, samples)
    remaining = {
        layer.name: _remaining_outputs(original[layer.name], pruned) for level in levels for layer, _ in level
    }
    reconstructions: list[Reconstruction] = []
    for number, level in enumerate(levels):
        reconstructions += _fit_level(both, number, level, remaining)
        report_progress((number + 1) / len(levels))
    return reconstructions


def _biased(model: ir.Model, layers: Iterable[Linear]) -> list[tuple[Linear, Bias]]:
    """With their biases, without layers that cannot be fitted."""
    return [(layer, bias) for layer in layers if (bias := bias_of(model, layer)) is not None]


@dataclass(frozen=True)
class _Both:
    """Both networks, level by level, each over its `samples` in batches of `size`. `original`: the whole network's
    layers by name."""

    whole: Stages
    cut: Stages
    original: Mapping[str, Linear]
    samples: int
    size: int

    @classmethod
    def of(
        cls,
        whole: ir.Model,
        cut: ir.Model,
        original: Mapping[str, Linear],
        levels: Sequence[Sequence[tuple[Linear, Bias]]],
        samples: Samples,
    ) -> "_Both":
        first = Stages(whole, [[_output(original[layer.name]) for layer, _ in level] for level in levels])
        second = Stages(cut, [[layer.data for layer, _ in level] for level in levels])
        weights = first.bytes_per_sample(samples), second.bytes_per_sample(samples)
        held, wanted = (max(1.0, sum(pair)) for pair in zip(*weights, strict=True))
        most = max(MIN_BATCHES, int(MAX_HELD_BYTES // held))
        samples = samples.take(min(most, max(MIN_SAMPLES, MAX_MACS // (2 * (macs(whole) or 1)))))
        size = int(max(1, min(BATCH, len(samples) // MIN_BATCHES, MAX_OBSERVED_BYTES // wanted)))
        for stages in (first, second):
            stages.begin(samples, size)
        return cls(first, second, original, len(samples), samples.fixed_batch or size)


def _fit_level(
    both: _Both, number: int, layers: Sequence[tuple[Linear, Bias]], remaining: Mapping[str, Array]
) -> list[Reconstruction]:
    """Fit layers that do not depend on each other, in one pass over the data; every fourth batch is held out."""
    sums = {layer.name: [LeastSquares.empty(_sizes(layer, bias)) for _ in range(2)] for layer, bias in layers}
    outputs, data = both.whole.stages[number].wanted, both.cut.stages[number].wanted
    pairs = zip(both.whole.run(number), both.cut.run(number), strict=True)
    for place, (targets, inputs) in enumerate(pairs):
        target, reaching = dict(zip(outputs, targets, strict=True)), dict(zip(data, inputs, strict=True))
        for layer, bias in layers:
            old = both.original[layer.name]
            max_rows = -(-ROWS_PER_NUMBER * layer.shape[2] * both.size // both.samples)
            z = bias.widened(layer.columns(reaching[layer.data], max_rows))
            y = _rows(old, target[_output(old)], max_rows)[:, remaining[layer.name]]
            groups, outer, _ = layer.shape
            y = y.reshape(len(y), groups, outer).swapaxes(0, 1)
            sums[layer.name][place % HELD_OUT_EVERY == 1].add(z, y)
    return [_fit(layer, bias, *sums[layer.name]) for layer, bias in layers]


def _fit(layer: Linear, bias: Bias, training: LeastSquares, held_out: LeastSquares) -> Reconstruction:
    """Give the layer the weights of the damping that leaves the least error, where that is less than before."""
    before, free = bias.joined(layer.matrix()), bias.columns
    judge = held_out if held_out.rows else training
    errors = {damping: judge.error(training.solved(before, damping, free)) for damping in DAMPINGS}
    best = min(errors, key=lambda damping: errors[damping])
    error = judge.error(before)
    if error < MIN_ERROR or errors[best] >= error:
        return Reconstruction(layer.name, error, error)
    layer.put(bias.put((training + held_out).solved(before, best, free)))
    return Reconstruction(layer.name, error, errors[best])


def _remaining_outputs(layer: Linear, pruned: Mapping[str, Iterable[int]]) -> Array:
    groups, outer, _ = layer.shape
    return np.delete(np.arange(groups * outer), list(pruned.get(str(layer.weight.name), ())))


def _sizes(layer: Linear, bias: Bias) -> tuple[int, int, int]:
    groups, outer, inner = layer.shape
    return groups, outer, inner + bias.columns


def _rows(layer: Linear, y: Array, max_rows: int) -> Array:
    """Take the rows of a layer's output, [rows, out], that `Linear.columns` takes of its data."""
    y = np.moveaxis(y, 1, -1) if layer.node.op_type == "Conv" else y
    rows = y.reshape(-1, y.shape[-1])
    if layer.node.op_type == "Conv":
        return rows[sampled_rows(len(rows), max_rows)]
    return rows[:: max(1, -(-len(rows) // max_rows))]


def _output(layer: Linear) -> str:
    return str(layer.node.outputs[0].name)
