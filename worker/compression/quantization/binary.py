"""`binary`: of each weight its sign, and one scale for each output channel.

    w  →  α sign(w),   α = mean |w| over the channel        the α of least squared error
    (Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279)

The sign of a zero is taken as plus.
"""

from typing import Any

import numpy as np
import onnx_ir as ir

from winnow.contract.recipe import Binary
from worker.compression.ir.naming import Names
from worker.compression.layers.linear import Linear
from worker.compression.quantization.palette import relative_error
from worker.compression.quantization.weights.codebook_eligibility import (
    FOR_SIZE,
    OPSET,
    candidates,
    per_output,
    taken,
)
from worker.compression.quantization.weights.eligibility import tell_twins
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import changed, refuse_quantized
from worker.compression.steps.opset import raised
from worker.compression.weight_storage.codebook_weights import CodebookWriter


def binary(model: ir.Model, step: Binary, context: Context) -> StepResult:
    """Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `step_failed`."""
    refuse_quantized(model)
    model, notes = raised(model, OPSET, "unpacking signs")
    found = candidates(model, step.layers, step.exclude, bits=1, channel_bytes=4, fixed=0)
    answer = changed(
        model,
        [layer.told for layer in found],
        "Conv, Gemm or MatMul with a float32 weight",
        [*notes, FOR_SIZE],
    )
    told = {str(row["name"]): row for row in answer.details["layers"]}
    writer, layers = CodebookWriter(model, Names(model).fresh), list(taken(found))
    tell_twins(layers, told)
    for number, layer in enumerate(layers):
        told[layer.name].update(_signs(layer, writer))
        context.progress.advance((number + 1) / len(layers))
    return answer


def _signs(layer: Linear, writer: CodebookWriter) -> dict[str, Any]:
    """Give the layer its signs and scales, and tell what that cost."""
    matrix = layer.matrix()
    scale = np.abs(matrix).mean(axis=2, dtype=np.float64).astype(np.float32)
    plus = matrix >= 0
    writer.binary(layer.weight, layer.stored(plus.astype(np.uint8)), per_output(layer, 2 * scale.reshape(-1)))
    error = relative_error(matrix, np.where(plus, scale[:, :, None], -scale[:, :, None]))
    return {"bits": 1, "weight_error": error, "zeros_lost": int((matrix == 0).sum())}
