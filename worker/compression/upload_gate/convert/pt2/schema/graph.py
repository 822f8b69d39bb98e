"""Arguments, nodes and graphs, as in torch/_export/serde/schema.py of schema 8.15 to 8.20 (torch 2.10 to 2.13).

Kinds that are not here are refused by name: custom objects, tokens, compiled kernels.
"""

from typing import Annotated, Any

from pydantic import Field

from worker.compression.upload_gate.convert.pt2.schema.data import (
    UNSET,
    Data,
    DroppedTable,
    Int,
    List,
    OneOf,
    Table,
    Text,
)
from worker.compression.upload_gate.convert.pt2.schema.names import Name
from worker.compression.upload_gate.convert.pt2.schema.operators import Operator
from worker.compression.upload_gate.convert.pt2.schema.tensors import (
    Device,
    Float,
    Layout,
    MemoryFormat,
    ScalarType,
    SymBool,
    SymFloat,
    SymInt,
    TensorMeta,
)


class TensorArgument(Data):
    name: Name


class SymIntArgument(OneOf):
    as_name: Name = UNSET
    as_int: Int = UNSET


class SymFloatArgument(OneOf):
    as_name: Name = UNSET
    as_float: Float = UNSET


class SymBoolArgument(OneOf):
    as_name: Name = UNSET
    as_bool: bool = UNSET


class OptionalTensorArgument(OneOf):
    as_tensor: TensorArgument = UNSET
    as_none: bool = UNSET


class GraphArgument(Data):
    """A branch of a condition, the body of a loop."""

    name: Name
    graph: "Graph"


class ComplexValue(Data):
    real: Float
    imag: Float


class Argument(OneOf):
    as_none: bool = UNSET
    as_tensor: TensorArgument = UNSET
    as_tensors: List[TensorArgument] = UNSET
    as_int: Int = UNSET
    as_ints: List[Int] = UNSET
    as_float: Float = UNSET
    as_floats: List[Float] = UNSET
    as_string: Text = UNSET
    as_strings: List[Text] = UNSET
    as_sym_int: SymIntArgument = UNSET
    as_sym_ints: List[SymIntArgument] = UNSET
    as_scalar_type: ScalarType = UNSET
    as_memory_format: MemoryFormat = UNSET
    as_layout: Layout = UNSET
    as_device: Device = UNSET
    as_bool: bool = UNSET
    as_bools: List[bool] = UNSET
    as_sym_bool: SymBoolArgument = UNSET
    as_sym_bools: List[SymBoolArgument] = UNSET
    as_graph: GraphArgument = UNSET
    as_optional_tensors: List[OptionalTensorArgument] = UNSET
    as_operator: Operator = UNSET
    as_sym_float: SymFloatArgument = UNSET
    as_sym_floats: List[SymFloatArgument] = UNSET
    as_optional_tensor: OptionalTensorArgument = UNSET
    as_complex: ComplexValue = UNSET
    as_nested_tensors: List[List[TensorArgument]] = UNSET
    as_int_lists: List[List[Int]] = UNSET
    as_string_to_argument: "Table[Name, Argument]" = UNSET
    as_float_lists: List[List[Float]] = UNSET


class NamedArgument(Data):
    """`name` is empty where an operator has no schema; `kind` 1 is positional, 2 by keyword."""

    name: Name | Annotated[str, Field(max_length=0)]
    arg: Argument
    kind: Annotated[int, Field(ge=0, le=2)] | None = None


class Node(Data):
    target: Operator
    inputs: List[NamedArgument]
    outputs: List[Argument]
    metadata: DroppedTable
    is_hop_single_tensor_return: bool | None = None
    name: Name | None = None


class Graph(Data):
    inputs: List[Argument]
    outputs: List[Argument]
    nodes: List[Node]
    tensor_values: Table[Name, TensorMeta]
    sym_int_values: Table[Name, SymInt]
    sym_bool_values: Table[Name, SymBool]
    is_single_tensor_return: bool = False
    custom_obj_values: Annotated[dict[str, Any], Field(max_length=0)] = Field(default_factory=dict)
    sym_float_values: Table[Name, SymFloat] = Field(default_factory=dict)
