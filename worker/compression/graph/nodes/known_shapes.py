"""What is known of a value's shape."""

from collections.abc import Iterator

import onnx_ir as ir


def is_known(value: ir.Value) -> bool:
    """Whether all of its shape is."""
    return value.shape is not None and value.shape.is_static()


def numbers(value: ir.Value | None) -> list[int] | None:
    """The shape where all of it is known, else None."""
    if value is None or value.shape is None or not value.shape.is_static():
        return None
    return list(value.shape.numpy())


def results(model: ir.Model) -> Iterator[ir.Value]:
    """What the nodes of the graph and of those inside it answer."""
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        yield from (value for value in node.outputs if value.name)
