"""Reductions over axes, and where the largest and smallest are."""

from collections.abc import Callable
from typing import Any, Final

import torch

from worker.compression.engine.operator import Attributes, Build, Function, Operator
from worker.compression.engine.operators.arguments import integers

Over = Callable[[torch.Tensor, list[int], bool], torch.Tensor]
"""x, axes (at least one), whether they stay with length 1."""


def over(function: Over, each: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Build:
    """Make a reduction. Without axes it is over all, or with `noop_with_empty_axes` over none: then `each` is left."""

    def build(attributes: Attributes) -> Function:
        keep, none = (
            bool(attributes.integer("keepdims", 1)),
            bool(attributes.integer("noop_with_empty_axes", 0)),
        )
        axes_of = integers(attributes, "axes")

        def run(x: torch.Tensor, axes: torch.Tensor | None = None) -> torch.Tensor:
            reduced = axes_of(axes)
            if not reduced and none:
                return x if each is None else each(x)
            return (
                function(x, reduced or list(range(x.ndim)), keep) if x.ndim else function(x[None], [0], False)
            )

        return run

    return build


def mean(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """The mean over these axes; of integers rounded towards 0."""
    return x.mean(axes, keep) if x.is_floating_point() else x.double().mean(axes, keep).to(x.dtype)


def whole(function: Callable[..., torch.Tensor]) -> Over:
    """torch's sum and product widen integers; ONNX's do not."""
    return lambda x, axes, keep: function(x, axes, keep, dtype=x.dtype)


def product(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
    """The product over these axes, in x's own dtype."""
    for axis in sorted((axis % x.ndim for axis in axes), reverse=True):
        x = x.prod(axis, keep, dtype=x.dtype)
    return x


def extreme(function: Callable[..., torch.Tensor], largest: bool) -> Over:
    """The extreme of nothing is the least (largest) of all numbers."""

    def run(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
        if x.numel():
            return function(x, axes, keep)
        return torch.full_like(x.sum(axes, keep, dtype=x.dtype), _end(x.dtype, not largest))

    return run


def _end(dtype: torch.dtype, upper: bool) -> float:
    if dtype == torch.bool:
        return float(upper)
    if dtype.is_floating_point:
        return torch.inf if upper else -torch.inf
    return torch.iinfo(dtype).max if upper else torch.iinfo(dtype).min


def norm(order: int) -> Over:
    """The norm of that order over these axes: ReduceL1, ReduceL2."""

    def run(x: torch.Tensor, axes: list[int], keep: bool) -> torch.Tensor:
        real = x if x.is_floating_point() else x.double()
        norm: torch.Tensor = torch.linalg.vector_norm(real, order, axes, keep)
        return norm.to(x.dtype)

    return run


def place(function: Function) -> Build:
    """int64 index of the extreme along `axis`: the first, or with `select_last_index` the last."""

    def build(attributes: Attributes) -> Function:
        axis, keep = attributes.integer("axis", 0), bool(attributes.integer("keepdims", 1))
        last = bool(attributes.integer("select_last_index", 0))

        def run(x: torch.Tensor) -> torch.Tensor:
            place: torch.Tensor = function(x.flip(axis) if last else x, axis, keep)
            return x.shape[axis] - 1 - place if last else place

        return run

    return build


def _row(function: Over, each: Any = None) -> Operator:
    return Operator(over(function, each), host=(1,))


OPERATORS: Final[dict[str, Operator]] = {
    "ReduceSum": _row(whole(torch.sum)),
    "ReduceMean": _row(mean),
    "ReduceProd": _row(product),
    "ReduceMax": _row(extreme(torch.amax, largest=True)),
    "ReduceMin": _row(extreme(torch.amin, largest=False)),
    "ReduceSumSquare": _row(lambda x, axes, keep: (x * x).sum(axes, keep, dtype=x.dtype), torch.square),
    "ReduceL1": _row(norm(1), torch.abs),
    "ReduceL2": _row(norm(2), torch.abs),
    "ReduceLogSum": _row(lambda x, axes, keep: x.sum(axes, keep).log(), torch.log),
    "ReduceLogSumExp": _row(torch.logsumexp),
    "ArgMax": Operator(place(torch.argmax)),
    "ArgMin": Operator(place(torch.argmin)),
}
