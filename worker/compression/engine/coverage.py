"""Tell which nodes the engine can run, before any work is done."""

import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.engine.operator import Attributes, Function, Operator, Unsupported
from worker.compression.engine.operators import TABLE


def operator_of(node: ir.Node) -> Operator:
    """Look the operator up. Raises `Refusal` `unsupported_operator` naming operator and node."""
    operator = TABLE.get((node.domain if node.domain != "ai.onnx" else "", node.op_type))
    if operator is None:
        raise _refused(node, "the engine has no torch function for it")
    return operator


def function_of(node: ir.Node, opset: int) -> Function:
    """Make the node a torch function. Raises `Refusal` `unsupported_operator`."""
    try:
        return operator_of(node).build(Attributes(node, opset))
    except Unsupported as error:
        raise _refused(node, str(error)) from error


def _refused(node: ir.Node, why: str) -> Refusal:
    domain = f"{node.domain}." if node.domain else ""
    return Refusal(
        "unsupported_operator",
        f"{domain}{node.op_type} of node {node.name!r} cannot be trained: {why}. Leave the training steps out, or "
        "export the model without this operator.",
        layer=node.name,
    )
