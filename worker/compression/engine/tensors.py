"""Turn initializers into torch tensors, and copy all that training changes in a module.

torch's own `load_state_dict` takes the dots in ONNX names for submodules.
"""

from itertools import chain
from typing import Final

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

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


Snapshot = list[torch.Tensor]


@torch.no_grad()
def take_snapshot(module: nn.Module) -> Snapshot:
    """Copy parameters and buffers."""
    return [tensor.detach().clone() for tensor in chain(module.parameters(), module.buffers())]


@torch.no_grad()
def restore_snapshot(module: nn.Module, snapshot: Snapshot) -> None:
    """Write the copies back into the same module, in place."""
    for tensor, copy in zip(chain(module.parameters(), module.buffers()), snapshot, strict=True):
        tensor.copy_(copy)
