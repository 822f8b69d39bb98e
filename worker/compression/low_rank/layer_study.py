"""A layer that may be factorised: what it could become, and at last what it becomes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.layers.bias import takes_bias
from worker.compression.layers.input_moments import Moments, moments
from worker.compression.layers.linear import Linear
from worker.compression.low_rank.decompositions import Geometry, Split, Way, quick, quickened
from worker.compression.low_rank.input_drift import Drift, rounding
from worker.compression.low_rank.rank_allocation import Option
from worker.compression.low_rank.reduced_rank import ReducedRank, whole
from worker.compression.low_rank.vbmf import vbmf_rank
from worker.compression.runtime.observe import Array

WIDEST: Final = 8192
"""Inputs of a group, at most, whose covariance is taken: it has the square of that, 512 MiB. Wider layers are fitted to
their weights."""

Convolution = Literal["auto", "tucker", "spatial", "channel"]


@dataclass(frozen=True)
class Seen:
    """What is known of a layer's inputs: their mean [groups, inner], None where no bias could take it up, and, in a
    file, the covariance [groups, inner, inner] (without a mean the second moment), float32."""

    path: Path
    mean: Array | None

    def covariance(self) -> Array:
        stored: Array = np.load(self.path)
        return stored.astype(np.float64)


@dataclass(frozen=True)
class Fitted:
    """What a layer becomes; `bias` None: as it was. `error`: the share of its outputs' energy that is lost, also by the
    layers before it; without data, of its weights'."""

    split: Split
    parts: list[Array]
    bias: Array | None
    error: float


@dataclass
class Study:
    """`seen` is None where the weights alone are fitted."""

    layer: Linear
    geometry: Geometry
    seen: Seen | None = None

    def look(self, convolution: Convolution) -> Iterator[Option]:
        """Every way with its ranks."""
        problem = self._problem()
        for way in ways(self.geometry, convolution):
            for split, lost in problem.errors(way):
                if all(map(quick, split.ranks)):
                    yield Option(self.geometry.of(split), split, lost)

    def look_behind_noise(self, convolution: Convolution) -> Iterator[Option]:
        """Each way with the ranks that the weights have behind their noise; none of a way where all is noise."""
        for way in ways(self.geometry, convolution):
            ranks = tuple(map(_rank_behind_noise, self._unfolded(way)))
            if all(ranks):
                split = Split(way, ranks)
                yield Option(self.geometry.of(split), split)

    def fitted(self, split: Split, drift: Drift | None = None) -> Fitted:
        """`drift`: of the layer's inputs since layers before it were changed, sums; needs `seen`."""
        if drift is not None and self.seen is not None:
            return self._compensated(split, drift.averaged(self.seen.mean is not None), self.seen)
        problem = self._problem()
        parts = problem.parts(split)
        return Fitted(split, parts, None, problem.error(self._whole(split, parts)))

    def _compensated(self, split: Split, drift: Drift, seen: Seen) -> Fitted:
        weight = self.layer.matrix().astype(np.float64)
        parts = ReducedRank(drift.compensated(weight), drift.second, self.geometry).parts(split)
        made = self._whole(split, parts)
        energy = _product(weight @ seen.covariance(), weight)
        lost = energy - 2 * _product(weight @ drift.cross, made) + _product(made @ drift.second, made)
        bias = None
        if seen.mean is not None:
            bias = self._bias(weight @ drift.before[:, :, None] - made @ drift.after[:, :, None])
        return Fitted(split, parts, bias, max(0.0, lost / energy) if energy > 0 else 0.0)

    def _whole(self, split: Split, parts: list[Array]) -> Array:
        return whole(split, parts, self.geometry.kept(split.way))

    def _problem(self) -> ReducedRank:
        covariance = None if self.seen is None else self.seen.covariance()
        return ReducedRank(self.layer.matrix(), covariance, self.geometry)

    def _bias(self, shift: Array) -> Array:
        """The bias that keeps the mean of the outputs, which moved by so much."""
        bias = self.layer.bias
        if bias is None or bias.const_value is None:
            return shift.ravel()
        moved: Array = shift.ravel() + bias.const_value.numpy().ravel()
        return moved

    def _unfolded(self, way: Way) -> Iterator[Array]:
        """For each rank of a way, the matrices [groups, …] that have it."""
        weight, inputs = self.layer.matrix(), self.geometry.inputs
        groups, out, _ = weight.shape
        match way:
            case "spatial":
                high, wide = self.geometry.kernel
                turned = weight.reshape(groups, out, inputs * high, wide).swapaxes(1, 2)
                yield turned.reshape(groups, inputs * high, out * wide)
            case "tucker":
                yield weight.reshape(groups, out, inputs, -1).swapaxes(1, 2).reshape(groups, inputs, -1)
                yield weight
            case _:
                yield weight


def ways(geometry: Geometry, convolution: Convolution) -> tuple[Way, ...]:
    """Those that a layer has, of what is asked for convolutions. A depthwise convolution is split when it is asked for:
    its parts move more data than they save."""
    there = geometry.ways
    if convolution == "auto":
        return there if geometry.out > 1 else ()
    return tuple(way for way in there if way in ("svd", convolution))


def observe(
    model: ir.Model,
    studies: Sequence[Study],
    samples: Samples,
    folder: Path,
    told: Callable[[float], None],
) -> None:
    """Fill `seen` of each study whose inputs are not too many; raises what `moments` raises."""
    narrow = {study.layer: study for study in studies if study.layer.shape[2] <= WIDEST}
    for number, (layer, found) in enumerate(moments(model, list(narrow), samples, told)):
        narrow[layer].seen = _seen(layer, found, folder / f"{number}.npy")


def _rank_behind_noise(matrices: Array) -> int:
    """Of the group that needs most."""
    most: int = min(matrices.shape[1:])
    return min(quickened(max(map(vbmf_rank, matrices))), most)


def _product(a: Array, b: Array) -> float:
    """tr A Bᵀ, over all groups."""
    return float(np.sum(a * b))


def _seen(layer: Linear, found: Moments, path: Path) -> Seen:
    second, mean = found.second / found.rows, found.first / found.rows
    centred = takes_bias(layer)
    if centred:
        second = second + rounding(second) - mean[:, :, None] * mean[:, None, :]
    np.save(path, second.astype(np.float32))
    return Seen(path, mean if centred else None)
