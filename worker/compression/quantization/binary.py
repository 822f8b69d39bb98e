"""`binary`: of each weight its sign, and one scale for each output channel.

    w  →  α sign(w),   α = mean |w| over the channel        the α of least squared error
    (Rastegari et al. 2016, XNOR-Net, arXiv:1603.05279)

The sign of a zero is taken as plus.
"""

from typing import Any

import numpy as np
import onnx_ir as ir

from winnow.contract.recipe import Binary
from worker.compression.layers.linear import Linear
from worker.compression.quantization.weights.codebook_step import (
    per_output,
    relative_error,
    store_few_values,
)
from worker.compression.steps.context import Context, StepResult
from worker.compression.weight_storage.codebook_weights import CodebookWriter


def binary(model: ir.Model, step: Binary, context: Context) -> StepResult:
    """Store the signs of weights, in place.

    Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `step_failed`.
    """
    return store_few_values(model, step, context, bits=1, row_bytes=4, fixed_bytes=0, store=_store_signs)


def _store_signs(layer: Linear, writer: CodebookWriter) -> dict[str, Any]:
    """Gives the layer its signs and scales, and reports what that cost."""
    matrix = layer.matrix()
    scale = np.abs(matrix).mean(axis=2, dtype=np.float64).astype(np.float32)
    plus = matrix >= 0
    writer.binary(layer.weight, layer.stored(plus.astype(np.uint8)), per_output(layer, 2 * scale.reshape(-1)))
    error = relative_error(matrix, np.where(plus, scale[:, :, None], -scale[:, :, None]))
    return {"bits": 1, "weight_error": error, "zeros_lost": int((matrix == 0).sum())}
