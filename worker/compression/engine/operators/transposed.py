"""Transposed convolution."""

from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Function, Operator

TRANSPOSED: Final = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}


def conv_transpose(attributes: Attributes) -> Function:
    """x [N, C, …], weight [C, M/group, …], bias [M]: → [N, M, …], each axis of length

        stride · (size − 1) + output_padding + (kernel − 1) · dilation + 1 − pads before and after

    or of `output_shape`, from which the pads follow.
    """
    group, auto = attributes.integer("group", 1), attributes.text("auto_pad", "NOTSET")
    strides, dilations = attributes.integers("strides"), attributes.integers("dilations")
    pads, more = attributes.integers("pads"), attributes.integers("output_padding")
    wanted = attributes.integers("output_shape")

    def run(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        axes = weight.ndim - 2
        steps, spread, extra = strides or [1] * axes, dilations or [1] * axes, more or [0] * axes
        function = TRANSPOSED[axes]
        if wanted is None and not auto.startswith("SAME"):
            around = pads if pads and auto == "NOTSET" else [0] * 2 * axes
            before, after = around[:axes], around[axes:]
            if before == after:
                return function(x, weight, bias, steps, before, extra, group, spread)
        else:
            sizes = wanted[-axes:] if wanted else [n * s for n, s in zip(x.shape[2:], steps, strict=True)]
            before, after = _pads(x, weight, steps, spread, extra, sizes, auto == "SAME_UPPER", bool(wanted))
        y = function(x, weight, None, steps, 0, 0, group, spread)
        cut = [n for i in reversed(range(axes)) for n in (-before[i], extra[i] - after[i])]
        y = functional.pad(y, cut)
        return y if bias is None else y + bias.view(-1, *[1] * axes)

    return run


def _pads(
    x: torch.Tensor,
    weight: torch.Tensor,
    steps: list[int],
    spread: list[int],
    extra: list[int],
    sizes: list[int],
    less_before: bool,
    exactly: bool,
) -> tuple[list[int], list[int]]:
    before, after = [], []
    for i, wanted in enumerate(sizes):
        total = (
            steps[i] * (x.shape[2 + i] - 1) + extra[i] + (weight.shape[2 + i] - 1) * spread[i] + 1 - wanted
        )
        some = max(total, 0)
        half = some // 2 if less_before else some - some // 2
        before.append(half)
        after.append((total if exactly else some) - half)
    return before, after


OPERATORS: Final[dict[str, Operator]] = {"ConvTranspose": Operator(conv_transpose, weights=(1, 2))}
