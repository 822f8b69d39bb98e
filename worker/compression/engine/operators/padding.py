"""Pad: constants or x's own values around x."""

from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator
from worker.compression.engine.operators.arguments import constant, integers, single


def pad(attributes: Attributes) -> Function:
    """pads are those before all axes, then those after; negative ones cut."""
    mode, pads_of = attributes.text("mode", "constant"), integers(attributes, "pads")
    fixed = single(constant(attributes, 2))
    number = attributes.number("value", 0.0) if fixed is None else fixed

    def run(
        x: torch.Tensor,
        pads: torch.Tensor | None = None,
        value: torch.Tensor | None = None,
        axes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        amounts = pads_of(pads) or []
        half = len(amounts) // 2
        pairs = dict.fromkeys(range(x.ndim), (0, 0))
        for i, axis in enumerate(range(half) if axes is None else axes.tolist()):
            pairs[axis % x.ndim] = (amounts[i], amounts[i + half])
        if mode != "constant":
            return _repeated(x, pairs, mode)
        fill = number if value is None or fixed is not None else value.item()
        return functional.pad(x, [n for axis in reversed(pairs) for n in pairs[axis]], value=fill)

    return run


def _repeated(x: torch.Tensor, pairs: dict[int, tuple[int, int]], mode: str) -> torch.Tensor:
    """Padding with values of x: `reflect` mirrors at the last value, `edge` repeats it, `wrap` starts again."""
    for axis, (before, after) in pairs.items():
        if not before and not after:
            continue
        size = x.shape[axis]
        where = torch.arange(-before, size + after, device=x.device)
        if mode == "edge":
            where = where.clamp(0, size - 1)
        elif mode == "wrap":
            where = where % size
        else:
            period = max(2 * (size - 1), 1)
            where = (where % period).minimum(-where % period)
        x = x.index_select(axis, where)
    return x


OPERATORS: Final[dict[str, Operator]] = {"Pad": Operator(pad, since=2, host=(1, 2, 3))}
