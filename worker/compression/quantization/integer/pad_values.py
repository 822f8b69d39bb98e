"""What a Pad puts beside the values it moves."""

import onnx_ir as ir


def pads_zeros(node: ir.Node) -> bool:
    """Whether it is a Pad with a constant, and that is 0."""
    if not _pads_a_constant(node):
        return False
    value = node.inputs[2] if len(node.inputs) > 2 else None
    return value is None or (value.const_value is not None and not value.const_value.numpy().any())


def adds_values(node: ir.Node) -> bool:
    """Whether it is a Pad with a constant that is not 0, or not known here: no scale of other values need reach it."""
    return _pads_a_constant(node) and not pads_zeros(node)


def _pads_a_constant(node: ir.Node) -> bool:
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    return node.op_type == "Pad" and mode == "constant"
