"""Take a model's large weights out for a while, for what does not look at them: a converter, a file in pieces."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import onnx_ir as ir

MAX_KEPT_BYTES: Final = 4096
"""Constants up to this size stay: shapes, axes, scales."""


@contextmanager
def without_weights(model: ir.Model) -> Iterator[dict[str, ir.TensorProtocol]]:
    """Make large and external initializers of the main graph mere references meanwhile; yield their tensors."""
    weights = {
        name: value.const_value
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
        and (value.const_value.nbytes > MAX_KEPT_BYTES or isinstance(value.const_value, ir.ExternalTensor))
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
