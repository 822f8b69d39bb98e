"""Find how many entries the tables have that a model looks its inputs up in: the size of its vocabulary."""

import onnx_ir as ir

MAX_STEPS = 8
"""From an input to its table, through what changes no number."""
PASSING = frozenset({"Cast", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Flatten"})


def table_entries(model: ir.Model) -> dict[str, int]:
    """Return the number of entries by input, the smallest where there are several tables."""
    entries = {str(value.name): _smallest(value, MAX_STEPS) for value in model.graph.inputs}
    return {name: size for name, size in entries.items() if size is not None}


def _smallest(value: ir.Value, steps: int) -> int | None:
    sizes = []
    for node, index in value.uses():
        if node.op_type == "Gather" and index == 1:
            sizes.append(_rows(node))
        elif node.op_type in PASSING and index == 0 and steps:
            sizes.append(_smallest(node.outputs[0], steps - 1))
    return min((size for size in sizes if size is not None), default=None)


def _rows(node: ir.Node) -> int | None:
    """Return the entries of a table of constants."""
    table, axis = node.inputs[0], node.attributes.get("axis")
    if table is None or table.const_value is None or (axis is not None and axis.as_int() != 0):
        return None
    shape = table.const_value.shape.numpy()
    return int(shape[0]) if shape else None
