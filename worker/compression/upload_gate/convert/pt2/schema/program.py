"""An exported program: its graph, what its inputs and outputs are, the ranges of its sizes; and its weights."""

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field

from worker.compression.upload_gate.convert.pt2.schema.data import (
    UNSET,
    Data,
    DroppedList,
    DroppedTable,
    Int,
    List,
    OneOf,
    Table,
    Text,
)
from worker.compression.upload_gate.convert.pt2.schema.graph import Argument, Graph, TensorArgument
from worker.compression.upload_gate.convert.pt2.schema.names import Name, ParameterName, SymbolName
from worker.compression.upload_gate.convert.pt2.schema.tensors import Float, TensorMeta
from worker.compression.upload_gate.convert.pt2.schema.tree_spec import TreeSpec

SCHEMAS: Final = {(8, 15): "2.10", (8, 17): "2.11", (8, 20): "2.12 and 2.13"}
"""Version of the schema (major, minor) → the torch that writes it."""


class UserInputSpec(Data):
    arg: Argument


class ConstantValue(OneOf):
    as_none: bool = UNSET
    as_int: Int = UNSET
    as_float: Float = UNSET
    as_string: Text = UNSET
    as_bool: bool = UNSET


class InputToConstantInputSpec(Data):
    name: Name
    value: ConstantValue


class InputToParameterSpec(Data):
    arg: TensorArgument
    parameter_name: ParameterName


class InputToBufferSpec(Data):
    arg: TensorArgument
    buffer_name: ParameterName
    persistent: bool


class InputToTensorConstantSpec(Data):
    arg: TensorArgument
    tensor_constant_name: ParameterName


class InputSpec(OneOf):
    user_input: UserInputSpec = UNSET
    parameter: InputToParameterSpec = UNSET
    buffer: InputToBufferSpec = UNSET
    tensor_constant: InputToTensorConstantSpec = UNSET
    constant_input: InputToConstantInputSpec = UNSET


class LossOutputSpec(Data):
    arg: TensorArgument


class BufferMutationSpec(Data):
    arg: TensorArgument
    buffer_name: ParameterName


class UserInputMutationSpec(Data):
    arg: TensorArgument
    user_input_name: Name


class OutputSpec(OneOf):
    """Not among them are gradients: a program that trains is no model to run."""

    user_output: UserInputSpec = UNSET
    loss_output: LossOutputSpec = UNSET
    buffer_mutation: BufferMutationSpec = UNSET
    user_input_mutation: UserInputMutationSpec = UNSET
    parameter_mutation: InputToParameterSpec = UNSET


class GraphSignature(Data):
    input_specs: List[InputSpec]
    output_specs: List[OutputSpec]


class RangeConstraint(Data):
    min_val: Int | None
    max_val: Int | None


class ModuleCallSignature(Data):
    inputs: List[Argument]
    outputs: List[Argument]
    in_spec: TreeSpec
    out_spec: TreeSpec
    forward_arg_names: Annotated[list[Name] | None, Field(max_length=10_000)] = None


class ModuleCallEntry(Data):
    fqn: Text
    signature: ModuleCallSignature | None = None


def _whole_only(entries: list[ModuleCallEntry]) -> list[ModuleCallEntry]:
    """The call of the whole model. Calls of its parts serve to take it apart again, which nobody does here."""
    whole = [entry for entry in entries if entry.fqn == ""]
    if len(whole) != 1 or whole[0].signature is None:
        raise ValueError("the signature of the whole model should stand here once")
    return whole


class GraphModule(Data):
    graph: Graph
    signature: GraphSignature
    module_call_graph: Annotated[List[ModuleCallEntry], AfterValidator(_whole_only)]
    metadata: DroppedTable = Field(default_factory=dict)
    treespec_namedtuple_fields: DroppedTable = Field(default_factory=dict)


class SchemaVersion(Data):
    major: Int
    minor: Int


class ExportedProgram(Data):
    graph_module: GraphModule
    opset_version: DroppedTable
    range_constraints: Table[SymbolName, RangeConstraint]
    schema_version: SchemaVersion
    verifiers: List[Literal["TRAINING", "ATEN", ""]] = Field(default_factory=list)
    torch_version: Annotated[str, AfterValidator(lambda _: "rebuilt")] = "rebuilt"
    guards_code: DroppedList = Field(default_factory=list)


class PayloadMeta(Data):
    """A weight or constant: which member holds its storage, and how it lies in there. `use_pickle` is refused."""

    path_name: Annotated[str, Field(pattern=r"^(weight|tensor)_[0-9]{1,6}$")]
    is_param: bool
    use_pickle: Literal[False]
    tensor_meta: TensorMeta


class PayloadConfig(Data):
    config: Table[ParameterName, PayloadMeta]


def schema_version(document: Any) -> tuple[Any, Any]:
    """Return (major, minor) of a document that is not checked yet; None for what is not there."""
    version = document.get("schema_version") if isinstance(document, dict) else None
    return (version.get("major"), version.get("minor")) if isinstance(version, dict) else (None, None)
