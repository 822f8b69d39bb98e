"""Find the lowest IR version (of the file format, beside that of its operators) that can hold a model."""

from typing import Final

import onnx_ir as ir
from onnx import helper

INITIALIZERS_ALONE: Final = 4
"""The first IR version in which an initializer need not be a graph input too."""


def version_for_opset(opset: int) -> int:
    """Return the IR version that came with an opset."""
    return int(helper.find_min_ir_version_for([helper.make_opsetid("", opset)], ignore_unknown=True))


def version_for_content(model: ir.Model) -> int:
    """Find the first IR version that knows the types, functions and records in the model."""
    needed = INITIALIZERS_ALONE
    if model.functions:
        needed = max(needed, 8 if all(f.overload == "" for f in model.functions.values()) else 10)
    for graph in model.graphs():
        values = [*graph.inputs, *graph.initializers.values(), *(v for n in graph for v in n.outputs)]
        needed = max(needed, 10 if graph.metadata_props else 0, *(_needed_by_value(v) for v in values), 0)
        for node in graph:
            tensors = [a.as_tensor() for a in node.attributes.values() if a.type == ir.AttributeType.TENSOR]
            needed = max(
                needed, 10 if node.metadata_props else 0, *(_needed_by_type(t.dtype) for t in tensors), 0
            )
    return needed


def _needed_by_value(value: ir.Value) -> int:
    if isinstance(value.type, (ir.SequenceType, ir.OptionalType)):
        return 8
    return max(10 if value.metadata_props else 0, _needed_by_type(value.dtype))


def _needed_by_type(dtype: ir.DataType | None) -> int:
    """Anything beyond the numbers of IR 4 came with a later version, the newest of which is asked to be safe."""
    if dtype is None or dtype in OF_IR_4:
        return 0
    return IR_OF_TYPE.get(dtype.name, NEWEST_IR)


OF_IR_4: Final = frozenset(kind for kind in ir.DataType if kind.value <= ir.DataType.BFLOAT16.value)
IR_OF_TYPE: Final = {
    "FLOAT8E4M3FN": 9, "FLOAT8E4M3FNUZ": 9, "FLOAT8E5M2": 9, "FLOAT8E5M2FNUZ": 9,
    "UINT4": 10, "INT4": 10, "FLOAT4E2M1": 11, "FLOAT8E8M0": 12, "UINT2": 13, "INT2": 13,
}  # fmt: skip
NEWEST_IR: Final = 14
