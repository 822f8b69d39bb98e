"""Which inputs and outputs of an operator can be float16, read from the operator's own schema.

An input belongs to a type variable (`T`) or has a fixed type (the scales of Resize are always float32). A node can
compute in float16 when every type variable that is float32 here allows it, and every float32 output shares a
variable with an input: what Cast or ConstantOfShape give is said by an attribute instead.
"""

from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from worker.compression.ir.values import has_subgraph

FLOAT, HALF = "tensor(float)", "tensor(float16)"

FLOAT32_OPERATORS = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Cast", "CastLike"}
)
"""Quantization keeps float32 scales; a Cast says itself what it gives."""


@dataclass(frozen=True)
class Ports:
    """Indices of the inputs and outputs that become float16."""

    inputs: list[int]
    outputs: list[int]


def find_ports(node: ir.Node, opset: int, float32_inputs: Container[str] = ()) -> Ports | None:
    """Find what of a node can be float16; None when it has to stay in float32, or has nothing to do with floats.

    `float32_inputs`: names of inputs that stay float32 where the operator allows it beside float16, as statistics of a
    BatchNormalization.
    """
    if node.domain not in ("", "ai.onnx") or node.op_type in FLOAT32_OPERATORS or has_subgraph(node):
        return None
    if any(not is_tensor(value) for value in (*node.inputs, *node.outputs) if value is not None):
        return None
    try:
        schema = onnx.defs.get_schema(node.op_type, opset)
    except onnx.defs.SchemaError:
        return None
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    inputs = list(_bound(node.inputs, schema.inputs))
    outputs = list(_bound(node.outputs, schema.outputs))
    chosen = {kind for _, value, kind in inputs if value.dtype == ir.DataType.FLOAT and kind in allowed}
    produced = {kind for _, value, kind in outputs if value.dtype == ir.DataType.FLOAT}
    chosen -= {kind for _, value, kind in inputs if kind not in produced and value.name in float32_inputs}
    unknown = any(
        value.dtype is None and any("(float)" in name for name in allowed.get(kind, {kind}))
        for _, value, kind in [*inputs, *outputs]
    )
    if not chosen or unknown or not produced <= chosen or not all(HALF in allowed[kind] for kind in chosen):
        return None
    return Ports(
        [i for i, value, kind in inputs if kind in chosen and value.dtype == ir.DataType.FLOAT],
        [i for i, value, kind in outputs if kind in chosen and value.dtype == ir.DataType.FLOAT],
    )


def _bound(
    values: Sequence[ir.Value | None], formal: "list[onnx.defs.OpSchema.FormalParameter]"
) -> Iterator[tuple[int, ir.Value, str]]:
    """List (index, value, type variable or fixed type) of what is not left out; the last formal may be variadic."""
    for index, value in enumerate(values):
        if value is not None and value.name and formal:
            yield index, value, formal[min(index, len(formal) - 1)].type_str


def is_tensor(value: ir.Value) -> bool:
    """Whether it is a tensor, or of no type that is known; sequences and optionals have one."""
    return value.type is None or isinstance(value.type, ir.TensorType)
