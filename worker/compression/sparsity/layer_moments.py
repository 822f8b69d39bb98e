"""Moments of what reaches layers, for those that can be judged by them."""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import onnx_ir as ir

from worker.compression.cache.shared_arrays import UNSHARED, SharedArrays
from worker.compression.data.samples import Samples
from worker.compression.layers.input_moments import Moments, measurable, moments
from worker.compression.layers.linear import Linear

MAX_HESSIAN_INPUTS: Final = 8192
"""Inputs of a layer whose second moments fit into memory, several times over."""


def is_wide(layer: Linear) -> bool:
    return layer.shape[2] > MAX_HESSIAN_INPUTS


def each_with_moments(
    model: ir.Model,
    layers: Sequence[Linear],
    samples: Samples,
    report_progress: Callable[[float], None],
    shared: SharedArrays = UNSHARED,
) -> Iterator[tuple[Linear, Moments | None]]:
    """Go through the layers, each with the moments of its input where they can be held and some sample reaches it.

    Raises what `moments` raises.
    """
    is_measurable = measurable(model)
    measured = [layer for layer in layers if not is_wide(layer) and is_measurable(layer)]
    stream = moments(model, measured, samples, report_progress, shared)
    for layer in layers:
        sums = next(stream)[1] if layer in measured else None
        yield layer, sums if sums is not None and sums.rows else None
