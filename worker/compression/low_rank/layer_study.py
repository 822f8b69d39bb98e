"""Works out what one layer could become (`rank_options`, `vbmf_options`) and at last what it becomes (`factorised`)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array
from worker.compression.layers.bias import takes_bias
from worker.compression.layers.input_moments import Moments, moments
from worker.compression.layers.linear import Linear
from worker.compression.low_rank.decompositions import (
    Geometry,
    Split,
    SplitKind,
    is_fast_rank,
    rounded_to_fast_rank,
)
from worker.compression.low_rank.input_drift import Drift, rounding_noise
from worker.compression.low_rank.rank_allocation import Option
from worker.compression.low_rank.reduced_rank import ReducedRank, recomposed
from worker.compression.low_rank.vbmf import vbmf_rank

MAX_COVARIANCE_INPUTS: Final = 8192
"""Inputs of a group whose covariance is taken: it is their number squared, 512 MiB. Wider layers are fitted to their
weights."""

Convolution = Literal["auto", "tucker", "spatial", "channel"]


@dataclass(frozen=True)
class InputStatistics:
    """Of a layer's inputs the mean [groups, inner], None where no bias could take it up, and, in a file, the covariance
    [groups, inner, inner] (without a mean the second moment), float32."""

    path: Path
    mean: Array | None

    def covariance(self) -> Array:
        stored: Array = np.load(self.path)
        return stored.astype(np.float64)


@dataclass(frozen=True)
class Factorisation:
    """What a layer becomes; `bias` None: as it was. `error`: the share of its outputs' energy that is lost, also by the
    layers before it; without data, of its weights'."""

    split: Split
    parts: list[Array]
    bias: Array | None
    error: float


@dataclass
class LayerStudy:
    """`inputs` is None where the weights alone are fitted."""

    layer: Linear
    geometry: Geometry
    inputs: InputStatistics | None = None

    @property
    def is_fitted_to_data(self) -> bool:
        return self.inputs is not None

    def rank_options(self, convolution: Convolution) -> Iterator[Option]:
        """List every split, of all kinds and ranks, and what is lost with them."""
        problem = self._problem()
        for kind in split_kinds(self.geometry, convolution):
            for split, lost in problem.errors(kind):
                if all(map(is_fast_rank, split.ranks)):
                    yield Option(self.geometry.cost_of(split), split, lost, len(self.layer.readers))

    def vbmf_options(self, convolution: Convolution) -> Iterator[Option]:
        """List of each kind the split whose ranks the weights have behind their noise; none where all is noise."""
        for kind in split_kinds(self.geometry, convolution):
            ranks = tuple(map(vbmf_rank_of, self._unfolded(kind)))
            if all(ranks):
                split = Split(kind, ranks)
                yield Option(self.geometry.cost_of(split), split)

    def factorised(self, split: Split, drift: Drift | None = None) -> Factorisation:
        """Fit the parts of a split. `drift`: sums over the layer's inputs since layers before it were changed; needs
        `inputs`."""
        if drift is not None and self.inputs is not None:
            return self._compensated(split, drift.averaged(self.inputs.mean is not None), self.inputs)
        problem = self._problem()
        parts = problem.parts(split)
        return Factorisation(split, parts, None, problem.error(self._recomposed(split, parts)))

    def _compensated(self, split: Split, drift: Drift, inputs: InputStatistics) -> Factorisation:
        """Fit the parts so that they answer the changed inputs as the layer answered the original ones."""
        weight = self.layer.matrix().astype(np.float64)
        parts = ReducedRank(drift.compensated(weight), drift.hessian, self.geometry).parts(split)
        new = self._recomposed(split, parts)
        # E |W x - W' x'|² = tr W C Wᵀ - 2 tr W K W'ᵀ + tr W' C' W'ᵀ
        energy = _trace(weight @ inputs.covariance(), weight)
        lost = energy - 2 * _trace(weight @ drift.cross, new) + _trace(new @ drift.hessian, new)
        bias = None
        if inputs.mean is not None:
            bias = self._shifted_bias(weight @ drift.before[:, :, None] - new @ drift.after[:, :, None])
        return Factorisation(split, parts, bias, max(0.0, lost / energy) if energy > 0 else 0.0)

    def _recomposed(self, split: Split, parts: list[Array]) -> Array:
        return recomposed(split, parts, self.geometry.later_positions(split.kind))

    def _problem(self) -> ReducedRank:
        covariance = None if self.inputs is None else self.inputs.covariance()
        return ReducedRank(self.layer.matrix(), covariance, self.geometry)

    def _shifted_bias(self, shift: Array) -> Array:
        """Move the bias so that the mean of the outputs, which fell by `shift`, stays."""
        bias = self.layer.bias
        if bias is None or bias.const_value is None:
            return shift.ravel()
        moved: Array = shift.ravel() + bias.const_value.numpy().ravel()
        return moved

    def _unfolded(self, kind: SplitKind) -> Iterator[Array]:
        """Unfold the weight, for each rank of a split, into the matrices [groups, …] that have this rank."""
        weight, inputs = self.layer.matrix(), self.geometry.inputs
        groups, out, _ = weight.shape
        match kind:
            case "spatial":
                high, wide = self.geometry.kernel
                turned = weight.reshape(groups, out, inputs * high, wide).swapaxes(1, 2)
                yield turned.reshape(groups, inputs * high, out * wide)
            case "tucker":
                yield weight.reshape(groups, out, inputs, -1).swapaxes(1, 2).reshape(groups, inputs, -1)
                yield weight
            case _:
                yield weight


def split_kinds(geometry: Geometry, convolution: Convolution) -> tuple[SplitKind, ...]:
    """List the kinds of split that a layer has and the step allows. A depthwise convolution is split only when its kind
    is named: its parts move more data than they save."""
    if convolution == "auto":
        return geometry.split_kinds if geometry.out > 1 else ()
    return tuple(kind for kind in geometry.split_kinds if kind in ("svd", convolution))


def observe_inputs(
    model: ir.Model,
    studies: Sequence[LayerStudy],
    samples: Samples,
    folder: Path,
    report_progress: Callable[[float], None],
) -> None:
    """Fill `inputs` of each study whose inputs are not too many and that some sample reaches; raises what `moments`
    raises."""
    narrow = {study.layer: study for study in studies if study.layer.shape[2] <= MAX_COVARIANCE_INPUTS}
    for number, (layer, sums) in enumerate(moments(model, list(narrow), samples, report_progress)):
        if sums.rows:
            narrow[layer].inputs = _statistics(layer, sums, folder / f"{number}.npy")


def vbmf_rank_of(matrices: Array) -> int:
    """Estimate the rank of the group that needs most, made a fast one."""
    most: int = min(matrices.shape[1:])
    return min(rounded_to_fast_rank(max(map(vbmf_rank, matrices))), most)


def _trace(a: Array, b: Array) -> float:
    """Compute tr A Bᵀ, summed over groups."""
    return float(np.sum(a * b))


def _statistics(layer: Linear, sums: Moments, path: Path) -> InputStatistics:
    second, mean = sums.hessian / sums.rows, sums.first / sums.rows
    centred = takes_bias(layer) and not layer.twins  # each has a bias of its own, and they share the weight
    if centred:
        second = second + rounding_noise(second) - mean[:, :, None] * mean[:, None, :]
    np.save(path, second.astype(np.float32))
    return InputStatistics(path, mean if centred else None)
