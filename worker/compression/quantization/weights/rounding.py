"""Rounds the weight of one layer to few bits, some rows at a time, and reckons what that costs."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from winnow.contract.recipe import WeightOnly
from worker.compression.ir.arrays import Array
from worker.compression.layers.input_moments import Moments
from worker.compression.quantization.weights.awq import Fit, Scales
from worker.compression.quantization.weights.block_affine import Fitted, Grid, fit_range
from worker.compression.quantization.weights.eligibility import WeightLayer
from worker.compression.quantization.weights.gptq import GptqRounder, dead_inputs
from worker.compression.quantization.weights.hqq import fit_hqq
from worker.compression.quantization.weights.nbits_writer import Quantized

MAX_WEIGHTS_AT_ONCE: Final = 1 << 17
"""Weights of one layer that are rounded at once; what is computed on the way takes about fifty bytes for each."""
FITS: Final[Mapping[str, Fit]] = {"rtn": fit_range, "hqq": fit_hqq, "gptq": fit_hqq, "awq": fit_hqq}
"""Where scales and zero points of each method come from."""


@dataclass(frozen=True)
class Rounded:
    """A layer's codes; relative errors of the weight and, where its inputs are known, of its output."""

    layer: WeightLayer
    result: Quantized
    weight_error: float
    output_error: float | None
    dead_inputs: int
    by_data: bool


def round_layer(
    layer: WeightLayer,
    step: WeightOnly,
    bits: int,
    sums: Moments | None = None,
    scales: Scales | None = None,
) -> Rounded:
    """Round one layer's weight to so many bits as the step says, block by block; by GPTQ with the `sums` of its inputs,
    else alone, scaled by AWQ where there are `scales`."""
    grid, inner = Grid(bits, step.symmetric), layer.rows[1]
    block = min(step.block or inner, inner)
    fit = FITS[step.method]
    error = _Error()
    parts: list[tuple[Array, Fitted]] = []
    for group, matrix in enumerate(layer.matrix() if scales is None else scales.applied(layer)):
        hessian = None if sums is None else sums.hessian[group]
        rounder = None if hessian is None else GptqRounder(hessian, step.act_order)
        for w in _row_slices(matrix):
            fitted = fit(w, grid, block)
            scale, zero = fitted.spread(inner)
            codes = (
                grid.codes(w, scale, zero).astype(np.uint8)
                if rounder is None
                else rounder.codes(w, grid, fitted)
            )
            error.add(w, w - scale * (codes - zero), hessian)
            parts.append((codes, fitted))
    result = Quantized(
        np.concatenate([codes for codes, _ in parts]),
        Fitted(
            np.concatenate([fitted.scale for _, fitted in parts]),
            np.concatenate([fitted.zero for _, fitted in parts]),
            block,
        ),
        grid,
    )
    dead = 0 if sums is None else int(sum(dead_inputs(hessian).sum() for hessian in sums.hessian))
    return Rounded(layer, result, error.of_weight, error.of_output, dead, sums is not None)


def _row_slices(matrix: Array) -> Iterator[Array]:
    count = max(1, MAX_WEIGHTS_AT_ONCE // matrix.shape[1])
    for begin in range(0, len(matrix), count):
        yield matrix[begin : begin + count]


@dataclass
class _Error:
    """Sums of squares over the rows of a layer."""

    weight: float = 0.0
    weight_before: float = 0.0
    output: float = 0.0
    output_before: float = 0.0

    def add(self, w: Array, error: Array, hessian: Array | None) -> None:
        self.weight += float((error.astype(np.float64) ** 2).sum())
        self.weight_before += float((w.astype(np.float64) ** 2).sum())
        if hessian is not None:
            self.output += float(((error @ hessian) * error).sum())
            self.output_before += float(((w @ hessian) * w).sum())

    @property
    def of_weight(self) -> float:
        return _root(self.weight, self.weight_before)

    @property
    def of_output(self) -> float | None:
        return _root(self.output, self.output_before) if self.output_before > 0 else None


def _root(after: float, before: float) -> float:
    return float(np.sqrt(max(after, 0.0) / before)) if before > 0 else 0.0
