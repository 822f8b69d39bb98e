"""Which casts lose nothing."""

from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.ir.values import OTHER_FLOATS

WIDE_INTEGERS: Final = frozenset({ir.DataType.INT64, ir.DataType.UINT64})
FLOATS: Final = OTHER_FLOATS | {ir.DataType.FLOAT}
INTEGERS: Final = frozenset(ir.DataType[f"{sign}INT{bits}"] for sign in ("", "U") for bits in (8, 16, 32, 64))
NUMBERS: Final = FLOATS | INTEGERS | {ir.DataType.BOOL}


def is_lossless(before: ir.DataType, after: ir.DataType) -> bool:
    """Whether every value of the first type is one of the second: a Cast there and back changes no bit."""
    if before == after:
        return True
    if not {before, after} <= NUMBERS or after == ir.DataType.BOOL:
        return False
    if ir.DataType.BFLOAT16 in (before, after):
        return before == ir.DataType.BFLOAT16 and after in (ir.DataType.FLOAT, ir.DataType.DOUBLE)
    if before in WIDE_INTEGERS and after in FLOATS:  # numpy calls it safe
        return False
    return bool(np.can_cast(before.numpy(), after.numpy(), "safe"))
