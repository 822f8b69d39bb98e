"""Least-squares repair: after a cut, each linear layer is fitted to what the whole network's layer answers.

    W', b' = argmin Σ ‖y − W x' − b‖² + λ ‖W − W_S‖²   =  (Σ y zᵀ + λ [W_S 0]) (Σ z zᵀ + λ diag(1, …, 1, 0))⁻¹

y: outputs of the layer in the whole network, for the channels that are left;  x': what reaches it in the network that
is cut and repaired up to there, as the matrix rows that it multiplies;  z = [x' 1] (z = x' for a MatMul, which has no
bias);  W_S: the weights that the cut left.  λ is the one of `DAMPINGS` times the mean of Σ x'² that leaves the least
error on rows held out of the fit; where none leaves less than W_S does, the layer stays as it is.
(He et al. 2017, arXiv:1707.06168; Luo et al. 2017, arXiv:1707.06342)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.channel_pruning.dependency_levels import levels, prefix
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.cost import macs
from worker.compression.layers.bias import Bias, bias_of
from worker.compression.layers.im2col import chosen
from worker.compression.layers.linear import Linear, linears
from worker.compression.runtime.observe import Array, Observer

ROWS_FOR_EACH: Final = 64
"""Rows for each number that is fitted; of more (a convolution has one for each position), a random part is counted."""
HELD_OUT: Final = 4
"""Every fourth batch chooses λ."""
DAMPINGS: Final = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
NOTHING: Final = 1e-6
"""A relative error that float32 makes by itself."""
BATCH: Final = 32
BATCHES: Final = 8
"""At least, where there are as many samples: enough to hold some out."""
AFFORDABLE: Final = 10**12
"""Multiply-accumulates; where the samples would take more, only some of them are used, `FEWEST` at least."""
FEWEST: Final = 32


@dataclass(frozen=True)
class Repaired:
    """Error of the layer's outputs on held-out rows, relative to their variance, as the cut left it and at last."""

    name: str
    before: float
    after: float


@dataclass
class Fit:
    """Sums for each group: Σ y zᵀ [groups, out, in (+1)], Σ z zᵀ [groups, in (+1), in (+1)], Σ y² and Σ y."""

    cross: Array
    second: Array
    squares: float
    first: Array
    rows: int = 0

    @classmethod
    def none(cls, shape: tuple[int, int, int]) -> "Fit":
        groups, outer, inner = shape
        return cls(np.zeros(shape), np.zeros((groups, inner, inner)), 0.0, np.zeros((groups, outer)))

    def add(self, z: Array, y: Array) -> None:
        """float32 [groups, rows, in (+1)] and [groups, rows, out]."""
        self.cross += y.swapaxes(1, 2) @ z
        self.second += z.swapaxes(1, 2) @ z
        self.squares += float((y.astype(np.float64) ** 2).sum())
        self.first += y.sum(1, dtype=np.float64)
        self.rows += z.shape[1]

    def error(self, weights: Array) -> float:
        """Σ ‖y − W z‖² relative to Σ ‖y − mean y‖²."""
        left = self.squares - 2 * (weights * self.cross).sum() + ((weights @ self.second) * weights).sum()
        variance = self.squares - (self.first**2).sum() / max(1, self.rows)
        return max(0.0, float(left / variance)) if variance > 0 else 0.0

    def solved(self, before: Array, damping: float, free: int) -> Array:
        """The weights of least error; the last `free` columns are not held to what they were."""
        inner = self.second.shape[1]
        diagonal = np.diagonal(self.second, axis1=1, axis2=2)[:, : inner - free]
        ridge = damping * diagonal.mean(1) + np.finfo(np.float32).tiny
        held = ridge[:, None] * np.concatenate([np.ones(inner - free), np.zeros(free)])
        system = self.second + held[:, :, None] * np.eye(inner)
        return np.linalg.solve(system, (self.cross + before * held[:, None]).swapaxes(1, 2)).swapaxes(1, 2)

    def __add__(self, other: "Fit") -> "Fit":
        return Fit(
            self.cross + other.cross,
            self.second + other.second,
            self.squares + other.squares,
            self.first + other.first,
            self.rows + other.rows,
        )


def repair(
    whole: ir.Model,
    cut: ir.Model,
    gone: Mapping[str, Iterable[int]],
    samples: Samples,
    exclude: Iterable[str],
    told: Callable[[float], None],
) -> list[Repaired]:
    """Fit the layers of `cut` behind its first change, in place, from the first to the last.

    `gone`: the outputs that a layer of `whole` has lost, by the name of its weight. Raises what `Observer` raises.
    """
    exclude = list(exclude)
    there = {layer.name: layer for layer in linears(whole)}
    steps = levels(cut, [layer for layer in linears(cut, exclude) if layer.name in there], whole)
    samples = samples.take(_affordable(whole, len(steps)))
    found: list[Repaired] = []
    for number, layers in enumerate(steps):
        pairs = [(there[layer.name], layer) for layer in layers]
        found += _fitted(whole, cut, pairs, gone, samples)
        told((number + 1) / len(steps))
    return found


def _fitted(
    whole: ir.Model,
    cut: ir.Model,
    pairs: list[tuple[Linear, Linear]],
    gone: Mapping[str, Iterable[int]],
    samples: Samples,
) -> Iterator[Repaired]:
    layers = [(layer, bias) for _, layer in pairs if (bias := bias_of(cut, layer)) is not None]
    olds = {layer.name: old for old, layer in pairs}
    kept = {layer.name: _kept(olds[layer.name], gone) for layer, _ in layers}
    sums = {layer.name: [Fit.none(_sizes(layer, bias)) for _ in range(2)] for layer, bias in layers}
    outputs = {layer.name: str(olds[layer.name].node.outputs[0].name) for layer, _ in layers}
    size, batches = _both(whole, cut, outputs, layers, samples)
    for number, (answers, reaching) in enumerate(batches):
        for layer, bias in layers:
            most = -(-ROWS_FOR_EACH * layer.shape[2] * size // len(samples))
            z = bias.widened(layer.columns(reaching[layer.data], most))
            y = _rows(olds[layer.name], answers[outputs[layer.name]], most)[:, kept[layer.name]]
            groups, outer, _ = layer.shape
            y = y.reshape(len(y), groups, outer).swapaxes(0, 1)
            sums[layer.name][number % HELD_OUT == 1].add(z, y)
    for layer, bias in layers:
        yield _improved(layer, bias, *sums[layer.name])


def _improved(layer: Linear, bias: Bias, fit: Fit, judge: Fit) -> Repaired:
    before, free = bias.joined(layer.matrix()), bias.columns
    judge = judge if judge.rows else fit
    tried = {damping: judge.error(fit.solved(before, damping, free)) for damping in DAMPINGS}
    best = min(tried, key=lambda damping: tried[damping])
    error = judge.error(before)
    if error < NOTHING or tried[best] >= error:
        return Repaired(layer.name, error, error)
    everything = fit if judge is fit else fit + judge
    layer.put(bias.put(everything.solved(before, best, free)))
    return Repaired(layer.name, error, tried[best])


def _both(
    whole: ir.Model,
    cut: ir.Model,
    outputs: Mapping[str, str],
    layers: list[tuple[Linear, Bias]],
    samples: Samples,
) -> tuple[int, Iterator[tuple[dict[str, Array], dict[str, Array]]]]:
    """Samples of a batch; batch by batch the outputs of the whole network's layers, and what reaches the cut one's."""
    asked = list(dict.fromkeys(outputs.values()))
    wanted = list(dict.fromkeys(layer.data for layer, _ in layers))
    first, second = Observer(prefix(whole, asked), asked), Observer(prefix(cut, wanted), wanted)
    most = max(1, len(samples) // BATCHES)
    size = min(BATCH, most, first.batch_size(samples), second.batch_size(samples))
    pairs = zip(first.run(samples, size), second.run(samples, size), strict=True)
    return size, (
        (dict(zip(asked, a.values, strict=True)), dict(zip(wanted, b.values, strict=True))) for a, b in pairs
    )


def _affordable(model: ir.Model, levels: int) -> int:
    """For each level the whole network is run about half, and the cut one too."""
    return max(FEWEST, AFFORDABLE // max(1, levels * (macs(model) or 1)))


def _kept(layer: Linear, gone: Mapping[str, Iterable[int]]) -> Array:
    groups, outer, _ = layer.shape
    return np.delete(np.arange(groups * outer), list(gone.get(str(layer.weight.name), ())))


def _sizes(layer: Linear, bias: Bias) -> tuple[int, int, int]:
    groups, outer, inner = layer.shape
    return groups, outer, inner + bias.columns


def _rows(layer: Linear, y: Array, most: int) -> Array:
    """[rows, out], the rows that `Linear.columns` gives of the layer's data."""
    y = np.moveaxis(y, 1, -1) if layer.node.op_type == "Conv" else y
    rows = y.reshape(-1, y.shape[-1])
    if layer.node.op_type == "Conv":
        return rows[chosen(len(rows), most)]
    return rows[:: max(1, -(-len(rows) // most))]
