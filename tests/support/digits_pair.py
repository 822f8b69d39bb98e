"""The small network of digits, ready to learn from labels."""

import torch

from tests.support.small_nets import digits_net
from worker.compression.engine.working import as_module
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal.head import head_of
from worker.compression.training.goal.objective import LossWeights, Objective
from worker.compression.training.goal.student_teacher import StudentTeacher


def digits_pair() -> StudentTeacher:
    """Without a teacher, on the CPU, in float32."""
    model = digits_net()
    objective = Objective(LossWeights(labels=1.0), head_of(model, None, "auto"), None)
    module = as_module(model, objective.student_values)
    return StudentTeacher(module, objective, None, Hardware(torch.device("cpu"), False, False))
