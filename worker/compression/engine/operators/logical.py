"""Comparisons, truth values and bits, with numpy's broadcasting."""

from typing import Final

import torch

from worker.compression.engine.attributes import Attributes
from worker.compression.engine.operator import Function, Operator
from worker.compression.engine.operators.elementwise import BROADCASTS, plain


def bit_shift(attributes: Attributes) -> Function:
    shifts_left = attributes.text("direction", "") == "LEFT"
    return torch.bitwise_left_shift if shifts_left else torch.bitwise_right_shift


OPERATORS: Final[dict[str, Operator]] = {
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
