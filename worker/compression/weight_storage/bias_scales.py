"""Compute scales of quantized biases from those that the file has anyway: 4 bytes less for each channel.

    bias int32 ─ DQ(scale)                 scale = scale of the layer's input · scales of its weight, in float32
    bias int32 ─ DQ(Mul(input's, weight's))

Both are constants, so ONNX Runtime multiplies when it loads the model, before it looks for integer kernels. Only where
the product is the scale to the bit.
"""

from collections.abc import Callable, Container, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS_WITH_BIAS = frozenset({"Conv", "Gemm", "MatMul"})


def derive_bias_scales(
    graph: onnx.GraphProto,
    constants: Mapping[str, TensorProto],
    fixed_names: Container[str],
    fresh: Callable[[], str],
) -> None:
    """Put products in place of scales in the main graph. `constants` have their bytes; a scale among `fixed_names`
    stays one. Constants that nothing reads any more are not removed."""
    dequantized = {node.output[0]: node for node in graph.node if node.op_type == "DequantizeLinear"}
    products: list[onnx.NodeProto] = []
    for node in graph.node:
        scales = _scales(node, dequantized, constants) if node.op_type in LAYERS_WITH_BIAS else None
        if scales is not None and scales[2] not in fixed_names:
            products.append(helper.make_node("Mul", scales[:2], [fresh()]))
            dequantized[node.input[2]].input[1] = products[-1].output[0]
    others = list(graph.node)
    del graph.node[:]
    graph.node.extend([*products, *others])


def _scales(
    node: onnx.NodeProto, dequantized: Mapping[str, onnx.NodeProto], constants: Mapping[str, TensorProto]
) -> list[str] | None:
    """Return the names of the scales of input, weight and bias; None where the bias's is not the product, or no longer
    a constant."""
    if len(node.input) != 3 or any(name not in dequantized for name in node.input):
        return None
    names = [dequantized[name].input[1] for name in node.input]
    if any(name not in constants for name in names):
        return None
    data, weight, bias = (numpy_helper.to_array(constants[name]) for name in names)
    alike = data.dtype == weight.dtype == bias.dtype == np.float32 and (data * weight).shape == bias.shape
    return names if alike and (data * weight).tobytes() == bias.tobytes() else None
