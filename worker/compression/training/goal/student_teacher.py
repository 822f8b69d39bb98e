"""A student and what it learns from: its module, its objective, its teacher."""

from dataclasses import dataclass

import torch
from torch import nn

from worker.compression.engine.module import GraphModule
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.objective import Objective
from worker.compression.training.goal.teacher import Teacher

Answers = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Pair:
    """Everything is on one device. Batches come from the host."""

    module: GraphModule
    objective: Objective
    teacher: Teacher | None
    hardware: Hardware

    @property
    def learning(self) -> nn.ModuleList:
        """All that has parameters to learn: the student, and projections that are thrown away at the end."""
        return nn.ModuleList([self.module, self.objective])

    def here(self, batch: Batch) -> Answers:
        """The feeds, where the module is."""
        return self.hardware.feeds(batch.to(self.hardware.device).feeds)

    def answers(self, batch: Batch) -> tuple[Answers, Answers, Batch]:
        """The student's values, the teacher's, and the batch where they are."""
        here = batch.to(self.hardware.device)
        taught = self.teacher.answers(here) if self.teacher is not None else {}
        with self.hardware.arithmetic():
            own = self.module(self.hardware.feeds(here.feeds))
        return own, taught, here

    def loss(self, batch: Batch) -> torch.Tensor:
        return self.objective.loss(*self.answers(batch))

    @torch.no_grad()
    def ignorant(self, batch: Batch) -> float:
        """The loss of a student that answers zero to everything."""
        own, taught, here = self.answers(batch)
        return float(
            self.objective.loss({name: torch.zeros_like(x) for name, x in own.items()}, taught, here)
        )
