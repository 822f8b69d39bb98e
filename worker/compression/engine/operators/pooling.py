"""Pooling: windows over x [N, C, …], and over all of it."""

from collections.abc import Callable, Sequence
from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Attributes, Build, Function, Operator
from worker.compression.engine.operators.arguments import outputs_used
from worker.compression.engine.operators.linear import CONVOLUTIONS
from worker.compression.engine.operators.windows import Placed, Window

MAXIMA: Final = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
MEANS: Final = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


def max_pool(attributes: Attributes) -> Function:
    """The largest of each window, and where it lies in x flattened (columns first if `storage_order`)."""
    kernel, window = attributes.integers("kernel_shape") or [], Window(attributes)
    ceil, columns = bool(attributes.integer("ceil_mode", 0)), bool(attributes.integer("storage_order", 0))
    places, pool = outputs_used(attributes) > 1, MAXIMA[len(kernel)]

    def run(x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        here = window.at(x, kernel)
        if (even := _torchs(here, kernel)) is not None and x.is_floating_point() and not places:
            return pool(x, kernel, here.strides, even, here.dilations, ceil)
        wide = functional.pad(x.to(_float(x)), _covering(x, kernel, here, ceil), value=-torch.inf)
        y, indices = pool(wide, kernel, here.strides, 0, here.dilations, return_indices=True)
        return y.to(x.dtype), _indices_in_whole(indices, wide.shape, x.shape, here, columns)

    return run


def average_pool(attributes: Attributes) -> Function:
    """The mean of each window; the padding is part of it if `count_include_pad`."""
    kernel, window = attributes.integers("kernel_shape") or [], Window(attributes)
    ceil, counted = bool(attributes.integer("ceil_mode", 0)), bool(attributes.integer("count_include_pad", 0))
    pool = MEANS[len(kernel)]

    def run(x: torch.Tensor) -> torch.Tensor:
        here = window.at(x, kernel)
        if (even := _torchs(here, kernel)) is not None and max(here.dilations) == 1:
            return pool(x, kernel, here.strides, even, ceil, counted)
        cover = _covering(x, kernel, here, ceil)
        ones = x.new_ones(1, 1, *x.shape[2:])
        ones = functional.pad(ones, here.flat, value=1.0) if counted else ones
        beyond = [a - b for a, b in zip(cover, here.flat, strict=True)] if counted else cover
        total = _sums(functional.pad(x, cover), kernel, here)
        return total / _sums(functional.pad(ones, beyond), kernel, here)

    return run


def lp_pool(attributes: Attributes) -> Function:
    """(Σ |x|^p)^(1/p) of each window."""
    kernel, window = attributes.integers("kernel_shape") or [], Window(attributes)
    ceil, power = bool(attributes.integer("ceil_mode", 0)), attributes.integer("p", 2)

    def run(x: torch.Tensor) -> torch.Tensor:
        here = window.at(x, kernel)
        wide = functional.pad(x.abs() ** power, _covering(x, kernel, here, ceil))
        return _sums(wide, kernel, here) ** (1 / power)

    return run


def _torchs(here: Placed, kernel: Sequence[int]) -> list[int] | None:
    """The pads if torch pads so: both sides alike, and by no more than half a window."""
    if here.even is None or any(2 * pad > width for pad, width in zip(here.even, kernel, strict=True)):
        return None
    return here.even


def _float(x: torch.Tensor) -> torch.dtype:
    return x.dtype if x.is_floating_point() else torch.float32


def _covering(x: torch.Tensor, kernel: Sequence[int], here: Placed, ceil: bool) -> list[int]:
    """Pads, as `functional.pad` takes them, so that windows without padding give each output.

    With `ceil_mode` a last window may hang over, unless it would begin behind x and the padding before it.
    """
    flat: list[int] = []
    sizes = list(zip(x.shape[2:], kernel, here.strides, here.dilations, here.pads, strict=True))
    for size, width, stride, dilation, (before, after) in reversed(sizes):
        reach = (width - 1) * dilation + 1
        steps, rest = divmod(size + before + after - reach, stride)
        if ceil and rest and (steps + 1) * stride < size + before:
            steps += 1
        flat += [before, steps * stride + reach - size - before]
    return flat


def _sums(x: torch.Tensor, kernel: Sequence[int], here: Placed) -> torch.Tensor:
    ones = x.new_ones(1, 1, *kernel)
    flat = x.reshape(-1, 1, *x.shape[2:])
    sums = CONVOLUTIONS[len(kernel)](flat, ones, None, here.strides, 0, here.dilations)
    return sums.reshape(*x.shape[:2], *sums.shape[2:])


def _indices_in_whole(
    indices: torch.Tensor, wide: Sequence[int], narrow: Sequence[int], here: Placed, columns: bool
) -> torch.Tensor:
    """Indices in one padded plane as indices in the whole tensor without padding."""
    place, step = torch.zeros_like(indices), 1
    steps = {}
    axes = range(2, len(wide))
    for axis in axes if columns else reversed(axes):
        steps[axis] = step
        step *= narrow[axis]
    for axis in reversed(axes):
        place += (indices % wide[axis] - here.pads[axis - 2][0]) * steps[axis]
        indices = indices // wide[axis]
    planes = torch.arange(narrow[0] * narrow[1], device=indices.device) * step
    return place + planes.reshape(*narrow[:2], *[1] * len(axes))


def max_unpool(attributes: Attributes) -> Function:
    """Values back at the places where MaxPool found them, zero elsewhere."""
    kernel, window = attributes.integers("kernel_shape") or [], Window(attributes)

    def run(x: torch.Tensor, places: torch.Tensor, shape: torch.Tensor | None = None) -> torch.Tensor:
        here = window.at(x, kernel)
        sizes = zip(x.shape[2:], kernel, here.strides, here.pads, strict=True)
        own = [*x.shape[:2], *((n - 1) * stride + k - sum(pads) for n, k, stride, pads in sizes)]
        empty = x.new_zeros(own).flatten().scatter(0, places.flatten(), x.flatten()).view(own)
        if shape is None:
            return empty
        more = [
            pad for n, m in zip(reversed(own), reversed(shape.tolist()), strict=True) for pad in (0, m - n)
        ]
        return functional.pad(empty, more)

    return run


def everywhere(function: Callable[[torch.Tensor, list[int]], torch.Tensor]) -> Build:
    """Over all axes behind the channel, which stay with length 1."""
    return lambda attributes: lambda x: function(x, list(range(2, x.ndim)))


def global_lp_pool(attributes: Attributes) -> Function:
    """The p-norm of each channel: [N, C, …] → [N, C, 1, …]."""
    power = attributes.integer("p", 2)
    return lambda x: torch.linalg.vector_norm(x, power, list(range(2, x.ndim)), keepdim=True)


OPERATORS: Final[dict[str, Operator]] = {
    "MaxPool": Operator(max_pool),
    "AveragePool": Operator(average_pool, since=7),
    "LpPool": Operator(lp_pool, since=2),
    "MaxUnpool": Operator(max_unpool, host=(2,)),
    "GlobalAveragePool": Operator(everywhere(lambda x, axes: x.mean(axes, keepdim=True))),
    "GlobalMaxPool": Operator(everywhere(lambda x, axes: x.amax(axes, keepdim=True))),
    "GlobalLpPool": Operator(global_lp_pool, since=2),
}
