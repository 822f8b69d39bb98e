"""What a training minimises: the student against labels, against a teacher, or both; and how good it is.

loss = soft · Σ weight · L(student, teacher) + hard · CE(student, argmax teacher) + labels · L(student, labels)
     + Σ feature weight · difference(projection(student's value), teacher's value)

In two stages (TinyBERT: Jiao et al. 2020, arXiv:1909.10351) the features are learned alone for the first share of the
steps, then the outputs alone, which is also what is validated.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import assert_never

import torch
from torch import nn

from winnow.contract.fitting import UNLABELLED
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.goal.feature_distillation.features import Feature, Projections
from worker.compression.training.goal.head import Head
from worker.compression.training.goal.losses import cross_entropy, direction, squared_error, wide
from worker.compression.training.goal.step_scales import StepScales, TeachersStep
from worker.compression.training.goal.targets import HeadTarget, Target, Values


@dataclass(frozen=True)
class LossWeights:
    """How much each part of the loss counts; a part that weighs nothing is not computed."""

    soft: float = 0.0
    hard: float = 0.0
    labels: float = 0.0
    features: tuple[Feature, ...] = ()
    temperature: float = 1.0
    smoothing: float = 0.0
    features_first: float = 0.0

    @property
    def teacher(self) -> bool:
        return bool(self.soft or self.hard or self.features)

    @property
    def stages(self) -> tuple["LossWeights", ...]:
        """What counts in each stage, the first to the last."""
        if not self.features_first:
            return (self,)
        return replace(self, soft=0.0, hard=0.0, labels=0.0), replace(self, features=())

    def first_steps(self, total: int) -> int:
        """Count the steps before the last stage, which has one at least."""
        return min(math.ceil(self.features_first * total), total - 1)


@dataclass(frozen=True)
class ClassMatches:
    """How many of `count` answers were the wanted class, of those that have one. `name` says whose class: top1,
    agreement."""

    name: str
    matches: int
    count: int


class Objective(nn.Module):
    """`student` and `teacher` are the heads that are compared. Parameters: the projections of features, if any."""

    def __init__(
        self,
        weights: LossWeights,
        student: Head,
        teacher: Head | None,
        targets: Sequence[Target] | None = None,
    ) -> None:
        """`targets`: what is learned of the teacher's outputs; by itself that the heads agree."""
        super().__init__()
        self.weights, self.student, self.teacher = weights, student, teacher
        if targets is None:
            targets = [] if teacher is None else [HeadTarget(student, teacher, weights.temperature)]
        self.targets = targets if weights.soft else []
        self.projections = Projections(weights.features)

    @property
    def samples_first(self) -> bool:
        """Whether the samples lie along the first axis of all outputs that are compared."""
        heads = [head for head in (self.student, self.teacher) if head is not None]
        return not any(head.batch_axis for head in heads) and all(each.samples_first for each in self.targets)

    @property
    def student_values(self) -> list[str]:
        """Names of the values that the student has to compute."""
        targets = (value for target in self.targets for value in target.student_values)
        features = (each.student for each in self.weights.features)
        return list(dict.fromkeys([self.student.value, *targets, *features]))

    @property
    def teacher_values(self) -> list[str]:
        """Names of the values that the teacher has to compute."""
        if self.teacher is None:
            return []
        targets = (value for target in self.targets for value in target.teacher_values)
        features = (each.teacher for each in self.weights.features)
        return list(dict.fromkeys([self.teacher.value, *targets, *features]))

    @property
    def student_heads(self) -> dict[str, int]:
        """How many heads the student's values of attention have on their first axis, by name."""
        return {each.student: each.heads[0] for each in self.weights.features if each.measure == "relations"}

    @property
    def teacher_heads(self) -> dict[str, int]:
        """How many heads the teacher's values of attention have on their first axis, by name."""
        return {each.teacher: each.heads[1] for each in self.weights.features if each.measure == "relations"}

    def teachers_step(self, stage: int = -1) -> TeachersStep:
        """What gathers a teacher's answers to the batches of a step, for a stage of the loss."""
        weights = self.weights.stages[stage]
        return TeachersStep(self.targets if weights.soft else [], weights.features)

    def loss(
        self,
        student: Values,
        teacher: Values,
        batch: Batch,
        stage: int = -1,
        scales: StepScales | None = None,
    ) -> torch.Tensor:
        """Compute the loss of a stage, a scalar, in float32 at least: under autocast values may come in less. `scales`:
        of the step that the batch is a part of; by itself the batch is all of it."""
        weights, output = self.weights.stages[stage], wide(self.student.read(student))
        total = output.new_zeros(())
        if weights.soft:
            for target in self.targets if scales is None else scales.targets:
                total = total + weights.soft * target.weight * target.loss(student, teacher)
        if weights.hard:
            assert self.teacher is not None
            total = total + weights.hard * cross_entropy(output, self.teacher.read(teacher).argmax(1))
        if weights.labels:
            assert batch.labels is not None
            total = total + weights.labels * self._label_loss(output, batch.labels)
        for feature in weights.features:
            own, others = wide(student[feature.student]), wide(teacher[feature.teacher])
            square = None if scales is None else scales.squares.get(feature)
            total = total + feature.weight * self.projections.distance(feature, own, others, square)
        return total

    def count_matches(self, student: Values, teacher: Values, batch: Batch) -> ClassMatches | None:
        """Compare classes with the labels, or the teacher's where none fit; None for what is no class."""
        if self.student.meaning != "classification":
            return None
        chosen, labels = self.student.read(student).argmax(1), batch.labels
        if labels is not None and not labels.is_floating_point() and labels.numel() == chosen.numel():
            classes = labels.long().view(chosen.shape)  # in uint8, -1 is 255
            labelled = classes != UNLABELLED
            name, wanted, chosen = "top1", classes[labelled], chosen[labelled]
        elif self.teacher is not None and self.teacher.value in teacher:
            name, wanted = "agreement", self.teacher.read(teacher).argmax(1)
        else:
            return None
        return ClassMatches(name, int((chosen == wanted).sum()), chosen.numel())

    def _label_loss(self, output: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        match self.student.meaning:
            case "classification":
                classes = labels.long().view(len(output), *output.shape[2:])
                return cross_entropy(output, classes, self.weights.smoothing)
            case "regression":
                return squared_error(output, labels.to(output.dtype).view(output.shape))
            case "embedding":
                return direction(output, labels.to(output.dtype).view(output.shape))
            case _:
                assert_never(self.student.meaning)
