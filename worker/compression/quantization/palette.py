"""`palette`: each weight is one of a few values, found by k-means (Deep Compression, Han et al., arXiv:1510.00149).

    w  →  codebook[code]        code of ⌈log₂ colors⌉ bits

A weight that is zero stays zero, and no other becomes zero: where there are zeros, one of the colors, the first, is
theirs. So zeros of a step before survive, and what comes after knows which they are.
"""

from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from winnow.contract.recipe import Palette
from worker.compression.ir.arrays import Array
from worker.compression.layers.linear import Linear
from worker.compression.quantization.weights.codebook_step import (
    per_output,
    relative_error,
    store_few_values,
)
from worker.compression.quantization.weights.kmeans import kmeans_centres, nearest_centres
from worker.compression.steps.context import Context, StepResult
from worker.compression.weight_storage.codebook_weights import CodebookWriter


def palette(model: ir.Model, step: Palette, context: Context) -> StepResult:
    """Store weights as codes of a few values, in place.

    Raises `Refusal` `already_quantized`, `nothing_to_quantize`, `step_failed`.
    """
    bits, codebook_bytes = (step.colors - 1).bit_length(), 4 * step.colors
    row_bytes, fixed_bytes = (codebook_bytes + 4, 0) if step.codebook == "channel" else (0, codebook_bytes)
    details: dict[str, object] = {"colors": step.colors, "codebook": step.codebook}
    store = partial(_store_palette, step)
    return store_few_values(model, step, context, bits, row_bytes, fixed_bytes, store, details)


def _store_palette(step: Palette, layer: Linear, writer: CodebookWriter) -> dict[str, Any]:
    """Gives the layer its codebook, and reports what that cost."""
    matrix = layer.matrix()
    rows = matrix.reshape(1, -1) if step.codebook == "tensor" else matrix.reshape(-1, matrix.shape[2])
    parts = [coded(row, step.colors) for row in rows]
    codes = np.concatenate([part for part, _ in parts]).reshape(matrix.shape)
    codebook = np.concatenate([colors for _, colors in parts])
    starts = np.cumsum([0, *(len(colors) for _, colors in parts[:-1])]).astype(np.int32)
    offsets = None if step.codebook == "tensor" else per_output(layer, starts)
    shared = np.concatenate([colors[part] for part, colors in parts]).reshape(matrix.shape)
    writer.palette(layer.weight, layer.stored(codes), codebook, offsets)
    return {
        "colors": max(len(colors) for _, colors in parts),
        "bits": max(1, int(codes.max()).bit_length()),
        "weight_error": relative_error(matrix, shared),
    }


def coded(row: Array, colors: int) -> tuple[Array, Array]:
    """uint8 codes of float32 [n], and the float32 codebook: zero first where there are zeros, the rest ascending."""
    zero = row == 0
    if not zero.any():
        codebook = kmeans_centres(row, colors)
        return nearest_centres(row, codebook), codebook
    codes, codebook = np.zeros(row.shape, np.uint8), np.zeros(1, np.float32)
    if not zero.all():
        rest = kmeans_centres(row[~zero], colors - 1)
        codes[~zero] = nearest_centres(row[~zero], rest) + 1
        codebook = np.concatenate([codebook, rest])
    return codes, codebook
