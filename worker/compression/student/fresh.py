"""New weights for all layers of a graph, drawn with a seed, in place.

convolutions          normal, variance 2 / fan in            He et al. 2015, arXiv:1502.01852
products, recurrent   uniform, ±√(6 / (fan in + fan out))    Glorot & Bengio 2010
tables                normal, deviation 0.02                 Devlin et al. 2019, arXiv:1810.04805
biases                0;  normalisations: scale 1, bias 0, mean 0, variance 1

Where a graph has no normalisation, as exporters fold it away, the last layer of each of N residual blocks is scaled by
1/√N, so that the stream does not grow with the depth (Radford et al. 2019, GPT-2). Other constants stay: positions that
are added, scalars, tables of numbers.
"""

import math
from collections.abc import Iterator
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.blocks.find import is_too_large, residual_blocks
from worker.compression.graph.nodes.weights import RECURRENT, Weight, layers
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import tensor_of

CONVOLUTIONS: Final = frozenset({"Conv", "ConvTranspose", "FusedConv"})
BIAS_INPUT: Final = {
    **{"Conv": 2, "ConvTranspose": 2, "Gemm": 2, "LSTM": 3, "GRU": 3, "RNN": 3},
    **{"FusedConv": 2, "FusedGemm": 2, "BiasGelu": 1, "FastGelu": 1},  # com.microsoft
}
NORMS: Final[dict[str, tuple[tuple[int, float], ...]]] = {
    "BatchNormalization": ((1, 1.0), (2, 0.0), (3, 0.0), (4, 1.0)),
    "LayerNormalization": ((1, 1.0), (2, 0.0)),
    "InstanceNormalization": ((1, 1.0), (2, 0.0)),
    "GroupNormalization": ((1, 1.0), (2, 0.0)),
    "RMSNormalization": ((1, 1.0),),
    "SimplifiedLayerNormalization": ((1, 1.0),),
    "SkipLayerNormalization": ((2, 1.0), (3, 0.0), (4, 0.0)),
    "SkipSimplifiedLayerNormalization": ((2, 1.0), (3, 0.0)),
}
"""operator → its inputs that are parameters, and what they begin as."""
TABLE_DEVIATION: Final = 0.02


def reinitialise(model: ir.Model, seed: int) -> int:
    """Draw all weights anew, and count them; what several layers read is drawn once."""
    rng = np.random.default_rng(seed)
    scales = _scales(model)
    drawn = set[ir.Value]()
    for node, weights in layers(model):
        for weight in weights:
            if weight.value not in drawn and _is_float(weight.value):
                drawn.add(weight.value)
                _put(weight.value, _drawn(node, weight, rng) * scales.get(str(node.name), 1.0))
    for value, number in _known(model):
        if value not in drawn and _is_float(value):
            _put(value, np.full(tensor_of(value).shape.numpy(), number))
    return len(drawn)


def _drawn(node: ir.Node, weight: Weight, rng: np.random.Generator) -> Array:
    shape = tuple(weight.shape)
    if node.op_type == "Gather":
        return rng.normal(0, TABLE_DEVIATION, shape)
    if node.op_type in CONVOLUTIONS:
        receptive = math.prod(shape[2:])
        groups = node.attributes.get_int("group", 1)
        inputs = shape[0] // groups if node.op_type == "ConvTranspose" else shape[1]
        return rng.normal(0, math.sqrt(2 / (inputs * receptive)), shape)
    fans = shape[-2:] if len(shape) > 1 else (1, shape[0])
    if node.op_type in RECURRENT:  # [directions, gates · hidden, inputs], each gate is a product of its own
        fans = (node.attributes.get_int("hidden_size", fans[0]), fans[1])
    bound = math.sqrt(6 / sum(fans))
    return rng.uniform(-bound, bound, shape)


def _scales(model: ir.Model) -> dict[str, float]:
    """By what the last layer of each block is scaled."""
    if is_too_large(model) or any(_is_norm(node) for node in model.graph):
        return {}
    blocks = residual_blocks(model).blocks
    return {block.layers[-1]: 1 / math.sqrt(len(blocks)) for block in blocks}


def _is_norm(node: ir.Node) -> bool:
    return node.op_type in NORMS or _divides_by_deviation(node)


def _divides_by_deviation(node: ir.Node | None) -> bool:
    """Whether it divides by a square root, as a normalisation that is written out does, or multiplies by the reciprocal
    of one."""
    if node is None or node.op_type not in ("Div", "Mul"):
        return False
    if node.op_type == "Div":
        return _is_made_by(node.inputs[1], "Sqrt")
    reciprocals = (
        value.producer() for value in node.inputs if value is not None and _is_made_by(value, "Reciprocal")
    )
    return any(maker is not None and _is_made_by(maker.inputs[0], "Sqrt") for maker in reciprocals)


def _is_made_by(value: ir.Value | None, operator: str) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type == operator


def _known(model: ir.Model) -> Iterator[tuple[ir.Value, float]]:
    """Yield the constants that begin as one number, with it."""
    made = {node.outputs[0] for node, _ in layers(model)}
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        bias = [(BIAS_INPUT[node.op_type], 0.0)] if node.op_type in BIAS_INPUT else []
        for place, number in [*NORMS.get(node.op_type, ()), *bias]:
            value = node.inputs[place] if place < len(node.inputs) else None
            if value is not None and value.is_initializer():
                yield value, number
        for vector, other in _vectors(node):
            if node.op_type == "Mul" and _divides_by_deviation(other.producer()):
                made.add(node.outputs[0])
                yield vector, 1.0
            elif node.op_type == "Add" and other in made:
                yield vector, 0.0


def _vectors(node: ir.Node) -> Iterator[tuple[ir.Value, ir.Value]]:
    """Yield a constant vector that it adds or multiplies with, and what to."""
    if node.op_type not in ("Add", "Mul"):
        return
    first, second = node.inputs
    for vector, other in ((first, second), (second, first)):
        if vector is not None and other is not None and vector.is_initializer():
            shape = tensor_of(vector).shape.numpy()
            if max(shape, default=1) == math.prod(shape) > 1:
                yield vector, other


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()


def _put(value: ir.Value, array: Array) -> None:
    before = tensor_of(value)
    made = np.asarray(array).astype(before.dtype.numpy())
    value.const_value = ir.tensor(made, dtype=before.dtype, name=value.name)
