"""AdaRound: learn for each weight whether it is rounded up or down (Nagel et al. 2020, arXiv:2004.10568).

    Ŵ = s · clip(⌊W / s⌋ + h(V), −n, n),    h(V) = clip(1.2 σ(V) − 0.1, 0, 1)
    min over V of  tr (Ŵ − W) H (Ŵ − W)ᵀ  +  λ Σ 1 − |2 h(V) − 1|^β        H = Σ x xᵀ over the layer's data

β falls from 20 to 2, so that h ends at 0 or 1; Adam with the rate of the paper. The error of the layer's output needs
no more of the data than H, so every iteration is over all of it. An output keeps rounding to nearest where that was
better.
"""

import numpy as np
import torch

from worker.compression.ir.arrays import Array

ITERATIONS = 1000
RATE = 0.01
WARM_UP = 0.2
"""Share of the iterations without the regularizer."""
LAMBDA = 0.1
"""Beside an error that is 1 for each weight rounded to nearest."""
BETAS = 20.0, 2.0
LOW, HIGH = -0.1, 1.1


def learn_rounding(matrix: Array, hessian: Array, limit: int, iterations: int = ITERATIONS) -> Array:
    """Learn the weights [groups, out, in] on their grid, float32. `hessian` [groups, in, in] are sums of x xᵀ."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    w, h = (torch.as_tensor(x, dtype=torch.float32, device=device) for x in (matrix, hessian))
    tiny = torch.finfo(torch.float32).tiny
    scales = (w.abs().amax(2, keepdim=True) / limit).to(torch.float32)
    scales = torch.where(scales < tiny, torch.ones_like(scales), scales)
    units = w / scales
    nearest = units.round().clamp(-limit, limit)
    floor = units.floor().clamp(-limit, limit - 1)
    by_nearest = _errors(nearest * scales - w, h)
    if float(by_nearest.sum()) > 0:
        strength = w.numel() / by_nearest.sum()
        up = _descend(w, h * strength, scales, floor, (units - floor).clamp(0.01, 0.99), limit, iterations)
        ends = nearest.abs() == limit  # stay: scales follow from them
        rounded = torch.where(ends, nearest, floor + up)
        better = _errors(rounded * scales - w, h) < by_nearest
        nearest = torch.where(better.unsqueeze(2), rounded, nearest)
    return np.asarray((nearest * scales).cpu().numpy(), np.float32)


def _descend(
    w: torch.Tensor,
    h: torch.Tensor,
    scales: torch.Tensor,
    floor: torch.Tensor,
    rest: torch.Tensor,
    limit: int,
    iterations: int,
) -> torch.Tensor:
    """0 or 1 for each weight; starts at the weight itself, where h(V) is the rest that rounding takes away."""
    v = torch.logit((rest - LOW) / (HIGH - LOW)).requires_grad_()
    adam = torch.optim.Adam([v], lr=RATE)
    warm = int(WARM_UP * iterations)
    for number in range(iterations):
        adam.zero_grad()
        up = (torch.sigmoid(v) * (HIGH - LOW) + LOW).clamp(0, 1)
        loss = _errors((floor + up).clamp(-limit, limit) * scales - w, h).sum()
        if number >= warm:
            share = (number - warm) / max(1, iterations - warm)
            beta = BETAS[1] + 0.5 * (BETAS[0] - BETAS[1]) * (1 + np.cos(share * np.pi))
            loss = loss + LAMBDA * (1 - (2 * up - 1).abs().clamp(min=1e-6).pow(beta)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    return (v.detach() > 0).float()


def _errors(moved: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """[groups, out]: δ H δᵀ of each output's row δ."""
    return ((moved @ h) * moved).sum(2)
