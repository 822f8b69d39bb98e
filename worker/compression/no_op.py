"""`no_op`: nothing is done to the model, for so many seconds.

With it an operator sees whether jobs go through queue, worker, child and store, and how much hosts more bring.
"""

import time
from typing import Final

import onnx_ir as ir

from winnow.contract.recipe import NoOp
from worker.compression.steps.context import Context, StepResult

TELL_SECONDS: Final = 0.5


def no_op(model: ir.Model, step: NoOp, context: Context) -> StepResult:
    """Wait, and say how far it is meanwhile."""
    begun = time.monotonic()
    while (waited := time.monotonic() - begun) < step.seconds:
        context.progress.advance(waited / step.seconds)
        time.sleep(min(TELL_SECONDS, step.seconds - waited))
    return StepResult(model, 0, 0, ["The step changes nothing, as it was asked."])
