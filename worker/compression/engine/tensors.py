"""Turn initializers into torch tensors, copied, whatever their dtype."""

from typing import Final

import numpy as np
import onnx_ir as ir
import torch

FLOATS: Final = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


def to_torch(tensor: ir.TensorProtocol) -> torch.Tensor:
    """Copy into a torch tensor. bfloat16 stays what it is; integers of less than 8 bits become int8 or uint8, unsigned
    ones of 16 to 64 int64."""
    array = tensor.numpy()
    if tensor.dtype == ir.DataType.BFLOAT16:
        return torch.from_numpy(array.astype(np.float32)).bfloat16()
    if tensor.dtype in (ir.DataType.INT4, ir.DataType.INT2):
        array = array.astype(np.int8)
    elif tensor.dtype in (ir.DataType.UINT4, ir.DataType.UINT2):
        array = array.astype(np.uint8)
    elif array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    return torch.tensor(array)
