"""Replace ONNX Runtime's own operators by ones that onnx knows and whose results have the same shape and type.

For shape inference alone: onnx leaves everything behind an operator of another domain without a shape.
"""

from typing import Final

import onnx

STANDARD_FORMS: Final = {"FusedConv": "Conv", "FusedGemm": "Gemm"}
"""Their first inputs and attributes are those of the standard operator."""
MICROSOFT_MATMULS: Final = frozenset({"DynamicQuantizeMatMul", "FusedMatMul"})
TRANSPOSED: Final = ("transA", "transB", "transBatchA", "transBatchB")


def put_stand_ins(graph: onnx.GraphProto, added: list[onnx.ValueInfoProto] | None = None) -> None:
    """Replace, in place, what has a stand-in; nodes keep their order, outputs and names."""
    inputs: list[onnx.ValueInfoProto] = [] if added is None else added
    for node in graph.node:
        if node.domain == "com.microsoft":
            _replace(node, inputs)
        for attribute in node.attribute:
            for inside in (attribute.g, *attribute.graphs) if attribute.type in _GRAPHS else ():
                put_stand_ins(inside, inputs)
    if added is None:
        graph.input.extend(inputs)


_GRAPHS: Final = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


def _replace(node: onnx.NodeProto, added: list[onnx.ValueInfoProto]) -> None:
    numbers = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "MatMulNBits":
        weight = f"stand-in {len(added)} of {node.output[0]}"
        shape = [numbers["K"], numbers["N"]]
        added.append(onnx.helper.make_tensor_value_info(weight, onnx.TensorProto.FLOAT, shape))
        _become(node, "MatMul", [node.input[0], weight], [])
    elif node.op_type in MICROSOFT_MATMULS and not any(map(numbers.get, TRANSPOSED)):
        _become(node, "MatMul", list(node.input[:2]), [])
    elif node.op_type in STANDARD_FORMS:
        attributes = [a for a in node.attribute if not a.name.startswith("activation")]
        _become(node, STANDARD_FORMS[node.op_type], list(node.input[:3]), attributes)


def _become(
    node: onnx.NodeProto, operator: str, inputs: list[str], attributes: list[onnx.AttributeProto]
) -> None:
    copies = [onnx.AttributeProto.FromString(attribute.SerializeToString()) for attribute in attributes]
    node.op_type, node.domain = operator, ""
    del node.input[:], node.attribute[:]
    node.input.extend(inputs)
    node.attribute.extend(copies)
