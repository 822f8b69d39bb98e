"""Find which version of an operator a model uses, and where a newer version means the same.

Most new versions of the operators that every graph has (Reshape, Cast, Transpose, If, …) only allow more types, or add
attributes whose default is what was before. A node that uses neither means the same in both. Read side by side in the
documents of onnx 1.23, from version 13 on: there axes had become inputs, and scales could be per channel.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import onnx
import onnx_ir as ir

SAME_BUT_FOR_TYPES: Final = frozenset(
    {
        "Cast",
        "ConstantOfShape",
        "DequantizeLinear",
        "Flatten",
        "Identity",
        "If",
        "Loop",
        "Pad",
        "QuantizeLinear",
        "Reshape",
        "Shape",
        "Size",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
WRAP_SINCE: Final = 19
"""A mode of Pad that came without an attribute or a type of its own."""

FIRST_READ_OPSET: Final = 13
LAST_READ_OPSET: Final = 25
"""The opsets whose documents were read."""


@cache
def version_of(operator: str, opset: int) -> int | None:
    """The version of ONNX's operator that an opset means, None where it has none."""
    try:
        return int(onnx.defs.get_schema(operator, opset, "").since_version)
    except onnx.defs.SchemaError:
        return None


@cache
def first_opset_with(operator: str, minimum: int) -> int | None:
    """The first opset that brings the operator in version `minimum` or later, None where none does yet."""
    versions = (
        s.since_version
        for s in onnx.defs.get_all_schemas_with_history()
        if s.name == operator and not s.domain
    )
    return min((version for version in versions if version >= minimum), default=None)


def means_the_same(node: ir.Node, current: int, other: int) -> bool:
    """Whether a node of ONNX's domain computes the same when its opset `current` is called `other`, a lower one."""
    if node.domain != "":
        return True
    now, then = version_of(node.op_type, current), version_of(node.op_type, other)
    if now is None or then is None:
        return False
    if now == then:
        return True
    were_read = other >= FIRST_READ_OPSET and current <= LAST_READ_OPSET
    return node.op_type in SAME_BUT_FOR_TYPES and were_read and _fits(node, other)


def fits(node: ir.Node, current: int, other: int) -> bool:
    """Whether a node of ONNX's domain is also one of opset `other`, a lower one: what it means there, only running it
    tells."""
    now, then = version_of(node.op_type, current), version_of(node.op_type, other)
    return now is not None and then is not None and (now == then or _fits(node, other))


def _fits(node: ir.Node, opset: int) -> bool:
    """Whether attributes, number of values and types of the node are among those of the operator at this opset."""
    schema = onnx.defs.get_schema(node.op_type, opset, "")
    if not set(node.attributes) <= set(schema.attributes):
        return False
    if node.op_type == "Pad" and opset < WRAP_SINCE and node.attributes.get_string("mode", "") == "wrap":
        return False
    if len(node.inputs) > schema.max_input or len(node.outputs) > schema.max_output:
        return False
    allowed = {c.type_param_str: set(c.allowed_type_strs) for c in schema.type_constraints}
    bound: dict[str, str] = {}
    for value, formal in [*_bound(node.inputs, schema.inputs), *_bound(node.outputs, schema.outputs)]:
        kind = _type_string(value)
        if kind is None or kind not in allowed.get(formal.type_str, {formal.type_str}):
            return False
        # one type variable stands for one type, unless the parameter says that it need not
        if formal.is_homogeneous and bound.setdefault(formal.type_str, kind) != kind:
            return False
    return True


def _bound(values: Iterable[ir.Value | None], formal: Any) -> list[tuple[ir.Value, Any]]:
    """Each value with its formal parameter; the last of them may be variadic."""
    pairs = ((value, formal[min(index, len(formal) - 1)]) for index, value in enumerate(values))
    return [(value, parameter) for value, parameter in pairs if value is not None and value.name]


def _type_string(value: ir.Value) -> str | None:
    """As schemas write it: `tensor(float)`. None where it is unknown or no tensor."""
    if not isinstance(value.type, ir.TensorType):
        return None
    return f"tensor({value.type.dtype.name.lower()})"
