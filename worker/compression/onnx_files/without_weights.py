"""A model without its large weights, for what does not look at them: a converter, a file written piece by piece."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import onnx_ir as ir

SHOWN_BYTES: Final = 4096
"""Constants up to this size stay: shapes, axes, scales."""


@contextmanager
def without_weights(model: ir.Model) -> Iterator[dict[str, ir.TensorProtocol]]:
    """Let large and external initializers of the main graph be mere references meanwhile; answers what they are."""
    weights = {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
        and (value.const_value.nbytes > SHOWN_BYTES or isinstance(value.const_value, ir.ExternalTensor))
    }
    try:
        for name, tensor in weights.items():
            model.graph.initializers[name].const_value = ir.ExternalTensor(
                "weights", 0, tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name
            )
        yield weights
    finally:
        for name, tensor in weights.items():
            model.graph.initializers[name].const_value = tensor
