"""Compares values inside two networks, brought to one form (FitNets: Romero et al. 2015, arXiv:1412.6550).

Channels are the axis behind the batch for images [N, C, H, W], the last one else. Where widths differ a linear
projection of the student's, learned with it and thrown away at the end, bridges them; larger maps are pooled.

squared_error    mean (P s − t)²
relative_error   mean (P s − t)² / mean t²   of values whose size nobody has looked at: 1 is to know nothing of them;
                 t² over all samples of a step, of t as the teacher has it
relations        see `relations.py`
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import nn
from torch.nn import functional

from winnow.contract.errors import Refusal
from worker.compression.training.goal.feature_distillation.relations import relation_loss

IMAGE_AXES = 4
LEAST_SQUARE = 1e-12
"""Of what a relative error is relative to."""


@dataclass(frozen=True)
class Feature:
    """Two values that should agree, by name, and what the difference counts as. `heads`: how many heads the first axis
    of the student's and the teacher's counts with the samples, of relations."""

    teacher: str
    student: str
    weight: float = 1.0
    measure: Literal["squared_error", "relative_error", "relations"] = "squared_error"
    heads: tuple[int, int] = (1, 1)


class Projections(nn.Module):
    """One projection a feature, made when the widths are first seen."""

    def __init__(self, features: Iterable[Feature]) -> None:
        super().__init__()
        self._index = {feature: place for place, feature in enumerate(features)}
        self.layers = nn.ModuleList(nn.Identity() for _ in self._index)
        self._made = [False] * len(self._index)

    def distance(
        self,
        feature: Feature,
        student: torch.Tensor,
        teacher: torch.Tensor,
        square: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Compute the difference as the feature measures it, of relations that of values [N, T, W]. `square`: what a
        relative error is relative to, by itself the teacher's mean square here. Raises `Refusal`
        `teacher_does_not_fit`."""
        if feature.measure == "relations":
            if student.shape[:2] != teacher.shape[:2]:
                raise _refused(feature, student, teacher)
            return relation_loss(student, teacher)
        own, others = self._brought_together(feature, student, teacher)
        projected: torch.Tensor = self._layer(feature, own, others)(own)
        match feature.measure:
            case "squared_error":
                return functional.mse_loss(projected, others)
            case "relative_error":
                whole = teacher.square().mean() if square is None else square
                return functional.mse_loss(projected, others) / whole.clamp(min=LEAST_SQUARE)
            case _:
                assert_never(feature.measure)

    def _brought_together(
        self, feature: Feature, student: torch.Tensor, teacher: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Both with channels last, of one size but for these."""
        own, others = _channels_last(student), _channels_last(teacher)
        if own.ndim != others.ndim:
            raise _refused(feature, student, teacher)
        if student.ndim == IMAGE_AXES:
            own, others = _same_size(student, teacher)
        if own.shape[:-1] != others.shape[:-1]:
            raise _refused(feature, student, teacher)
        return own, others

    def _layer(self, feature: Feature, own: torch.Tensor, others: torch.Tensor) -> nn.Module:
        index = self._index[feature]
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


def _refused(feature: Feature, student: torch.Tensor, teacher: torch.Tensor) -> Refusal:
    return Refusal(
        "teacher_does_not_fit",
        f"The student's {feature.student!r} has the shape {list(student.shape)}, the teacher's {feature.teacher!r} "
        f"{list(teacher.shape)}: only widths (channels) may differ, and the size of images.",
    )
