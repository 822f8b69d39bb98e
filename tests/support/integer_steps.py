"""The steps that write integers for activations, run on a network and samples."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_ir as ir

from tests.support.small_nets import samples
from winnow.contract.recipe import Int8, Int8Static, MixedPrecision
from worker.compression.apply import apply
from worker.compression.progress import Silent
from worker.compression.steps.context import Context, StepResult

STEPS = {"int8_static": Int8Static, "int8": Int8, "mixed_precision": MixedPrecision}


def quantize(
    make: Callable[[], ir.Model], folder: Path, x: dict[str, Any], kind: str = "int8_static", **step: Any
) -> StepResult:
    asked = STEPS[kind].model_validate({"kind": kind, **step})
    return apply(make(), asked, Context(folder, 0, Silent(), samples(folder, make(), **x)))
