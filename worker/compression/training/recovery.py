"""Training between the rounds of a step that takes parts of the network away."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import onnx_ir as ir

from winnow.contract.recipe import Distillation, Finetune
from worker.compression.steps.context import Context, StepResult


def recover(model: ir.Model, step: Finetune | Distillation, context: Context, number: int) -> str:
    """Train in place after round `number`, with files apart from those of the other rounds; return the precision, which
    may have been chosen by time. Raises what the step raises."""
    folder = context.scratch / f"recovery-{number}"
    folder.mkdir()
    own = replace(context, scratch=folder, curves=context.curves / f"round-{number}")
    return str(_trained(model, step, own).details["precision"])


def _trained(model: ir.Model, step: Finetune | Distillation, context: Context) -> StepResult:
    if isinstance(step, Finetune):
        from worker.compression.training.finetune import finetune  # needs torch

        return finetune(model, step, context)
    from worker.compression.training.distillation import distillation  # needs torch

    return distillation(model, step, context)


def precision_settings(precisions: Sequence[str]) -> dict[str, Any]:
    """What the trainings of all rounds chose, as a setting of the step that they belong to; none where they differ."""
    return {"recovery": {"precision": precisions[0]}} if len({*precisions}) == 1 else {}
