"""Bias correction: rounding weights shifts the mean of each output channel, and the bias takes the shift up again.

    E[W̃ x] − E[W x] = (W̃ − W) · E[x],    b ← b − (W̃ − W) · E[x]        (Nagel et al. 2019, arXiv:1906.04721)

E[x] is each input channel's mean over the calibration data; of a convolution's padding nothing is known here, so near
the borders the correction is a little too large. Each layer answers for its own rounding only, so all layers are
corrected at once.
"""

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import input_at
from worker.compression.layers.bias import takes_bias
from worker.compression.layers.linear import Linear


def mean_shift(layer: Linear, rounded: Array, mean: Array) -> Array:
    """Compute how much rounding the matrix to `rounded` [groups, out, in] moves each output's mean, float64 [out].

    `mean` [channels] is that of the layer's data.
    """
    rounding = rounded.astype(np.float64) - layer.matrix()
    shift: Array = np.einsum("goi,gi->go", rounding, layer.by_column(mean))
    return shift.reshape(-1)


def correct_bias(edit: GraphEdit, layer: Linear, shift: Array) -> bool:
    """Take `shift` [out] off the bias: of the node, or of the sum behind a MatMul. False where neither has one."""
    place = _bias_input(layer)
    if place is None:
        return False
    node, index = place
    value = input_at(node, index)
    before = 0.0 if value is None or value.const_value is None else value.const_value.numpy()
    corrected = edit.new_constant(f"{layer.name}_bias", (before - shift).astype(np.float32))
    if index >= len(node.inputs):
        node.resize_inputs(index + 1)
    node.replace_input_with(index, corrected)
    return True


def _bias_input(layer: Linear) -> tuple[ir.Node, int] | None:
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
