"""GPTQ (Frantar et al. 2022): weights rounded one input after the other, the rest corrected for each error.

With H = Σ x xᵀ of a layer's inputs and U the upper Cholesky factor of its inverse (H⁻¹ = UᵀU), for inputs i in order

    q_i = round(w_i),   e = (w_i - ŵ_i) / U_ii,   w_j ← w_j - e U_ij   for all j > i,

which minimises tr((W - Ŵ) H (W - Ŵ)ᵀ) greedily. Rows of W are independent. With `act_order` the inputs with the
largest H_ii go first; scales belong to blocks of inputs in their original order, so what is stored does not change.
An input that is always zero has no say: it is rounded to nearest.
"""

from typing import Final

import numpy as np
from scipy import linalg

from worker.compression.quantization.weights.block_affine import Array, Fitted, Grid

DAMPING: Final = 0.01
"""Added to H's diagonal, as a share of its mean; ten times more each time that H has no Cholesky factor."""
MOST_DAMPING: Final = 10.0
TOGETHER: Final = 128
"""Inputs whose corrections are applied to the rest at once."""


def dead(second: Array) -> Array:
    """bool [in]: inputs that were always zero, of H float64 [in, in]."""
    found: Array = np.diagonal(second) <= 0
    return found


class Order:
    """What the rounding of all rows of one layer has in common. H float64 [in, in]."""

    def __init__(self, second: Array, act_order: bool) -> None:
        """Raises `numpy.linalg.LinAlgError` where H is not finite."""
        self._back = np.arange(len(second))
        diagonal = np.diagonal(second)
        if act_order:
            self._back = np.argsort(-diagonal, kind="stable")
        self._upper = _factor(second[np.ix_(self._back, self._back)])

    def codes(self, w: Array, grid: Grid, fitted: Fitted) -> Array:
        """Whole numbers uint8 [rows, in] of w, float32 [rows, in], for these scales and zero points."""
        scale, zero = (part[:, self._back] for part in fitted.spread(w.shape[1]))
        rest = w[:, self._back].astype(np.float64)
        found = np.empty(w.shape, np.uint8)
        for begin in range(0, w.shape[1], TOGETHER):
            end = min(begin + TOGETHER, w.shape[1])
            errors = np.empty((len(w), end - begin))
            for i in range(begin, end):
                code = grid.codes(rest[:, i], scale[:, i], zero[:, i])
                found[:, self._back[i]] = code
                error = (rest[:, i] - scale[:, i] * (code - zero[:, i])) / self._upper[i, i]
                rest[:, i + 1 : end] -= error[:, None] * self._upper[i, i + 1 : end]
                errors[:, i - begin] = error
            rest[:, end:] -= errors @ self._upper[begin:end, end:]
        return found


def _factor(second: Array) -> Array:
    """U with H⁻¹ = UᵀU, of H damped as little as it takes."""
    diagonal = np.diagonal(second)
    mean = float(diagonal[diagonal > 0].mean()) if (diagonal > 0).any() else 1.0
    damping = DAMPING
    while True:
        damped = second + np.diag(np.where(diagonal > 0, damping * mean, mean))
        try:
            inverse = linalg.inv(damped)
            return np.asarray(linalg.cholesky((inverse + inverse.T) / 2))
        except np.linalg.LinAlgError:
            if damping >= MOST_DAMPING:
                raise
            damping *= 10
