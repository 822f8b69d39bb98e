"""Training between the rounds of a step that takes parts of the network away."""

from dataclasses import replace

import onnx_ir as ir

from winnow.contract.recipe import Distillation, Finetune
from worker.compression.steps.context import Context


def recover(model: ir.Model, step: Finetune | Distillation, context: Context, number: int) -> None:
    """Train in place after round `number`, with files apart from those of the other rounds. Raises what the step
    raises."""
    folder = context.scratch / f"recovery-{number}"
    folder.mkdir()
    own = replace(context, scratch=folder, curves=context.curves / f"round-{number}")
    if isinstance(step, Finetune):
        from worker.compression.training.finetune import finetune  # needs torch

        finetune(model, step, own)
    else:
        from worker.compression.training.distillation import distillation  # needs torch

        distillation(model, step, own)
