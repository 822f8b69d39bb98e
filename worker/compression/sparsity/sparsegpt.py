"""SparseGPT: zeros with the least error at a layer's output, for which the weights that stay make up.

    min ‖W X - W' X‖²  over W' with zeros;   H = X Xᵀ,   H⁻¹ = Uᵀ U
    column by column (SparseGPT, Frantar & Alistarh 2023, arXiv:2301.00774):
        w goes where w² / U_jj² is lowest;   the columns behind it get  - w / U_jj · U_j,:
    then, the zeros being known, what is left of each row exactly (OBC, Frantar & Alistarh 2022, arXiv:2208.11580):
        w'_S = H_SS⁻¹ (H w)_S                                     where there are not too many inputs

H is damped by 1 % of its mean diagonal, so that it has an inverse whatever the data: fewer rows than inputs, inputs
that never change or are always zero. The answer is never worse on the data than the lowest weights set to zero.
"""

from typing import Final

import numpy as np

from worker.compression.ir.arrays import Array
from worker.compression.layers.sparsity_pattern import Mask, Structure

DAMPING: Final = 0.01
MAX_EXACT_COST: Final = 2e11
"""Rows × inputs³ up to which the weights that stay are solved for exactly: seconds on two cores."""


def output_error(weight: Array, changed: Array, hessian: Array | None) -> float:
    """Compute ‖W X - W' X‖², from H; ‖W - W'‖² without one."""
    difference = changed.astype(np.float64) - weight
    if hessian is None:
        return float((difference**2).sum())
    return float(np.einsum("goi,gij,goj->", difference, hessian, difference, optimize=True))


def sparsegpt(weight: Array, hessian: Array, structure: Structure, count: int) -> Array:
    """Set `count` weights to zero and adjust the others, float64 [groups, out, in].

    Weights that are zero already are among the `count` (all of them, unless whole blocks go). `weight`
    [groups, out, in] and `hessian` [groups, in, in] are in the structure's order.
    """
    weight = weight.astype(np.float64)
    already = weight == 0
    if structure.unit == 1 and not structure.m:
        count = max(count, int(already.sum()))
    plain = np.where(structure.weakest(np.where(already, -1.0, weight**2), count) | already, 0.0, weight)
    damped = _damped(hessian)
    swept, zeros = _sweep(weight, damped, structure, count, already)
    candidates = [plain, swept]
    if weight.shape[0] * weight.shape[1] * weight.shape[2] ** 3 <= MAX_EXACT_COST:
        candidates.append(_refitted(weight, damped, zeros))
    return min(candidates, key=lambda candidate: output_error(weight, candidate, hessian))


def _damped(hessian: Array) -> Array:
    """Damp H with a diagonal that gives it an inverse; the identity where no input was ever anything but zero."""
    mean = np.diagonal(hessian, axis1=1, axis2=2).mean(1)
    added = np.where(mean > 0, DAMPING * mean, 1.0)
    return hessian + added[:, None, None] * np.eye(hessian.shape[1])


def _sweep(
    weight: Array, damped: Array, structure: Structure, count: int, already: Mask
) -> tuple[Array, Mask]:
    """Go through the columns from left to right, with as many zeros in each block of them as is its share.

    The error of a weight that goes is spread over the columns behind it at once within its block, over later blocks
    when the block is done (the lazy updates of GPTQ).
    """
    weight, zeros = weight.copy(), np.zeros(weight.shape, bool)
    upper = np.linalg.cholesky(np.linalg.inv(damped)).swapaxes(1, 2)
    inner = weight.shape[2]
    for start in range(0, inner, structure.block_columns):
        end = min(start + structure.block_columns, inner)
        run, corner = weight[:, :, start:end], upper[:, start:end, start:end]
        scores = run**2 / np.diagonal(corner, axis1=1, axis2=2)[:, None, :] ** 2
        wanted = _zeros_before(structure, count, already, end) - _zeros_before(
            structure, count, already, start
        )
        go = structure.weakest(np.where(already[:, :, start:end], -1.0, scores), wanted)
        zeros[:, :, start:end] = go | already[:, :, start:end] if structure.unit == 1 else go
        errors = np.zeros_like(run)
        for j in range(end - start):
            errors[:, :, j] = np.where(go[:, :, j], run[:, :, j], 0.0) / corner[:, None, j, j]
            run[:, :, j:] -= errors[:, :, j, None] * corner[:, None, j, j:]
        weight[:, :, end:] -= errors @ upper[:, start:end, end:]
    weight[zeros] = 0.0
    return weight, zeros


def _zeros_before(structure: Structure, count: int, already: Mask, end: int) -> int:
    """Count the zeros due in the columns before `end`: those that are zero already, and their share of the new ones."""
    first = already[:, :, :end]
    if structure.m:
        return structure.max_zeros(first.shape)
    if structure.unit > 1:
        columns = int(already.shape[2])
        return round(count * end / columns / structure.unit) * structure.unit
    new, share = count - int(already.sum()), int((~first).sum()) / max(1, int((~already).sum()))
    return int(first.sum()) + round(new * share)


def _refitted(weight: Array, damped: Array, zeros: Mask) -> Array:
    """Solve for the best of all weights with these zeros, row by row, from the inputs that stay."""
    refitted = np.zeros_like(weight)
    for group, row in np.ndindex(*weight.shape[:2]):
        stay = np.flatnonzero(~zeros[group, row])
        target = weight[group, row] @ damped[group][:, stay]
        refitted[group, row, stay] = np.linalg.solve(damped[group][np.ix_(stay, stay)], target)
    return refitted
