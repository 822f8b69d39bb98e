"""Bias correction: rounding weights shifts the mean of each output channel, and the bias takes the shift up again.

    E[W̃ x] − E[W x] = (W̃ − W) · E[x],    b ← b − (W̃ − W) · E[x]        (Nagel et al. 2019, arXiv:1906.04721)

E[x] is each input channel's mean over the calibration data; of a convolution's padding nothing is known here, so near
the borders the correction is a little too large. Each layer answers for its own rounding only, so all layers are
corrected at once.
"""

import numpy as np
import onnx_ir as ir

from worker.compression.ir.constants import new_constant
from worker.compression.layers.bias import takes_bias
from worker.compression.layers.linear import Linear
from worker.compression.runtime.observe import Array


def shift(layer: Linear, rounded: Array, mean: Array) -> Array:
    """float64 [out]: how much rounding the matrix [groups, out, in] moves each output's mean. `mean` [channels]."""
    rounding = rounded.astype(np.float64) - layer.matrix()
    moved: Array = np.einsum("goi,gi->go", rounding, layer.by_column(mean))
    return moved.reshape(-1)


def correct(graph: ir.Graph, layer: Linear, moved: Array, name: str) -> bool:
    """Take `moved` [out] off the bias: of the node, or of the sum behind a MatMul. False where there is no place.

    A new bias gets `name`.
    """
    place = _place(layer)
    if place is None:
        return False
    node, index = place
    value = node.inputs[index] if index < len(node.inputs) else None
    before = 0.0 if value is None or value.const_value is None else value.const_value.numpy()
    bias = (before - moved).astype(np.float32)
    corrected = new_constant(graph, name, bias)
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, corrected)
    return True


def _place(layer: Linear) -> tuple[ir.Node, int] | None:
    """The node and the input that is its bias."""
    if layer.node.op_type != "MatMul":
        return (layer.node, 2) if takes_bias(layer) else None
    output = layer.node.outputs[0]
    uses = list(output.uses())
    if len(uses) != 1 or output.is_graph_output() or uses[0].node.op_type != "Add":
        return None
    index = 1 - uses[0].idx
    other = uses[0].node.inputs[index]
    stored = None if other is None else other.const_value
    return (uses[0].node, index) if stored is not None and stored.shape == (layer.shape[1],) else None
