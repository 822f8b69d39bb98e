"""Element by element, with numpy's broadcasting: axes that match in size share labels.

The rules differ only in whether a channel that is zero before them is zero behind them.
"""

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Final

import numpy as np

from worker.compression.graph.channels.labels.node_view import Axes, Labelled, NodeView, Rule, constant

Zero = Callable[[NodeView, list[Labelled]], bool]


def broadcast(view: NodeView, values: Iterable[Labelled]) -> Axes:
    """Unite the labels of values that are broadcast, the last axes first."""
    operands = list(values)
    axes = []
    for back in range(max((len(value.shape) for value in operands), default=0), 0, -1):
        present = [value for value in operands if len(value.shape) >= back]
        origin = next((v.origin for v in present if v.axes[-back] is None and v.shape[-back] != 1), "")
        axes.append(view.share_labels(*((v.axes[-back], v.shape[-back]) for v in present), origin=origin))
    return tuple(axes)


def elementwise(zero: Zero, inputs: slice = slice(None)) -> Rule:
    """`inputs`: those that broadcast; the rest are numbers."""

    def rule(view: NodeView) -> Labelled:
        values = [value for value in view.inputs[inputs] if value is not None]
        return view.result(broadcast(view, values), zero=zero(view, values))

    return rule


def never_zero(view: NodeView, values: list[Labelled]) -> bool:
    """Of functions with f(0) ≠ 0: a channel that is cut would have left a constant."""
    return False


def keeps_zero(view: NodeView, values: list[Labelled]) -> bool:
    """f(0) = 0, of the first input."""
    return values[0].zero


def any_factor_zero(view: NodeView, values: list[Labelled]) -> bool:
    """A product: labels that only a factor has which is not zero are not made zero by the other's."""
    return any(v.zero and all(_covers(v, other) for other in values) for v in values)


def all_terms_zero(view: NodeView, values: list[Labelled]) -> bool:
    """A sum, or whatever else is zero where all operands are."""
    constants = [constant(view.node, index) for index in range(len(values))]
    nonzero = [v for v, c in zip(values, constants, strict=True) if c is None or c.size > 1 or np.any(c)]
    return all(value.zero and all(_covers(value, other) for other in values) for value in nonzero)


def clips_around_zero(view: NodeView, values: list[Labelled]) -> bool:
    """Clip: bounds that are left out or computed are taken for ones with zero between them."""
    low, high = constant(view.node, 1), constant(view.node, 2)
    least = view.node.attributes.get_float("min", 0.0) if low is None else low.min()
    most = view.node.attributes.get_float("max", 0.0) if high is None else high.max()
    return bool(values[0].zero and least <= 0 <= most)


def _covers(value: Labelled, other: Labelled) -> bool:
    """Whether every axis that has labels in `other` has labels in `value`."""
    backwards = zip_longest(reversed(value.axes), reversed(other.axes))
    return not any(mine is None and theirs is not None for mine, theirs in backwards)


def unbounded(view: NodeView) -> Labelled:
    """Log 0 and 1/0 are not finite, and no weight behind them makes that zero."""
    for vector in view.required().vectors():
        view.pin(vector, f"{view} is not finite where a channel is zero")
    return view.result(view.required().axes)


def power(view: NodeView) -> Labelled:
    """0 to a positive power is 0; to any other it has no bound."""
    exponent = constant(view.node, 1)
    if exponent is not None and exponent.min() <= 0:
        return unbounded(view)
    return elementwise(keeps_zero)(view)  # type: ignore[return-value]


def addition(view: NodeView) -> Labelled:
    """A sum. Where one summand is read elsewhere too, and both are computed, it joins a residual stream."""
    made: Labelled = elementwise(all_terms_zero)(view)  # type: ignore[assignment]
    summands = [value for value in view.inputs if value is not None]
    reread = any(value is not None and len(value.uses()) > 1 for value in view.node.inputs)
    if reread and len(summands) == 2 and not any(value.weight for value in summands):
        view.run.joins.extend(made.vectors())
    return made


def division(view: NodeView) -> Labelled:
    """Axes are those of both; what divides stays, for a channel of zeros must not divide."""
    divisor = view.required(1)
    for vector in divisor.vectors() if not divisor.weight else ():
        view.pin(vector, f"{view} divides by them")
    return view.result(broadcast(view, [view.required(0), divisor]), zero=view.required(0).zero)


def where(view: NodeView) -> Labelled:
    """Axes are those of condition and both values; 0 where both are."""
    condition, *values = [view.required(index) for index in range(3)]
    return view.result(broadcast(view, [condition, *values]), zero=all(value.zero for value in values))


def dropout(view: NodeView) -> list[Labelled]:
    """Output and mask have the channels of the input."""
    return [
        view.result(view.required().axes, zero=view.required().zero, output=i)
        for i in range(len(view.shapes))
    ]


ZERO_STAYS: Final = (
    "Abs Asin Asinh Atan Atanh BitwiseAnd Cast Ceil Celu Elu Erf Floor Gelu HardSwish Identity LeakyRelu Mish Neg "
    "PRelu QuickGelu Relu Round Selu Shrink Sign Sin Sinh Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu"
)
ZERO_GOES: Final = (
    "Acos Acosh And BitShift BitwiseNot BitwiseOr BitwiseXor Cos Cosh Equal Exp Greater GreaterOrEqual HardSigmoid "
    "IsInf IsNaN Less LessOrEqual Mod Not Or Sigmoid Softplus Xor"
)

RULES: Final[dict[str, Rule]] = {
    **{name: elementwise(keeps_zero) for name in ZERO_STAYS.split()},
    **{name: elementwise(never_zero) for name in ZERO_GOES.split()},
    "Add": addition,
    "BiasGelu": elementwise(all_terms_zero),
    "FastGelu": elementwise(all_terms_zero),
    "Sub": elementwise(all_terms_zero),
    "Sum": addition,
    "Mean": elementwise(all_terms_zero),
    "Max": elementwise(all_terms_zero),
    "Min": elementwise(all_terms_zero),
    "Mul": elementwise(any_factor_zero),
    "Pow": power,
    "CastLike": elementwise(keeps_zero, slice(1)),
    "Clip": elementwise(clips_around_zero, slice(1)),
    "Dropout": dropout,
    "Div": division,
    "Log": unbounded,
    "Reciprocal": unbounded,
    "Where": where,
}
