"""Write a product and the bias behind it as a Gemm, which is both.

Add(MatMul(x, W), b)  →  Gemm(x, W, b)          x [n, k], W [k, m] and b [m] or [1, m] constants
"""

import onnx_ir as ir

from worker.compression.ir.edit import put_in_place
from worker.compression.ir.values import all_nodes, input_at, is_constant, is_read_once, tensor_of
from worker.compression.layers.channel_affine import FLOATS


def write_gemms(model: ir.Model) -> int:
    """Write them in place, subgraphs included; the node keeps the product's name. Returns how many."""
    nodes = list(all_nodes(model))
    sums = [(node, bias) for node in nodes if (bias := _bias_behind_product(node)) is not None]
    for node, bias in sums:
        product = next(value for value in node.inputs if value is not bias).producer()  # type: ignore[union-attr]
        assert product is not None
        _write(product, node, bias)
    return len(sums)


def _write(product: ir.Node, node: ir.Node, bias: ir.Value) -> None:
    product.op_type = "Gemm"
    product.resize_inputs(3)
    product.replace_input_with(2, bias)
    put_in_place(node, [], [(node.outputs[0], product.outputs[0])])


def _bias_behind_product(node: ir.Node) -> ir.Value | None:
    if (node.domain, node.op_type) != ("", "Add"):
        return None
    for at in (0, 1):
        value, bias = input_at(node, at), input_at(node, 1 - at)
        product = None if value is None else value.producer()
        if value is None or product is None or (product.domain, product.op_type) != ("", "MatMul"):
            continue
        alone = is_read_once(value) and product.graph is node.graph
        if alone and _is_matrix_product(product) and _is_row(bias, product):
            return bias
    return None


def _is_matrix_product(product: ir.Node) -> bool:
    x, weight = product.inputs
    if x is None or x.shape is None or len(x.shape) != 2 or weight is None or not is_constant(weight):
        return False
    return weight.dtype in FLOATS and len(tensor_of(weight).shape) == 2


def _is_row(bias: ir.Value | None, product: ir.Node) -> bool:
    if not is_constant(bias):
        return False
    shape = [int(dim) for dim in tensor_of(bias).shape.numpy()]
    columns = int(tensor_of(product.inputs[1]).shape.numpy()[1])
    return shape in ([columns], [1, columns])
