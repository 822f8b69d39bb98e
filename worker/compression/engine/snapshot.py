"""All that training changes in a module, kept apart and put back.

torch's own `load_state_dict` takes the dots in ONNX names for submodules.
"""

from itertools import chain

import torch
from torch import nn

Snapshot = list[torch.Tensor]


@torch.no_grad()
def taken(module: nn.Module) -> Snapshot:
    """Copies of parameters and buffers."""
    return [tensor.detach().clone() for tensor in chain(module.parameters(), module.buffers())]


@torch.no_grad()
def put_back(module: nn.Module, snapshot: Snapshot) -> None:
    """Into the same module, in place."""
    for tensor, kept in zip(chain(module.parameters(), module.buffers()), snapshot, strict=True):
        tensor.copy_(kept)
