"""Compares values inside two networks, brought to one form (FitNets: Romero et al. 2015, arXiv:1412.6550).

Channels are the axis behind the batch for images [N, C, H, W], the last one else. Where widths differ a linear
projection of the student's, learned with it and thrown away at the end, bridges them; larger maps are pooled.
"""

from collections.abc import Iterable

import torch
from torch import nn
from torch.nn import functional

from winnow.contract.errors import Refusal
from winnow.contract.recipe import FeaturePair

IMAGE_AXES = 4


class Projections(nn.Module):
    """One projection a pair, made when the widths are first seen."""

    def __init__(self, pairs: Iterable[FeaturePair]) -> None:
        super().__init__()
        self._index = {(pair.student, pair.teacher): i for i, pair in enumerate(pairs)}
        self.layers = nn.ModuleList(nn.Identity() for _ in self._index)
        self._made = [False] * len(self._index)

    def distance(self, pair: FeaturePair, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        """Compute the mean squared difference. Raises `Refusal` `teacher_does_not_fit`."""
        own, others = _channels_last(student), _channels_last(teacher)
        if own.ndim != others.ndim:
            raise _refused(pair, student, teacher)
        if student.ndim == IMAGE_AXES:
            own, others = _same_size(student, teacher)
        if own.shape[:-1] != others.shape[:-1]:
            raise _refused(pair, student, teacher)
        return functional.mse_loss(self._layer(pair, own, others)(own), others)

    def _layer(self, pair: FeaturePair, own: torch.Tensor, others: torch.Tensor) -> nn.Module:
        index = self._index[pair.student, pair.teacher]
        if not self._made[index]:
            self._made[index] = True
            if own.shape[-1] != others.shape[-1]:
                made = nn.Linear(own.shape[-1], others.shape[-1], device=own.device, dtype=own.dtype)
                self.layers[index] = made
        return self.layers[index]


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1) if x.ndim == IMAGE_AXES else x


def _same_size(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    size = [min(m, n) for m, n in zip(a.shape[2:], b.shape[2:], strict=True)]
    pooled = (
        x if list(x.shape[2:]) == size else functional.adaptive_avg_pool2d(x, (size[0], size[1]))
        for x in (a, b)
    )
    first, second = (x.movedim(1, -1) for x in pooled)
    return first, second


def _refused(pair: FeaturePair, student: torch.Tensor, teacher: torch.Tensor) -> Refusal:
    return Refusal(
        "teacher_does_not_fit",
        f"The student's {pair.student!r} has the shape {list(student.shape)}, the teacher's {pair.teacher!r} "
        f"{list(teacher.shape)}: only widths (channels) may differ, and the size of images.",
    )
