"""`int8_dynamic`: int8 weights; activations are quantized while the model runs, by their range at that moment.

    MatMul, Gemm   x, s_x, z_x = DynamicQuantizeLinear(X);  Y = s_x s_w · MatMulInteger(x, w, z_x) (+ bias)
    LSTM           com.microsoft DynamicQuantizeLSTM, which does the same inside
    Gather         rows of an int8 table, as floats (`embeddings`)

in the form that ONNX Runtime fuses into one kernel. Weights are int8 per output channel, in the range that the CPU
multiplies exactly (`hardware`). Convolutions are left out: ConvInteger has no fast kernel on the CPU, and the range of
a whole feature map has to be found on every run, so it is usually slower than float32. Layers in branches
and bodies (If, Loop) are layers as all others; what they read from outside is quantized there, once. Outliers behind
layer normalisations of the main graph can go into the weights beforehand (`smoothquant`).
"""

from dataclasses import replace

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Int8Dynamic
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.mapped_tensors import spill_for
from worker.compression.quantization.integer.dynamic_model import Dynamic
from worker.compression.quantization.integer.hardware import TARGETS, machine_of, weight_range
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import refuse_quantized, step_result
from worker.compression.steps.opset import raised

OPSET = 11
"""The first opset with DynamicQuantizeLinear."""


def int8_dynamic(model: ir.Model, step: Int8Dynamic, context: Context) -> StepResult:
    """Quantize weights, and activations while the model runs.

    Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `step_failed`; with `smooth` also `missing_data`,
    `not_finite`, `model_does_not_run`.
    """
    refuse_quantized(model)
    if step.smooth is not None and context.calibration is None:
        raise Refusal(
            "missing_data", "int8_dynamic with smooth needs calibration data.", field="data.calibration"
        )
    model, notes = raised(model, OPSET, "dynamic quantization")
    weights = weight_range(step.weight_range, TARGETS[machine_of(context.features)].exact)
    dynamic = Dynamic(
        GraphEdit(model, step.exclude, spill_for(model, context.scratch)), weights.limit, step.smooth
    )
    result = step_result(
        model,
        dynamic.decisions(),
        "MatMul, Gemm or LSTM with a float32 weight, or an embedding table",
        [*notes, *weights.notes],
        weights.details(),
    )
    if step.smooth is not None and context.calibration is not None:
        dynamic.observe(context.calibration, context.seed)
        result.details["layers_smoothed"] = len(dynamic.channels)
    return replace(result, model=dynamic.quantized(context.progress.advance))
