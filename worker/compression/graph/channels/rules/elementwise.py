"""Element by element, with numpy's broadcasting: labels that meet are one channel.

The rules differ only in whether a channel that is zero before them is zero behind them.
"""

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Final

import numpy as np

from worker.compression.graph.channels.node_view import Axes, Labelled, Step
from worker.compression.graph.channels.rule import Rule

Zero = Callable[[Step, list[Labelled]], bool]


def broadcast(step: Step, values: Iterable[Labelled]) -> Axes:
    """The labels of values lying on each other, the last axes first."""
    given = list(values)
    axes = []
    for back in range(max((len(value.shape) for value in given), default=0), 0, -1):
        there = [value for value in given if len(value.shape) >= back]
        origin = next((v.origin for v in there if v.axes[-back] is None and v.shape[-back] != 1), "")
        axes.append(step.meet(*((v.axes[-back], v.shape[-back]) for v in there), origin=origin))
    return tuple(axes)


def elementwise(zero: Zero, inputs: slice = slice(None)) -> Rule:
    """`inputs`: those that broadcast; the rest are numbers."""

    def rule(step: Step) -> Labelled:
        values = [value for value in step.inputs[inputs] if value is not None]
        return step.result(broadcast(step, values), zero=zero(step, values))

    return rule


def never(step: Step, values: list[Labelled]) -> bool:
    return False


def kept(step: Step, values: list[Labelled]) -> bool:
    """f(0) = 0, of the first input."""
    return values[0].zero


def any_zero(step: Step, values: list[Labelled]) -> bool:
    """A product: labels that only a factor has which is not zero are not made zero by the other's."""
    return any(v.zero and all(_covers(v, other) for other in values) for v in values)


def all_zero(step: Step, values: list[Labelled]) -> bool:
    """A sum, or whatever else is zero where all operands are."""
    constants = [step.constant(index) for index in range(len(values))]
    nonzero = [v for v, c in zip(values, constants, strict=True) if c is None or c.size > 1 or np.any(c)]
    return all(value.zero and all(_covers(value, other) for other in values) for value in nonzero)


def between(step: Step, values: list[Labelled]) -> bool:
    """Clip: bounds that are left out or computed are taken for ones with zero between them."""
    low, high = step.constant(1), step.constant(2)
    least = step.node.attributes.get_float("min", 0.0) if low is None else low.min()
    most = step.node.attributes.get_float("max", 0.0) if high is None else high.max()
    return bool(values[0].zero and least <= 0 <= most)


def _covers(value: Labelled, other: Labelled) -> bool:
    """Whether every axis that has labels in `other` has labels in `value`."""
    backwards = zip_longest(reversed(value.axes), reversed(other.axes))
    return not any(mine is None and theirs is not None for mine, theirs in backwards)


def unbounded(step: Step) -> Labelled:
    """Log 0 and 1/0 are not finite, and no weight behind them makes that zero."""
    for vector in step.given().vectors():
        step.pin(vector, f"{step} is not finite where a channel is zero")
    return step.result(step.given().axes)


def power(step: Step) -> Labelled:
    exponent = step.constant(1)
    if exponent is not None and exponent.min() <= 0:
        return unbounded(step)
    return elementwise(kept)(step)  # type: ignore[return-value]


def division(step: Step) -> Labelled:
    divisor = step.given(1)
    for vector in divisor.vectors() if not divisor.weight else ():
        step.pin(vector, f"{step} divides by them")
    return step.result(broadcast(step, [step.given(0), divisor]), zero=step.given(0).zero)


def where(step: Step) -> Labelled:
    condition, *values = [step.given(index) for index in range(3)]
    return step.result(broadcast(step, [condition, *values]), zero=all(value.zero for value in values))


def unary(step: Step) -> Labelled:
    return step.result(step.given().axes, zero=step.given().zero)


def dropout(step: Step) -> list[Labelled]:
    return [step.result(step.given().axes, zero=step.given().zero, output=i) for i in range(len(step.shapes))]


ZERO_STAYS: Final = (
    "Abs Asin Asinh Atan Atanh BitwiseAnd Cast Ceil Celu Elu Erf Floor Gelu HardSwish Identity LeakyRelu Mish Neg "
    "PRelu QuickGelu Relu Round Selu Shrink Sign Sin Sinh Softsign Sqrt Swish Tan Tanh ThresholdedRelu Trilu"
)
ZERO_GOES: Final = (
    "Acos Acosh And BitShift BitwiseNot BitwiseOr BitwiseXor Cos Cosh Equal Exp Greater GreaterOrEqual HardSigmoid "
    "IsInf IsNaN Less LessOrEqual Mod Not Or Sigmoid Softplus Xor"
)

RULES: Final[dict[str, Rule]] = {
    **{name: elementwise(kept) for name in ZERO_STAYS.split()},
    **{name: elementwise(never) for name in ZERO_GOES.split()},
    "Add": elementwise(all_zero),
    "BiasGelu": elementwise(all_zero),
    "FastGelu": elementwise(all_zero),
    "Sub": elementwise(all_zero),
    "Sum": elementwise(all_zero),
    "Mean": elementwise(all_zero),
    "Max": elementwise(all_zero),
    "Min": elementwise(all_zero),
    "Mul": elementwise(any_zero),
    "Pow": power,
    "CastLike": elementwise(kept, slice(1)),
    "Clip": elementwise(between, slice(1)),
    "Dropout": dropout,
    "Div": division,
    "Log": unbounded,
    "Reciprocal": unbounded,
    "Where": where,
}
