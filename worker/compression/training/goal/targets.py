"""What a student has to answer as its teacher does: an output, or a detector's boxes and scores together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

import torch

from worker.compression.training.goal.head import Head
from worker.compression.training.goal.losses import direction, soft_labels, squared_error, wide

Values = Mapping[str, torch.Tensor]


class Target(Protocol):
    """`weight` of its loss among the others."""

    @property
    def weight(self) -> float: ...

    @property
    def student_values(self) -> list[str]: ...

    @property
    def teacher_values(self) -> list[str]: ...

    @property
    def samples_first(self) -> bool:
        """Whether the samples lie along the first axis of all that is compared."""

    @property
    def is_relative(self) -> bool:
        """Whether the loss is relative to what the teacher answers to all samples together, and no mean over these."""

    def relative_to(self, teacher: Sequence[Values]) -> "Target":
        """The same target for samples that are some of those to which the teacher answers this."""

    def pairs(self, student: Values, teacher: Values) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """What has to be of one shape, the student's and the teacher's, by the output's name."""

    def loss(self, student: Values, teacher: Values) -> torch.Tensor:
        """A scalar: over samples of equal weight, once what it is relative to is fixed."""


@dataclass(frozen=True)
class HeadTarget:
    """One output of both, compared as its meaning has it."""

    student: Head
    teacher: Head
    temperature: float
    weight: float = 1.0

    @property
    def student_values(self) -> list[str]:
        return [self.student.value]

    @property
    def teacher_values(self) -> list[str]:
        return [self.teacher.value]

    @property
    def samples_first(self) -> bool:
        return not (self.student.batch_axis or self.teacher.batch_axis)

    @property
    def is_relative(self) -> bool:
        return False

    def relative_to(self, teacher: Sequence[Values]) -> "HeadTarget":
        return self

    def pairs(self, student: Values, teacher: Values) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        return {self.student.output: (wide(self.student.read(student)), wide(self.teacher.read(teacher)))}

    def loss(self, student: Values, teacher: Values) -> torch.Tensor:
        output, wanted = self.pairs(student, teacher)[self.student.output]
        match self.student.meaning:
            case "classification":
                return soft_labels(output, wanted, self.temperature)
            case "regression":
                return squared_error(output, wanted)
            case "embedding":
                return direction(output, wanted)
            case _:
                assert_never(self.student.meaning)
