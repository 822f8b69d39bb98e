"""What rules on single nodes read of them: small constants, shapes that follow from the inputs, axes."""

from typing import Final

import onnx_ir as ir

from worker.compression.graph.normal_form.tracing import Traced
from worker.compression.ir.arrays import Array
from worker.compression.ir.values import array_of, input_at, is_constant

MAX_READ: Final = 4096
"""Numbers of a constant that are looked at."""


def small_constant(value: ir.Value | None) -> Array | None:
    """Read a constant of a few numbers; None for all else."""
    if value is None or not is_constant(value) or value.const_value is None:
        return None
    return array_of(value) if value.const_value.size <= MAX_READ else None


def numbers_at(node: ir.Node, index: int) -> Array | None:
    """Read an input that is such a constant, as [n]."""
    array = small_constant(input_at(node, index))
    return None if array is None else array.reshape(-1)


def int_of(node: ir.Node, name: str, default: int) -> int:
    """Read an attribute; the default also where it is no integer, which the checker refuses later."""
    attribute = node.attributes.get(name)
    return (
        int(attribute.value) if attribute is not None and attribute.type == ir.AttributeType.INT else default
    )


def ints_of(node: ir.Node, name: str) -> list[int]:
    """Read an attribute of several integers; none where there is no such one."""
    attribute = node.attributes.get(name)
    return list(attribute.value) if attribute is not None and attribute.type == ir.AttributeType.INTS else []


def transposed_twice(first: ir.Node, second: ir.Node) -> list[int] | None:
    """Return the axes in the order in which two Transposes in a row leave them; None where they do not say it."""
    inner, outer = (ints_of(node, "perm") for node in (first, second))
    if not inner or sorted(outer) != list(range(len(inner))):
        return None
    return [inner[axis] for axis in outer]


def axes_of(node: ir.Node) -> list[int] | None:
    """Read the axes of a Squeeze or Unsqueeze, an attribute until opset 12, ascending; None where they are unknown or
    count from the end."""
    axes = ints_of(node, "axes") if len(node.inputs) < 2 else numbers_at(node, 1)
    if axes is None or not len(axes) or min(axes) < 0:
        return None
    return sorted(map(int, axes))


def traced_dims(value: ir.Value | None, traced: Traced) -> list[int | str | None] | None:
    """Return sizes, and the names of those that vary, as far as they follow from the model's inputs."""
    if value is None:
        return None
    if is_constant(value) and value.const_value is not None:
        return [int(dim) for dim in value.const_value.shape.numpy()]
    shape = traced.get(value)
    return None if shape is None else [dim if isinstance(dim, int) else dim.value for dim in shape]


def producer_of(value: ir.Value | None, operator: str) -> ir.Node | None:
    """Return the node that makes a value, where it is one of this operator of ONNX's own."""
    source = None if value is None else value.producer()
    return source if source is not None and (source.domain, source.op_type) == ("", operator) else None
