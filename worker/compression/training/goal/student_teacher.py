"""A student and what it learns from: its module, its objective, its teacher."""

from dataclasses import dataclass

import torch
from torch import nn

from worker.compression.data.trimming import trimmed
from worker.compression.engine.module import GraphModule
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.objective import Objective
from worker.compression.training.goal.teacher import Teacher

Outputs = dict[str, torch.Tensor]


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

    def outputs(self, batch: Batch) -> tuple[Outputs, Outputs, Batch]:
        """Run both: the student's values, the teacher's, and the batch on their device."""
        placed = batch.to(self.hardware.device)
        teacher = self.teacher.outputs(placed) if self.teacher is not None else {}
        with self.hardware.arithmetic():
            student = self.module(self.hardware.feeds(placed.feeds))
        return _data(student, batch), _data(teacher, batch), placed

    def loss(self, batch: Batch, stage: int = -1) -> torch.Tensor:
        """Compute the loss of a stage."""
        return self.objective.loss(*self.outputs(batch), stage)

    @torch.no_grad()
    def zero_student_loss(self, batch: Batch, stage: int = -1) -> float:
        """Compute the loss of a student that answers zero to everything."""
        student, teacher, placed = self.outputs(batch)
        zeros = {name: torch.zeros_like(x) for name, x in student.items()}
        return float(self.objective.loss(zeros, teacher, placed, stage))


def _data(outputs: Outputs, batch: Batch) -> Outputs:
    """Cut off what was computed from padding: nothing is learned from it."""
    if not batch.padded:
        return outputs
    return {name: trimmed(x, len(batch), batch.padded, once=True) for name, x in outputs.items()}
