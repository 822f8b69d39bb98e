"""One technique, one file, one `kind`: an ONNX graph in, an ONNX graph out."""

from typing import assert_never

import onnx_ir as ir

from app.contract.recipe import AnyStep, Float16, Int8Dynamic, Int8Static
from worker.compression.techniques.context import Changed, Context
from worker.compression.techniques.float16 import float16
from worker.compression.techniques.int8_dynamic import int8_dynamic
from worker.compression.techniques.int8_static import int8_static


def apply(model: ir.Model, step: AnyStep, context: Context) -> Changed:
    """Do one step on a normalised model, which may be changed in place: go on with the answer's.

    Raises `Refusal` with `already_quantized`, `nothing_to_quantize`, `missing_data`, `not_finite`,
    `model_does_not_run` or `step_failed`.
    """
    match step:
        case Int8Static():
            return int8_static(model, step, context)
        case Int8Dynamic():
            return int8_dynamic(model, step, context)
        case Float16():
            return float16(model, step, context)
    assert_never(step)
