"""Types, devices, sizes: `TensorMeta` and what it is made of, as in torch/_export/serde/schema.py."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from worker.compression.upload_gate.convert.pt2.schema.data import UNSET, Data, Int, List, OneOf
from worker.compression.upload_gate.convert.pt2.schema.expressions import Expression

ITEM_BYTES: Final[dict[int, int]] = {
    **{1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 9: 4, 10: 8, 11: 16, 12: 1, 13: 2},
    **{28: 2, 29: 1, 30: 1, 31: 1, 32: 1, 33: 1, 34: 4, 35: 8},
}
"""ScalarType → bytes of one element: uint8, int8, int16, int32, int64, float16, …, bfloat16, uint16, float8, …"""
STRIDED: Final = 7


def _known_dtype(number: int) -> int:
    if number not in ITEM_BYTES:
        raise ValueError(f"the data type {number} is not known")
    return number


def _strided(number: int) -> int:
    if number != STRIDED:
        raise ValueError(f"the layout {number} is not supported; dense tensors (layout {STRIDED}) are")
    return number


ScalarType = Annotated[int, AfterValidator(_known_dtype)]
Layout = Annotated[int, AfterValidator(_strided)]
MemoryFormat = Annotated[int, Field(ge=1, le=4)]
Float = float | Literal["Infinity", "-Infinity", "NaN"]
"""As torch writes what JSON has no number for."""


class Device(Data):
    """Whatever device the program was exported on, it is converted on the CPU."""

    type: Annotated[Literal["cpu", "cuda", "mps", "xpu", "hpu"], AfterValidator(lambda _: "cpu")]
    index: Annotated[int | None, AfterValidator(lambda _: None)] = None


class SymExprHint(OneOf):
    as_int: Int = UNSET
    as_bool: bool = UNSET
    as_float: Float = UNSET


class SymExpr(Data):
    expr_str: Expression
    hint: SymExprHint | None = None


class SymInt(OneOf):
    as_expr: SymExpr = UNSET
    as_int: Int = UNSET


class SymFloat(OneOf):
    as_expr: SymExpr = UNSET
    as_float: Float = UNSET


class SymBool(OneOf):
    as_expr: SymExpr = UNSET
    as_bool: bool = UNSET


Sizes = Annotated[List[SymInt], Field(max_length=64)]
NeedsNoGradient = Annotated[bool, AfterValidator(lambda _: False)]


class TensorMeta(Data):
    dtype: ScalarType
    sizes: Sizes
    requires_grad: NeedsNoGradient
    device: Device
    strides: Sizes
    storage_offset: SymInt
    layout: Layout


def fixed(size: SymInt) -> int:
    """A size that has to be a number. Raises `ValueError`."""
    if "as_int" not in size.model_fields_set:
        raise ValueError("a weight has a size that is not fixed")
    return size.as_int


def dumped(model: Data) -> Any:
    """The model as plain dictionaries and lists, with what was given and nothing else."""
    return model.model_dump(exclude_unset=True)
