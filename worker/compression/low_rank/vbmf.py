"""The rank of a matrix behind its noise: empirical variational Bayesian matrix factorisation (VBMF) in closed form.

For Y [L, M], L ≤ M, α = L / M, singular values γ and noise variance σ²:

    a component is signal where  γ² > M σ² (1 + τ̄)(1 + α/τ̄),  τ̄ = 2.5129 √α
    σ² minimises                 Σ φ(x),  x = γ² / (M σ²)
    φ(x) = x - log x             for noise, and for signal, with τ = (x - 1 - α + √((x - 1 - α)² - 4α)) / 2:
           x - τ + log((τ + 1) / x) + α log(τ/α + 1)

Nakajima, Sugiyama, Babacan, Tomioka 2013, "Global analytic solution of fully-observed variational Bayesian matrix
factorization", theorems 2 and 3.
"""

from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array

TAU_FACTOR: Final = 2.5129
MIN_SQUARE: Final = 1e-12
"""Share of the largest squared singular value: smaller ones are rounding, and count as that much."""


def vbmf_rank(matrix: Array) -> int:
    """Estimate how many components of a matrix [rows, columns] are not noise: 0 where all may be."""
    from scipy.optimize import minimize_scalar  # half a second, and most jobs never need it

    small, large = sorted(matrix.shape)
    wide = matrix.astype(np.float64)
    squares = np.linalg.eigvalsh(wide @ wide.T if len(wide) == small else wide.T @ wide)[::-1]
    if squares[0] <= 0:
        return 0
    squares = squares.clip(MIN_SQUARE * squares[0]) / large
    alpha = small / large
    tau = TAU_FACTOR * np.sqrt(alpha)
    bar = (1 + tau) * (1 + alpha / tau)
    # more signals than this cannot be told from noise
    max_rank = max(0, min(int(np.ceil(small / (1 + alpha))) - 1, small - 1))
    bounds = max(squares[max_rank] / bar, squares[max_rank:].mean()), squares.mean()
    noise = minimize_scalar(
        lambda log: _free_energy(squares / np.exp(log), alpha, bar), bounds=np.log(bounds), method="bounded"
    )
    return int((squares > np.exp(noise.x) * bar).sum()) if bounds[0] < bounds[1] else 0


def _free_energy(x: Array, alpha: float, bar: float) -> float:
    signal, noise = x[x > bar], x[x <= bar]
    above = signal - 1 - alpha
    tau = (above + np.sqrt(above**2 - 4 * alpha)) / 2
    energy = signal - tau + np.log((tau + 1) / signal) + alpha * np.log(tau / alpha + 1)
    return float((noise - np.log(noise)).sum() + energy.sum())
