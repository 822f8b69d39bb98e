"""Where a training runs, and in which arithmetic."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Training

IMAGE_AXES = 4


@dataclass
class Hardware:
    """`half` is bfloat16 autocast: weights and the loss stay float32. It may be chosen after the first batch."""

    device: torch.device
    half: bool
    channels_last: bool

    def place(self, module: nn.Module) -> None:
        module.to(self.device)
        if self.channels_last:
            for x in module.parameters():
                x.data = self._laid_out(x.data)

    def feeds(self, feeds: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name: self._laid_out(x) for name, x in feeds.items()} if self.channels_last else feeds

    def _laid_out(self, x: torch.Tensor) -> torch.Tensor:
        """Lay out images, with 4 axes, channels last: torch has no such layout for other ranks."""
        return x.contiguous(memory_format=torch.channels_last) if x.ndim == IMAGE_AXES else x

    def arithmetic(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

    @property
    def precision(self) -> Literal["bfloat16", "float32"]:
        return "bfloat16" if self.half else "float32"

    def __str__(self) -> str:
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return f"{name}, {self.precision}"


def hardware_for(settings: Training) -> Hardware:
    """Choose device and precision. Raises `Refusal` `step_failed` when CUDA is asked for and not there."""
    has_cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not has_cuda:
        raise Refusal(
            "step_failed", "The step asks for CUDA, but this worker has no GPU. Use device auto or cpu."
        )
    device = torch.device("cuda" if has_cuda and settings.device != "cpu" else "cpu")
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    half = settings.precision == "bfloat16" or (settings.precision == "auto" and able)
    return Hardware(device, half, settings.channels_last)
