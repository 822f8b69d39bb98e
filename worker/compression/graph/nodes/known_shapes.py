"""Tell what is known of a value's shape."""

from collections.abc import Iterable, Iterator

import onnx_ir as ir


def has_static_shape(value: ir.Value) -> bool:
    """Whether all dimensions of the value are known numbers."""
    return value.shape is not None and value.shape.is_static()


def static_dims(value: ir.Value | None) -> list[int] | None:
    """Return the shape where all of it is known, else None."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return list(value.shape.numpy())


def node_outputs(model: ir.Model) -> Iterator[ir.Value]:
    """Yield the outputs of all nodes, subgraphs included."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        yield from (value for value in node.outputs if value.name)


def symbols_of(shape: Iterable[int | ir.SymbolicDim] | None) -> Iterator[str]:
    """Yield the names of dimensions that have one."""
    yield from (dim.value for dim in shape or () if isinstance(dim, ir.SymbolicDim) and dim.value)


def slice_of_shape(node: ir.Node) -> slice:
    """Read `start` and `end` of a Shape (opset 15), which are clamped as Python's are."""
    end = node.attributes.get("end")
    return slice(node.attributes.get_int("start", 0), None if end is None else end.as_int())
