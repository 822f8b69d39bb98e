"""Values out of shapes and numbers. What describes a shape stays on the CPU: reading it must not wait for a GPU."""

from typing import Final

import onnx_ir as ir
import torch

from worker.compression.engine.operator import Attributes, Function, Operator, Unsupported
from worker.compression.engine.operators.elementwise import DTYPES


def shape(attributes: Attributes) -> Function:
    """Return the shape, int64 on the CPU; `start` and `end` cut as in Python."""
    part = slice(
        attributes.integer("start", 0), attributes.integer("end", 0) if attributes.has("end") else None
    )
    return lambda x: torch.tensor(x.shape[part], dtype=torch.int64)


def size(attributes: Attributes) -> Function:
    """How many elements x has, as a scalar."""
    return lambda x: torch.tensor(x.numel())


def constant(attributes: Attributes) -> Function:
    """The value that the node holds. Raises `Unsupported` for strings and sparse tensors."""
    for name in ("value_float", "value_int", "value_floats", "value_ints"):
        if attributes.has(name):
            made = torch.tensor(attributes.node.attributes[name].value)
            return lambda: made
    value = attributes.tensor("value")
    if value is None:
        raise Unsupported("its value is neither a number nor a tensor of numbers")
    return lambda: value


def constant_of_shape(attributes: Attributes) -> Function:
    """One number in the shape that the input [rank] says; 0.0 unless told."""
    value = attributes.tensor("value")
    value = torch.zeros(1) if value is None else value
    fill, dtype = value.item(), value.dtype
    return lambda sizes: torch.full(sizes.tolist(), fill, dtype=dtype)


def range_(attributes: Attributes) -> Function:
    """Count from start by delta up to, but not including, limit."""
    return lambda start, limit, delta: torch.arange(
        start.item(), limit.item(), delta.item(), dtype=start.dtype
    )


def eye_like(attributes: Attributes) -> Function:
    """Make a matrix of x's shape with 1 on diagonal k, 0 elsewhere."""
    diagonal = attributes.integer("k", 0)
    dtype = DTYPES.get(ir.DataType(attributes.integer("dtype", 0))) if attributes.has("dtype") else None

    def run(x: torch.Tensor) -> torch.Tensor:
        rows, columns = (torch.arange(n, device=x.device) for n in x.shape)
        return (columns - rows[:, None] == diagonal).to(dtype or x.dtype)

    return run


OPERATORS: Final[dict[str, Operator]] = {
    "Shape": Operator(shape),
    "Size": Operator(size),
    "Constant": Operator(constant),
    "ConstantOfShape": Operator(constant_of_shape, host=(0,)),
    "Range": Operator(range_, host=(0, 1, 2)),
    "EyeLike": Operator(eye_like),
}
