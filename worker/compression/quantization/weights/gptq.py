"""Rounds weights one input after the other and corrects the rest for each error: GPTQ (Frantar et al. 2022).

With H = Σ x xᵀ of a layer's inputs and U the upper Cholesky factor of its inverse (H⁻¹ = UᵀU), for inputs i in order

    q_i = round(w_i),   e = (w_i - ŵ_i) / U_ii,   w_j ← w_j - e U_ij   for all j > i,

which minimises tr((W - Ŵ) H (W - Ŵ)ᵀ) greedily. Rows of W are independent. With `act_order` the inputs with the
largest H_ii go first; scales belong to blocks of inputs in their original order, so what is stored does not change.
An input that is always zero has no say: it is rounded to nearest.
"""

from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.quantization.weights.block_affine import Fitted, Grid

DAMPING: Final = 0.01
"""Added to H's diagonal, as a share of its mean; ten times more each time that H has no Cholesky factor."""
MAX_DAMPING: Final = 10.0
BLOCK_COLUMNS: Final = 128
"""Inputs whose corrections are applied to the rest at once (lazy batches, section 3.3)."""


def dead_inputs(hessian: Array) -> Array:
    """Tell which inputs were always zero, bool [in], from H float64 [in, in]."""
    return np.asarray(np.diagonal(hessian) <= 0)


class GptqRounder:
    """Rounds rows of one layer; what they have in common is computed once. H float64 [in, in]."""

    def __init__(self, hessian: Array, act_order: bool) -> None:
        """Raises `numpy.linalg.LinAlgError` where H is not finite."""
        self._order = np.arange(len(hessian))
        diagonal = np.diagonal(hessian)
        if act_order:
            self._order = np.argsort(-diagonal, kind="stable")
        self._upper = _upper_factor(hessian[np.ix_(self._order, self._order)])

    def codes(self, w: Array, grid: Grid, fitted: Fitted) -> Array:
        """Round w, float32 [rows, in], to whole numbers uint8 [rows, in] for these scales and zero points."""
        scale, zero = (part[:, self._order] for part in fitted.spread(w.shape[1]))
        rest = w[:, self._order].astype(np.float64)
        codes = np.empty(w.shape, np.uint8)
        for begin in range(0, w.shape[1], BLOCK_COLUMNS):
            end = min(begin + BLOCK_COLUMNS, w.shape[1])
            errors = np.empty((len(w), end - begin))
            for i in range(begin, end):
                code = grid.codes(rest[:, i], scale[:, i], zero[:, i])
                codes[:, self._order[i]] = code
                error = (rest[:, i] - scale[:, i] * (code - zero[:, i])) / self._upper[i, i]
                rest[:, i + 1 : end] -= error[:, None] * self._upper[i, i + 1 : end]
                errors[:, i - begin] = error
            rest[:, end:] -= errors @ self._upper[begin:end, end:]
        return codes


def _upper_factor(hessian: Array) -> Array:
    """Compute U with H⁻¹ = UᵀU, of H damped as little as it takes."""
    from scipy import linalg  # a fifth of a second, and most jobs never need it

    diagonal = np.diagonal(hessian)
    mean = float(diagonal[diagonal > 0].mean()) if (diagonal > 0).any() else 1.0
    damping = DAMPING
    while True:
        damped = hessian + np.diag(np.where(diagonal > 0, damping * mean, mean))
        try:
            inverse = linalg.inv(damped)
            return np.asarray(linalg.cholesky((inverse + inverse.T) / 2))
        except np.linalg.LinAlgError:
            if damping >= MAX_DAMPING:
                raise
            damping *= 10
