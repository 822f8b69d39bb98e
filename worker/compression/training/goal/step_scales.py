"""What losses that are ratios are relative to: the teacher's answers to all samples of an optimizer step.

A mean over samples is the mean of those of its parts, by their shares; a ratio of sums is not. With numerators that are
means over samples, and a denominator D of the whole step in all parts,

    Σ share · (mean of a part / D) = mean of all / D

so that gradients that are added up from parts of a step are those of the step at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from worker.compression.training.goal.feature_distillation.features import Feature
from worker.compression.training.goal.losses import wide
from worker.compression.training.goal.targets import Target, Values


@dataclass(frozen=True)
class StepScales:
    """`targets`, relative to all of the step; `squares`: the teacher's mean square of each feature that is relative."""

    targets: Sequence[Target]
    squares: Mapping[Feature, torch.Tensor]


@dataclass
class TeachersStep:
    """Gathers what a teacher answers to a step, batch by batch: of `targets` their values, of `features` one number
    each."""

    targets: Sequence[Target]
    features: Sequence[Feature]
    _parts: list[Values] = field(init=False, default_factory=list)
    _squares: dict[Feature, torch.Tensor] = field(init=False, default_factory=dict)

    @property
    def is_needed(self) -> bool:
        """Whether any part of the loss is relative."""
        return any(target.is_relative for target in self.targets) or bool(self._relative)

    def add(self, teacher: Values, share: float) -> None:
        """Add the answers to a batch that is this share of the step's samples."""
        names = [name for target in self.targets if target.is_relative for name in target.teacher_values]
        self._parts.append({name: teacher[name] for name in names})
        for feature in self._relative:
            part = share * wide(teacher[feature.teacher]).square().mean()
            self._squares[feature] = self._squares.get(feature, 0.0) + part

    def scales(self) -> StepScales:
        """Of all that was added."""
        return StepScales([target.relative_to(self._parts) for target in self.targets], self._squares)

    @property
    def _relative(self) -> list[Feature]:
        return [feature for feature in self.features if feature.measure == "relative_error"]
