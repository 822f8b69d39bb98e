"""`palette`: each weight is one of a few values, found by k-means (Deep Compression, Han et al., arXiv:1510.00149).

    w  →  codebook[code]        code of ⌈log₂ colors⌉ bits

A weight that is zero stays zero, and no other becomes zero: where there are zeros, one of the colors, the first, is
theirs. So zeros of a step before survive, and what comes after knows which they are.

A codebook for all of a tensor is made from its file, a part at a time, and the codes are written to another: of models
of any size less than the largest layer is in memory.
"""

from functools import partial
from typing import Any

import numpy as np
import onnx_ir as ir

from winnow.contract.recipe import Palette
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import array_of
from worker.compression.layers.linear import Linear
from worker.compression.quantization.weights.codebook_step import (
    RelativeError,
    per_output,
    store_few_values,
)
from worker.compression.quantization.weights.kmeans import AT_ONCE, kmeans_centres, nearest_centres
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
    if step.codebook == "tensor":
        return _store_tensor(step, layer, writer)
    matrix = layer.matrix()
    parts = [coded(row, step.colors) for row in matrix.reshape(-1, matrix.shape[2])]
    error, codes = RelativeError(), np.empty(matrix.shape, np.uint8)
    for row, made, (part, colors) in zip(_rows(matrix), _rows(codes), parts, strict=True):
        made[:] = part
        error.add(row, colors[part])
    codebook = np.concatenate([colors for _, colors in parts])
    starts = np.cumsum([0, *(len(colors) for _, colors in parts[:-1])]).astype(np.int32)
    writer.palette(layer.weight, layer.stored(codes), codebook, per_output(layer, starts))
    return _row_of(codes, max(len(colors) for _, colors in parts), error)


def _store_tensor(step: Palette, layer: Linear, writer: CodebookWriter) -> dict[str, Any]:
    """In the order in which the weight is stored: all of a large one is never in memory."""
    flat, error = array_of(layer.weight).reshape(-1), RelativeError()
    codes, colors = coded(flat, step.colors)
    for begin in range(0, flat.size, AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        error.add(flat[part], colors[codes[part]])
    writer.palette(layer.weight, codes.reshape(layer.dims), colors)
    return _row_of(codes, len(colors), error)


def _rows(matrix: Array) -> Array:
    return matrix.reshape(-1, matrix.shape[2])


def _row_of(codes: Array, colors: int, error: RelativeError) -> dict[str, Any]:
    bits = max(1, int(codes.max()).bit_length())
    return {"colors": colors, "bits": bits, "weight_error": error.value}


def coded(row: Array, colors: int) -> tuple[Array, Array]:
    """uint8 codes of float32 [n], and the float32 codebook: zero first where there are zeros, the rest ascending."""
    parts = [slice(begin, begin + AT_ONCE) for begin in range(0, row.size, AT_ONCE)]
    zeros = sum(row[part].size - int(np.count_nonzero(row[part])) for part in parts)
    if not zeros:
        codebook = kmeans_centres(row, colors)
        return nearest_centres(row, codebook), codebook
    codes, codebook = np.zeros(row.shape, np.uint8), np.zeros(1, np.float32)
    if zeros < row.size:
        rest = kmeans_centres(row, colors - 1, zeros=False)
        for part in parts:
            codes[part] = np.where(row[part] == 0, 0, nearest_centres(row[part], rest) + 1)
        codebook = np.concatenate([codebook, rest])
    return codes, codebook
