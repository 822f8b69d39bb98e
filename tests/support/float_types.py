"""The same network as exporters write it in other floats: computed in them, or only stored."""

from typing import Final, Literal

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from worker.compression.ir.protobuf_walk import messages

Form = Literal["float16", "float64", "bfloat16", "float16 behind Cast", "bfloat16 behind Cast"]
FORMS: Final[tuple[Form, ...]] = (
    "float16",
    "float64",
    "bfloat16",
    "float16 behind Cast",
    "bfloat16 behind Cast",
)
TYPES: Final = {
    "float16": (TensorProto.FLOAT16, np.dtype(np.float16)),
    "float64": (TensorProto.DOUBLE, np.dtype(np.float64)),
    "bfloat16": (TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16)),
}


def written_in(model: onnx.ModelProto, form: Form) -> onnx.ModelProto:
    """A copy of a float32 model; with "behind Cast" a Cast stands in front of every use of a weight."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    del made.graph.value_info[:]
    kind, dtype = TYPES[form.split()[0]]
    behind = "Cast" in form
    if behind:
        _store(made.graph, kind, dtype)
    else:
        _turn(made.graph, kind, dtype)
    return made


def _store(graph: onnx.GraphProto, kind: int, dtype: np.dtype) -> None:  # type: ignore[type-arg]
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            name = tensor.name
            tensor.CopyFrom(_tensor(tensor, kind, dtype, f"{name}_stored"))
            graph.node.insert(0, helper.make_node("Cast", [tensor.name], [name], f"{name}_cast", to=1))


def _turn(graph: onnx.GraphProto, kind: int, dtype: np.dtype) -> None:  # type: ignore[type-arg]
    """All of it, subgraphs and the types that attributes say too."""
    for tensor in messages(graph, onnx.TensorProto):
        if tensor.data_type == TensorProto.FLOAT:
            tensor.CopyFrom(_tensor(tensor, kind, dtype, tensor.name))
    for declared in messages(graph, onnx.TypeProto.Tensor):
        if declared.elem_type == TensorProto.FLOAT:
            declared.elem_type = kind
    for attribute in messages(graph, onnx.AttributeProto):
        if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT:
            attribute.i = kind


def _tensor(tensor: onnx.TensorProto, kind: int, dtype: np.dtype, name: str) -> onnx.TensorProto:  # type: ignore[type-arg]
    array = numpy_helper.to_array(tensor).astype(dtype)
    return helper.make_tensor(name, kind, array.shape, array.tobytes(), raw=True)
