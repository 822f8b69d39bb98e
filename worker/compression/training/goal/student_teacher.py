"""A student and what it learns from: its module, its objective, its teacher."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import nn

from worker.compression.data.trimming import trimmed
from worker.compression.engine.module import GraphModule
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.feature_distillation.relations import all_together
from worker.compression.training.goal.objective import Objective
from worker.compression.training.goal.step_scales import StepScales
from worker.compression.training.goal.teacher import Teacher

Outputs = dict[str, torch.Tensor]
HELD_BYTES: Final = 1 << 28
"""Of a teacher's answers to a step that are held while it is worked on; others are computed twice."""


@dataclass(frozen=True)
class StudentTeacher:
    """Everything is on one device. Batches come from the host."""

    module: GraphModule
    objective: Objective
    teacher: Teacher | None
    hardware: Hardware

    @property
    def learning(self) -> nn.ModuleList:
        """All that has parameters to learn: the student, and projections that are thrown away at the end."""
        return nn.ModuleList([self.module, self.objective])

    def feeds(self, batch: Batch) -> Outputs:
        """Place the feeds where the module is."""
        return self.hardware.feeds(batch.to(self.hardware.device).feeds)

    def outputs(self, batch: Batch, answers: Outputs | None = None) -> tuple[Outputs, Outputs, Batch]:
        """Run both, the teacher where its `answers` are not there: the student's values, the teacher's, and the batch
        on their device."""
        placed = batch.to(self.hardware.device)
        teacher = self._answers(placed) if answers is None else answers
        with self.hardware.arithmetic():
            student = self.module(self.hardware.feeds(placed.feeds))
        return _trimmed(all_together(student, self.objective.student_heads), batch), teacher, placed

    def loss(self, batch: Batch, stage: int = -1) -> torch.Tensor:
        """Compute the loss of a stage."""
        return self.objective.loss(*self.outputs(batch), stage)

    def losses(self, step: Sequence[Batch], stage: int = -1) -> Iterator[torch.Tensor]:
        """Compute the loss of each batch of an optimizer step, times its share: they add up to that of all samples at
        once. The teacher goes first where parts of the loss are relative to its answers to all of them."""
        return self._losses(step, stage, zero=False)

    @torch.no_grad()
    def zero_student_loss(self, step: Sequence[Batch], stage: int = -1) -> float:
        """Compute the loss of a student that answers zero to everything."""
        return sum(float(loss) for loss in self._losses(step, stage, zero=True))

    def _losses(self, step: Sequence[Batch], stage: int, *, zero: bool) -> Iterator[torch.Tensor]:
        """Nothing is held of a batch that is done."""
        scales, answers = self._teachers(step, stage)
        for batch in step:
            yield self._loss(batch, answers.pop(0), stage, scales, zero=zero) * batch.share

    def _loss(
        self, batch: Batch, answers: Outputs | None, stage: int, scales: StepScales | None, *, zero: bool
    ) -> torch.Tensor:
        student, teacher, placed = self.outputs(batch, answers)
        if zero:
            student = {name: torch.zeros_like(x) for name, x in student.items()}
        return self.objective.loss(student, teacher, placed, stage, scales)

    def _teachers(self, step: Sequence[Batch], stage: int) -> tuple[StepScales | None, list[Outputs | None]]:
        """What the loss of a step of several batches is relative to, and the teacher's answers, as far as they are
        held."""
        whole = self.objective.teachers_step(stage)
        if len(step) == 1 or not whole.is_needed:
            return None, [None] * len(step)
        held, room = list[Outputs | None](), HELD_BYTES
        for batch in step:
            answers = self._answers(batch.to(self.hardware.device))
            whole.add(answers, batch.share)
            room -= sum(x.nbytes for x in answers.values())
            held.append(answers if room >= 0 else None)
        return whole.scales(), held

    def _answers(self, placed: Batch) -> Outputs:
        if self.teacher is None:
            return {}
        return _trimmed(self.teacher.outputs(placed), placed)


def _trimmed(values: Outputs, batch: Batch) -> Outputs:
    """Cut off what was computed from padding: nothing is learned from it."""
    if not batch.padded:
        return values
    return {name: trimmed(x, len(batch), batch.padded, once=True) for name, x in values.items()}
