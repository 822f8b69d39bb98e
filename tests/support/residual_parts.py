"""Parts of residual networks in torch."""

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """behind(shortcut(x) + body(x)); what else the body is told goes to it."""

    def __init__(
        self, body: nn.Module, shortcut: nn.Module | None = None, behind: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.body, self.shortcut, self.behind = body, shortcut or nn.Identity(), behind or nn.Identity()

    def forward(self, x: Tensor, *more: Tensor) -> Tensor:
        made: Tensor = self.behind(self.shortcut(x) + self.body(x, *more))
        return made


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class Scale(nn.Module):
    """A factor for each channel, which come last (Touvron et al. 2021, LayerScale)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.full((width,), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def conv(ins: int, outs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(ins, outs, kernel, stride, kernel // 2, groups=groups, bias=False)


def normed(
    ins: int, outs: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: nn.Module | None = None
) -> nn.Sequential:
    parts = [conv(ins, outs, kernel, stride, groups), nn.BatchNorm2d(outs)]
    return nn.Sequential(*parts, *([] if act is None else [act]))


def classifier(*body: nn.Module, width: int, classes: int = 10) -> nn.Sequential:
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))


class SqueezeExcite(nn.Module):
    """x · σ(what its mean over places makes of each channel)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Conv2d(width, width // 4, 1), nn.ReLU(), nn.Conv2d(width // 4, width, 1), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = x * self.gate(x.mean((2, 3), keepdim=True))
        return made
