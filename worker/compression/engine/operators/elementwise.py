"""Arithmetic, comparisons, truth values and bits of each element by itself, with numpy's broadcasting.

Integers stay integers.
"""

import functools
import operator
from typing import Any, Final

import onnx_ir as ir
import torch
from torch import nn

from worker.compression.engine.operator import Attributes, Build, Function, Operator, Unsupported
from worker.compression.engine.operators.arguments import constant, single

BROADCASTS: Final = 7
"""Before this version operators broadcast by an attribute."""
DTYPES: Final = {
    ir.DataType.FLOAT: torch.float32,
    ir.DataType.DOUBLE: torch.float64,
    ir.DataType.FLOAT16: torch.float16,
    ir.DataType.BFLOAT16: torch.bfloat16,
    ir.DataType.BOOL: torch.bool,
    ir.DataType.INT8: torch.int8,
    ir.DataType.UINT8: torch.uint8,
    ir.DataType.INT16: torch.int16,
    ir.DataType.INT32: torch.int32,
    ir.DataType.INT64: torch.int64,
}
"""Others torch has not, or computes too little with."""


def plain(function: Function) -> Build:
    """Build an operator without attributes."""
    return lambda attributes: function


def variadic(function: Function) -> Build:
    """Fold a function of two over any number of inputs, broadcast: Sum, Max, Min."""
    return plain(lambda *values: functools.reduce(function, values))


def add(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Add. A bias of a product takes the product's type, as it does within `torch.nn.functional.linear` under autocast:
    in float32 it would make the sum, and what is computed from it, float32 again."""
    bias, product = (a, b) if a.ndim < b.ndim else (b, a)
    if isinstance(bias, nn.Parameter) and bias.ndim == 1 and product.dtype == torch.bfloat16:
        bias = bias.to(product.dtype)
    return product + bias


def divide(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Divide; integers are cut off towards zero."""
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def mean(*values: torch.Tensor) -> torch.Tensor:
    """The mean of any number of inputs, broadcast."""
    total: torch.Tensor = functools.reduce(operator.add, values)
    return total / len(values)


def mod(attributes: Attributes) -> Function:
    """Compute the remainder, whose sign is the divisor's, with `fmod` the dividend's."""
    return torch.fmod if attributes.integer("fmod", 0) else torch.remainder


def power(attributes: Attributes) -> Function:
    """Compute a power in the base's type."""
    exponent = single(constant(attributes, 1))
    if exponent is not None:
        return lambda x, y: torch.pow(x, exponent).to(x.dtype)
    return lambda x, y: torch.pow(x, y).to(x.dtype)


def clip(attributes: Attributes) -> Function:
    """Compute min(max(x, low), high); the bounds are attributes before version 11."""
    low = attributes.number("min", -torch.inf) if attributes.has("min") else single(constant(attributes, 1))
    high = attributes.number("max", torch.inf) if attributes.has("max") else single(constant(attributes, 2))

    def run(x: torch.Tensor, least: Any = None, most: Any = None) -> torch.Tensor:
        least, most = least if low is None else low, most if high is None else high
        if isinstance(least, torch.Tensor) != isinstance(most, torch.Tensor):
            return _bounded(_bounded(x, torch.clamp_min, least), torch.clamp_max, most)
        return x if least is None and most is None else torch.clamp(x, least, most)

    return run


def _bounded(x: torch.Tensor, bound: Function, at: Any) -> torch.Tensor:
    return x if at is None else bound(x, at)


def cast(attributes: Attributes) -> Function:
    """Convert to the type that the attribute names; floats become integers by cutting off."""
    wanted = ir.DataType(attributes.integer("to", 0))
    if wanted not in DTYPES:
        raise Unsupported(f"torch does not compute with {wanted.name}")
    dtype = DTYPES[wanted]
    return lambda x: x.to(dtype)


def is_inf(attributes: Attributes) -> Function:
    """Where x is ±∞, or only the sign that is asked for: a bool of x's shape."""
    below, above = attributes.integer("detect_negative", 1), attributes.integer("detect_positive", 1)
    if below and above:
        return torch.isinf
    infinity = -torch.inf if below else torch.inf
    return lambda x: x == infinity if below or above else torch.zeros_like(x, dtype=torch.bool)


NAMED_ALIKE: Final = (
    "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Cos Cosh Erf Exp Floor IsNaN Log Neg Reciprocal Round Sign Sin Sinh "
    "Sqrt Tan Tanh"
)
"""Functions of one tensor that torch has under the same name."""


def bit_shift(attributes: Attributes) -> Function:
    """Unsigned x shifted by y bits, to the left or the right."""
    shifts_left = attributes.text("direction", "") == "LEFT"
    return torch.bitwise_left_shift if shifts_left else torch.bitwise_right_shift


OPERATORS: Final[dict[str, Operator]] = {
    **{name: Operator(plain(getattr(torch, name.lower()))) for name in NAMED_ALIKE.split()},
    "Identity": Operator(plain(lambda x: x)),
    "Add": Operator(plain(add), since=BROADCASTS, weights=(0, 1)),
    "Sub": Operator(plain(torch.sub), since=BROADCASTS, weights=(0, 1)),
    "Mul": Operator(plain(torch.mul), since=BROADCASTS, weights=(0, 1)),
    "Div": Operator(plain(divide), since=BROADCASTS, weights=(0, 1)),
    "Pow": Operator(power, since=BROADCASTS),
    "Mod": Operator(mod),
    "Max": Operator(variadic(torch.maximum)),
    "Min": Operator(variadic(torch.minimum)),
    "Sum": Operator(variadic(torch.add)),
    "Mean": Operator(plain(mean)),
    "Clip": Operator(clip),
    "Cast": Operator(cast, since=6),
    "CastLike": Operator(plain(lambda x, like: x.to(like.dtype))),
    "IsInf": Operator(is_inf),
    "Where": Operator(plain(torch.where)),
    "Equal": Operator(plain(torch.eq), since=BROADCASTS),
    "Greater": Operator(plain(torch.gt), since=BROADCASTS),
    "GreaterOrEqual": Operator(plain(torch.ge)),
    "Less": Operator(plain(torch.lt), since=BROADCASTS),
    "LessOrEqual": Operator(plain(torch.le)),
    "And": Operator(plain(torch.logical_and), since=BROADCASTS),
    "Or": Operator(plain(torch.logical_or), since=BROADCASTS),
    "Xor": Operator(plain(torch.logical_xor), since=BROADCASTS),
    "Not": Operator(plain(torch.logical_not)),
    "BitwiseAnd": Operator(plain(torch.bitwise_and)),
    "BitwiseOr": Operator(plain(torch.bitwise_or)),
    "BitwiseXor": Operator(plain(torch.bitwise_xor)),
    "BitwiseNot": Operator(plain(torch.bitwise_not)),
    "BitShift": Operator(bit_shift),
}
