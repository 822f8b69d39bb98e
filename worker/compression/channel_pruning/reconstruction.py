"""Least-squares reconstruction: after a cut, each linear layer is fitted to the outputs of the whole network's layer.

    W', b' = argmin Σ ‖y − W x' − b‖² + λ ‖W − W_S‖²   =  (Σ y zᵀ + λ [W_S 0]) (Σ z zᵀ + λ diag(1, …, 1, 0))⁻¹

y: outputs of the layer in the whole network, for the channels that remain;  x': what reaches it in the network that is
cut, and fitted up to there, as the matrix rows that it multiplies;  z = [x' 1] (z = x' for a MatMul, which has no
bias);  W_S: the weights after the cut.  λ is the one of `DAMPINGS` times the mean of Σ x'² that leaves the least
error on rows held out of the fit; where none leaves less than W_S does, the layer stays as it is.
(He et al. 2017, arXiv:1707.06168; Luo et al. 2017, arXiv:1707.06342)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.channel_pruning.dependency_levels import dependency_levels, subgraph_for
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.cost import macs
from worker.compression.ir.arrays import Array
from worker.compression.layers.bias import Bias, bias_of
from worker.compression.layers.im2col import sampled_rows
from worker.compression.layers.linear import Linear, linears
from worker.compression.runtime.observe import Observer

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
MAX_MACS: Final = 10**12
"""Multiply-accumulates of all passes; where the samples would take more, fewer are used, `MIN_SAMPLES` at least."""
MIN_SAMPLES: Final = 32


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

    `pruned`: the outputs that a layer of `whole` has lost, by the name of its weight. Raises what `Observer` raises.
    """
    exclude = list(exclude)
    original = {layer.name: layer for layer in linears(whole)}
    levels = dependency_levels(cut, [x for x in linears(cut, exclude) if x.name in original], whole)
    samples = samples.take(max(MIN_SAMPLES, MAX_MACS // max(1, len(levels) * (macs(whole) or 1))))
    reconstructions: list[Reconstruction] = []
    for number, layers in enumerate(levels):
        pairs = [(original[layer.name], layer) for layer in layers]
        reconstructions += _fit_level(whole, cut, pairs, pruned, samples)
        report_progress((number + 1) / len(levels))
    return reconstructions


def _fit_level(
    whole: ir.Model,
    cut: ir.Model,
    pairs: list[tuple[Linear, Linear]],
    pruned: Mapping[str, Iterable[int]],
    samples: Samples,
) -> Iterator[Reconstruction]:
    """Fit layers that do not depend on each other, in one pass over the data; every fourth batch is held out."""
    layers = [(layer, bias) for _, layer in pairs if (bias := bias_of(cut, layer)) is not None]
    original = {layer.name: old for old, layer in pairs}
    remaining = {layer.name: _remaining_outputs(original[layer.name], pruned) for layer, _ in layers}
    sums = {layer.name: [LeastSquares.empty(_sizes(layer, bias)) for _ in range(2)] for layer, bias in layers}
    outputs = {layer.name: str(original[layer.name].node.outputs[0].name) for layer, _ in layers}
    size, batches = _run_both(whole, cut, outputs, layers, samples)
    for number, (targets, data) in enumerate(batches):
        for layer, bias in layers:
            max_rows = -(-ROWS_PER_NUMBER * layer.shape[2] * size // len(samples))
            z = bias.widened(layer.columns(data[layer.data], max_rows))
            y = _rows(original[layer.name], targets[outputs[layer.name]], max_rows)[:, remaining[layer.name]]
            groups, outer, _ = layer.shape
            y = y.reshape(len(y), groups, outer).swapaxes(0, 1)
            sums[layer.name][number % HELD_OUT_EVERY == 1].add(z, y)
    for layer, bias in layers:
        yield _fit(layer, bias, *sums[layer.name])


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


def _run_both(
    whole: ir.Model,
    cut: ir.Model,
    outputs: Mapping[str, str],
    layers: list[tuple[Linear, Bias]],
    samples: Samples,
) -> tuple[int, Iterator[tuple[dict[str, Array], dict[str, Array]]]]:
    """Run both networks side by side: samples of a batch, and batch by batch the outputs of the whole network's layers
    with the data that reaches the cut one's."""
    targets = list(dict.fromkeys(outputs.values()))
    data = list(dict.fromkeys(layer.data for layer, _ in layers))
    first, second = Observer(subgraph_for(whole, targets), targets), Observer(subgraph_for(cut, data), data)
    max_size = max(1, len(samples) // MIN_BATCHES)
    size = min(BATCH, max_size, first.batch_size(samples), second.batch_size(samples))
    pairs = zip(first.run(samples, size), second.run(samples, size), strict=True)
    return size, (
        (dict(zip(targets, a.values, strict=True)), dict(zip(data, b.values, strict=True))) for a, b in pairs
    )


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
