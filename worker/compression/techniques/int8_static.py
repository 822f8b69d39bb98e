"""`int8_static`: weights int8 per channel, activations uint8, ranges from calibration data.

Stored as Q/DQ pairs around the float operators, which ONNX Runtime fuses into integer kernels.
"""

import logging

import onnx_ir as ir
from onnx_ir.passes import common as passes

from app.contract.errors import Refusal
from app.contract.recipe import Int8Static
from worker.compression.techniques.account import changed, refuse_quantized
from worker.compression.techniques.batchnorm import fold_batchnorms
from worker.compression.techniques.calibration import calibrate
from worker.compression.techniques.context import Changed, Context
from worker.compression.techniques.gates import gated
from worker.compression.techniques.kernels import four_bits, weight_range
from worker.compression.techniques.opsets import raised
from worker.compression.techniques.pooling import pools_for_means
from worker.compression.techniques.qdq import QdqWriter
from worker.compression.techniques.selection import select

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
    folded = fold_batchnorms(model, step.exclude)
    pools_for_means(model, step.exclude)
    selection = select(model, step.exclude)
    weights = four_bits() if narrow else weight_range(step.weight_range)
    answer = changed(
        model,
        selection.layers,
        "Conv, Gemm or MatMul with a float32 weight",
        [*notes, *weights.notes],
        {"calibration": step.calibration, **weights.details()},
    )
    samples = context.calibration.draw(step.samples, context.seed)
    sources = {str(source.name): source for source in map(selection.source, selection.values)}
    measured = calibrate(model, list(sources), samples, step.calibration, step.percentile, context.progress)
    ranges = {name: gated(sources[name], found) for name, found in measured.items()}
    QdqWriter(model, weights.limit, ir.DataType.INT4 if narrow else ir.DataType.INT8).write(selection, ranges)
    passes.RemoveUnusedNodesPass()(model)
    answer.details.update(samples=len(samples), batchnorms_folded=folded)
    return answer
