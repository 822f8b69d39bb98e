"""`int8_static`: weights int8 per channel, activations uint8, ranges from calibration data.

Stored as Q/DQ pairs around the float operators, which ONNX Runtime fuses into integer kernels.
"""

import logging
from dataclasses import replace

import onnx_ir as ir

from app.contract.errors import Refusal
from app.contract.recipe import Int8Static
from worker.compression.techniques.account import changed, refuse_quantized
from worker.compression.techniques.batchnorm import fold_batchnorms
from worker.compression.techniques.context import Changed, Context
from worker.compression.techniques.kernels import four_bits, weight_range
from worker.compression.techniques.opsets import raised
from worker.compression.techniques.pooling import pools_for_means
from worker.compression.techniques.selection import select
from worker.compression.techniques.static import Static

log = logging.getLogger(__name__)

OPSET = 13
"""The first opset in which a scale can be given per channel."""
OPSET_FOUR_BITS = 21
"""The first opset with 4-bit integers."""


def int8_static(model: ir.Model, step: Int8Static, context: Context) -> Changed:
    """Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `not_finite`, `missing_data`, `step_failed`."""
    refuse_quantized(model)
    if context.calibration is None:
        raise Refusal("missing_data", "int8_static needs calibration data.", field="data.calibration")
    narrow = step.weight_bits == 4
    model, notes = (
        raised(model, OPSET_FOUR_BITS, "a weight of 4 bits")
        if narrow
        else raised(model, OPSET, "quantization per channel")
    )
    folded = fold_batchnorms(model, step.patterns)
    pools_for_means(model, step.patterns)
    selection = select(model, step.patterns)
    weights = four_bits() if narrow else weight_range(step.weight_range)
    answer = changed(
        model,
        selection.layers,
        "Conv, Gemm or MatMul with a float32 weight",
        [*notes, *weights.notes],
        {"calibration": step.calibration, **weights.details()},
    )
    samples = context.calibration.draw(step.samples, context.seed)
    answer.details.update(samples=len(samples), seed=context.seed, batchnorms_folded=folded)
    static = Static(model, step.patterns, weights, samples, step.calibration, step.percentile)
    static.observe(context.progress.advance)
    return replace(answer, model=static.quantized())
