"""Compute one node on constants by ONNX Runtime: what it would give when the model runs, to the bit.

Nodes that differ in nothing but names, values and shapes share a session: to make one takes longer than to run it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from worker.compression.ir.values import has_subgraph
from worker.compression.runtime.session import open_cpu_session

log = logging.getLogger(__name__)

Array = NDArray[Any]

MAX_SHOWN_ELEMENTS: Final = 1024
"""Elements of a constant that onnx sees, to infer the size of a result: shapes, sizes, axes."""

MAX_SESSIONS: Final = 64
"""That are kept to be used again."""

UNKNOWN_BUT_BOUNDED: Final = frozenset({"NonZero", "Unique", "Compress"})
"""Operators whose result has a size that only the data tell, and never much more of it than of the data."""


@dataclass(frozen=True)
class Call:
    """A node with its input arrays; None stands for an optional input that is left out."""

    node: ir.Node
    opset: int
    arrays: Sequence[Array | None]

    def feeds(self) -> dict[str, Array]:
        pairs = zip(self.node.inputs, self.arrays, strict=True)
        return {str(v.name): array for v, array in pairs if v is not None and array is not None}

    @cached_property
    def types(self) -> dict[str, onnx.TypeProto] | None:
        """Of the results that have a name, None if onnx cannot infer all of them."""
        return _result_types(self)


def expected_bytes(call: Call) -> int | None:
    """Infer the bytes of the results without computing them (a lower bound for `NonZero` and the like).

    None where the size cannot be told or a result is no tensor of plain numbers.
    """
    if call.types is None:
        return None
    total = 0
    for value in call.types.values():
        tensor = value.tensor_type
        if ir.DataType(tensor.elem_type) not in PLAIN_DTYPES:
            return None
        dims = tensor.shape.dim
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in dims):
            total += helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize * _product(dims)
        elif call.node.op_type not in UNKNOWN_BUT_BOUNDED:
            return None
    return total


def evaluate(call: Call) -> dict[str, Array] | None:
    """Compute the results by name; None where ONNX Runtime has no kernel for these types or refuses the values."""
    if call.types is None:
        return None
    feeds = {f"i{at}": array for at, array in enumerate(call.arrays) if array is not None}
    try:
        results = _session(_model(call, feeds, call.types)).run(None, feeds)
    except Exception:  # an operator that cannot be computed now is left for when the model runs
        log.debug("%s is not folded", call.node.name, exc_info=True)
        return None
    return dict(zip(call.types, results, strict=True))


def _model(call: Call, feeds: dict[str, Array], types: dict[str, onnx.TypeProto]) -> bytes:
    """A model of the node alone, without its names: `i0`, `i1`, … are its inputs and `o0`, … its outputs."""
    node = ir.serde.serialize_node(call.node)
    for field in ("name", "doc_string", "metadata_props"):
        node.ClearField(field)
    node.input[:] = [f"i{at}" if f"i{at}" in feeds else "" for at in range(len(call.arrays))]
    node.output[:] = [f"o{at}" if value.name else "" for at, value in enumerate(call.node.outputs)]
    graph = helper.make_graph(
        [node],
        "constant",
        [helper.make_value_info(name, _type(array, shape=False)) for name, array in feeds.items()],
        [_result(name, kind) for name, kind in zip(filter(None, node.output), types.values(), strict=True)],
    )
    opset = helper.make_opsetid("", call.opset)
    version = helper.find_min_ir_version_for([opset], ignore_unknown=True)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=version)
    content: bytes = model.SerializeToString()
    return content


@lru_cache(MAX_SESSIONS)
def _session(model: bytes) -> ort.InferenceSession:
    """Without an arena, which would keep the memory of the largest result."""
    return open_cpu_session(model, optimize=False, arena=False)


def accepts(reader: ir.Node, opset: int, results: dict[str, Array]) -> bool:
    """Whether a reader of these results still passes onnx's inference once their shapes are known for sure.

    ONNX Runtime computes a Range from [1]-shaped limits as long as nothing says when loading that they are no scalars.
    """
    types: dict[str, onnx.TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for value in reader.inputs:
        if value is None:
            continue
        name = str(value.name)
        array = results.get(name)
        if array is None and value.const_value is not None and value.const_value.size <= MAX_SHOWN_ELEMENTS:
            data[name] = ir.serde.serialize_tensor(value.const_value)
        if array is not None:
            types[name] = _type(array)
            if array.size <= MAX_SHOWN_ELEMENTS:
                data[name] = numpy_helper.from_array(array, name)
        elif value.type is not None:
            types[name] = ir.serde.serialize_type(value.type)
            if value.shape is not None:
                ir.serde.serialize_shape_into(types[name], value.shape)
    if has_subgraph(reader) or len(types) < len({v for v in reader.inputs if v is not None}):
        return True
    try:
        schema = onnx.defs.get_schema(reader.op_type, opset, reader.domain)
    except onnx.defs.SchemaError:
        return True  # not ONNX's: nothing is known about it
    try:
        shape_inference.infer_node_outputs(schema, ir.serde.serialize_node(reader), types, data)
    except Exception:
        log.debug("%s would not accept a constant", reader.name, exc_info=True)
        return False
    return True


def _result_types(call: Call) -> dict[str, onnx.TypeProto] | None:
    names = [str(value.name) for value in call.node.outputs if value.name]
    feeds = call.feeds()
    try:
        inferred = shape_inference.infer_node_outputs(
            onnx.defs.get_schema(call.node.op_type, call.opset, call.node.domain),
            ir.serde.serialize_node(call.node),
            {name: _type(array) for name, array in feeds.items()},
            {
                name: numpy_helper.from_array(a, name)
                for name, a in feeds.items()
                if a.size <= MAX_SHOWN_ELEMENTS
            },
            opset_imports=[helper.make_opsetid("", call.opset)],
        )
    except Exception:  # onnx raises RuntimeError, ValueError and its own kinds for what does not fit
        log.debug("the results of %s cannot be told", call.node.name, exc_info=True)
        return None
    known = {
        name: inferred[name] for name in names if name in inferred and inferred[name].HasField("tensor_type")
    }
    return known if len(known) == len(names) else None


def _type(array: Array, *, shape: bool = True) -> onnx.TypeProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_type_proto(kind, array.shape if shape else None)


def _result(name: str, kind: onnx.TypeProto) -> onnx.ValueInfoProto:
    return helper.make_value_info(name, helper.make_tensor_type_proto(kind.tensor_type.elem_type, None))


def _product(dims: Sequence[onnx.TensorShapeProto.Dimension]) -> int:
    return int(np.prod([dim.dim_value for dim in dims], dtype=np.float64)) if dims else 1


PLAIN_DTYPES: Final = frozenset(
    ir.DataType[name]
    for name in (
        "FLOAT16", "FLOAT", "DOUBLE", "BOOL",
        "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64",
    )
)  # fmt: skip
"""What numpy and ONNX Runtime hand each other without a detour."""
