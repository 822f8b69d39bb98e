"""Copy all that training changes in a module, and restore it.

torch's own `load_state_dict` takes the dots in ONNX names for submodules.
"""

from itertools import chain

import torch
from torch import nn

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
