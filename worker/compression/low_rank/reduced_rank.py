"""Writes a matrix W as a product of smaller ones so that the outputs, not the weights, are closest.

For inputs x with covariance C (their second moment where no bias takes the mean up) the error of W' is

    tr (W - W') C (W - W')ᵀ

and C = I is the plain decomposition of the weights. W is [o, p·s]: p is what is brought together first, s the kernel
positions that the first part keeps (Tucker: p = i, s = kh·kw; spatial: p = i·kh, s = kw).

Outputs    W' = U Uᵀ W with U the first eigenvectors of W C Wᵀ: the SVD of W L, C = L Lᵀ, without an inverse (Zhang et
           al. 2015, "Accelerating very deep convolutional networks"; Wang et al. 2024, SVD-LLM).
Inputs     W' = B T, T = P ⊗ I, B = W C Tᵀ (T C Tᵀ)⁻¹ the least squares, P the first singular directions of W unfolded
           over p, whitened by the mean of C over s. With R Rᵀ = T C Tᵀ (Cholesky) the first q rows of P keep the
           energy Σ |(W Tᵀ R)_j|² over their columns j, for all q at once. P without whitening is tried too, so nothing
           is worse than the plain decomposition.
Both       W' = U Uᵀ B T with U the first eigenvectors of B (T C Tᵀ) Bᵀ: Tucker-2 as a reduced-rank regression.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.low_rank.decompositions import Geometry, Split, SplitKind, is_fast_rank

DAMPING = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e3)
"""Shares of its mean added to C's diagonal; the least that makes C positive is taken, so that inputs without data keep
their weights. The last is for a C of rounding errors alone, which one sample leaves."""
MAX_TUCKER_INPUT_RANKS = 16
"""Input ranks that are tried of a Tucker decomposition; of output ranks all are."""


class ReducedRank:
    """`weight` [groups, out, inner] and the `covariance` [groups, inner, inner] of what it multiplies, None for I."""

    def __init__(self, weight: Array, covariance: Array | None, geometry: Geometry) -> None:
        self._w = weight.astype(np.float64)
        self._c = None if covariance is None else _damped(covariance)
        self._geometry = geometry
        self._energy = float(np.trace(self._outputs, axis1=1, axis2=2).sum())

    def errors(self, kind: SplitKind) -> Iterator[tuple[Split, float]]:
        """List ranks, with the share of the outputs' energy that is lost; of Tucker's first rank only some."""
        match kind:
            case "svd" | "channel":
                for rank, energy in enumerate(_energies(self._outputs), 1):
                    yield Split(kind, (rank,)), self._lost(energy)
            case "spatial":
                for rank, energy in enumerate(np.max([x.energies for x in self._rows], axis=0), 1):
                    yield Split(kind, (rank,)), self._lost(energy)
            case "tucker":
                for q in _grid(self._geometry.inputs):
                    energies = np.max([_energies(x.outputs(q)) for x in self._channels], axis=0)
                    for r, energy in enumerate(energies, 1):
                        yield Split(kind, (q, r)), self._lost(energy)

    def parts(self, split: Split) -> list[Array]:
        """Compute the factors, float64 [groups, rows, columns], in the order in which they multiply."""
        match split.kind:
            case "svd" | "channel":
                u = _eigenvectors(self._outputs, split.ranks[0])
                return [u.swapaxes(1, 2) @ self._w, u]
            case "spatial":
                (q,) = split.ranks
                best = max(self._rows, key=lambda x: float(x.energies[q - 1]))
                return [best.basis[:, :q], best.fitted(q)]
            case "tucker":
                q, r = split.ranks
                best = max(self._channels, key=lambda x: float(_energies(x.outputs(q))[r - 1]))
                u = _eigenvectors(best.outputs(q), r)
                return [best.basis[:, :q], u.swapaxes(1, 2) @ best.fitted(q), u]

    def error(self, weight: Array) -> float:
        """Compute the share of the outputs' energy that is lost with another weight [groups, out, inner]."""
        difference = self._w - weight
        return float(np.sum(self._times_covariance(difference) * difference)) / (self._energy or 1.0)

    def _lost(self, energy: float) -> float:
        return max(0.0, 1 - float(energy) / self._energy) if self._energy > 0 else 0.0

    def _times_covariance(self, w: Array) -> Array:
        return w if self._c is None else w @ self._c

    @cached_property
    def _outputs(self) -> Array:
        """W C Wᵀ"""
        return self._times_covariance(self._w) @ self._w.swapaxes(1, 2)

    @cached_property
    def _rows(self) -> list["_Inputs"]:
        return self._inputs(self._geometry.kernel[-1])

    @cached_property
    def _channels(self) -> list["_Inputs"]:
        return self._inputs(math.prod(self._geometry.kernel))

    def _inputs(self, s: int) -> list["_Inputs"]:
        metrics = [None] if self._c is None else [None, _mean_over(self._c, s)]
        return [_Inputs.of(self._w, self._c, _directions(self._w, metric, s), s) for metric in metrics]


@dataclass(frozen=True)
class _Inputs:
    """One choice of P: `basis` [groups, p, p]; `root` R, None for I; `whitened` W Tᵀ R."""

    basis: Array
    root: Array | None
    whitened: Array
    s: int

    @classmethod
    def of(cls, w: Array, c: Array | None, basis: Array, s: int) -> "_Inputs":
        projected = _projected(w, basis, s)
        if c is None:
            return cls(basis, None, projected, s)
        covariance = _projected(_projected(c, basis, s).swapaxes(1, 2), basis, s)  # T C Tᵀ
        root = _cholesky(covariance)
        return cls(basis, root, projected @ root, s)

    @cached_property
    def energies(self) -> Array:
        """What the first q rows of P keep, by q: [p]."""
        return np.cumsum((self.whitened**2).sum((0, 1)).reshape(-1, self.s).sum(1))

    def outputs(self, q: int) -> Array:
        """B (T C Tᵀ) Bᵀ, whose eigenvectors are U."""
        first = self.whitened[:, :, : q * self.s]
        return first @ first.swapaxes(1, 2)

    def fitted(self, q: int) -> Array:
        """B, [groups, out, q·s]"""
        n = q * self.s
        if self.root is None:
            return self.whitened[:, :, :n]
        root = self.root[:, :n, :n].swapaxes(1, 2)
        return np.linalg.solve(root, self.whitened[:, :, :n].swapaxes(1, 2)).swapaxes(1, 2)


def recomposed(split: Split, parts: list[Array], s: int) -> Array:
    """Multiply the parts into the weight [groups, out, inner] that they stand for; `s` as above."""
    if split.kind in ("svd", "channel"):
        return parts[1] @ parts[0]
    basis, *rest = parts
    fitted = rest[0] if len(rest) == 1 else rest[1] @ rest[0]
    groups, out, _ = fitted.shape
    q, p = basis.shape[1:]
    by_position = fitted.reshape(groups, out, q, s).swapaxes(2, 3) @ basis[:, None]
    return by_position.swapaxes(2, 3).reshape(groups, out, p * s)


def _projected(w: Array, basis: Array, s: int) -> Array:
    """Compute W (P ⊗ I)ᵀ of W [groups, rows, p·s]."""
    groups, rows, _ = w.shape
    flat = w.reshape(groups, rows, -1, s).swapaxes(1, 2)  # one large product instead of many small ones
    projected = basis @ flat.reshape(groups, flat.shape[1], -1)
    return projected.reshape(groups, -1, rows, s).swapaxes(1, 2).reshape(groups, rows, -1)


def _directions(w: Array, metric: Array | None, s: int) -> Array:
    """Find P: orthonormal rows [groups, p, p], those with the most energy first; `metric` whitens them."""
    groups, out, inner = w.shape
    unfolded = w.reshape(groups, out, inner // s, s).swapaxes(1, 2).reshape(groups, inner // s, -1)
    gram = unfolded @ unfolded.swapaxes(1, 2)
    if metric is None:
        return np.linalg.eigh(gram)[1][:, :, ::-1].swapaxes(1, 2)
    root = _cholesky(metric)
    vectors = np.linalg.eigh(root.swapaxes(1, 2) @ gram @ root)[1][:, :, ::-1]
    return np.linalg.qr(np.linalg.solve(root.swapaxes(1, 2), vectors))[0].swapaxes(1, 2)


def _mean_over(c: Array, s: int) -> Array:
    """Average the blocks of C over the s kernel positions: [groups, p, p]."""
    groups, inner, _ = c.shape
    p = inner // s
    mean: Array = np.einsum("gasbs->gab", c.reshape(groups, p, s, p, s)) / s
    return mean


def _damped(covariance: Array) -> Array:
    """Add the least of `DAMPING` to the diagonal that makes it positive definite."""
    unit = _unit(covariance)
    for damping in DAMPING:
        with suppress(np.linalg.LinAlgError):
            np.linalg.cholesky(covariance + damping / 2 * unit)  # with a margin
            break
    damped: Array = covariance + damping * unit
    return damped


def _cholesky(metric: Array) -> Array:
    """Compute the Cholesky factor; of the damped matrix where rounding left it none."""
    with suppress(np.linalg.LinAlgError):
        root: Array = np.linalg.cholesky(metric)
        return root
    damped: Array = np.linalg.cholesky(_damped(metric))
    return damped


def _unit(covariance: Array) -> Array:
    """Scale the identity by the mean size of the diagonal, by 1 where that is zero."""
    inner = covariance.shape[-1]
    mean = np.abs(np.diagonal(covariance, axis1=1, axis2=2)).mean(1)[:, None, None]
    return np.asarray(np.where(mean > 0, mean, 1.0) * np.eye(inner))


def _energies(outputs: Array) -> Array:
    """Compute the energy that each rank keeps: cumulated eigenvalues, summed over groups."""
    return np.cumsum(np.linalg.eigvalsh(outputs)[:, ::-1].clip(0).sum(0))


def _eigenvectors(outputs: Array, rank: int) -> Array:
    """Compute the first eigenvectors [groups, out, rank], that of the largest eigenvalue first."""
    return np.linalg.eigh(outputs)[1][:, :, ::-1][:, :, :rank]


def _grid(max_rank: int) -> list[int]:
    """List some of the fast ranks, evenly spread."""
    ranks = [rank for rank in range(1, max_rank + 1) if is_fast_rank(rank)]
    return sorted(
        {ranks[round(at)] for at in np.linspace(0, len(ranks) - 1, min(MAX_TUCKER_INPUT_RANKS, len(ranks)))}
    )
