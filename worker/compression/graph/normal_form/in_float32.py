"""Turn a model whose layers are in float16, bfloat16 or float64, or only stored so, into float32 for the steps.

    Conv(x: float16, w: float16)              ─►  Conv(x: float32, w: float32)
    Conv(x: float32, Cast(w: float16))        ─►  Conv(x: float32, w: float32)

Every float16, bfloat16 and float32 is a float32, so the first is exact but for what the arithmetic rounded away. What
was in which type is kept in `FloatTypes`; `float_types` gives it back after the last step.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.graph.nodes.weights import WEIGHT_INPUTS, dtype_name, layers
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.ir.mapped_tensors import MappedTensors
from worker.compression.ir.values import OTHER_FLOATS

FLOAT: Final = ir.DataType.FLOAT
SAYS_TYPE: Final = frozenset({"to", "dtype", "output_datatype", "output_dtype", "stash_type"})
"""Attributes whose number is a type."""


@dataclass(frozen=True)
class FloatTypes:
    """Of the upload. `computed`: what its layers compute in, None for float32; `stored`: what its weights are in.

    `inputs`, `outputs`: types by name, where they are floats but not float32; `wide_nodes`, `wide_weights`: the names
    of what was float32.
    """

    computed: ir.DataType | None
    stored: ir.DataType | None
    inputs: dict[str, ir.DataType]
    outputs: dict[str, ir.DataType]
    wide_nodes: frozenset[str]
    wide_weights: frozenset[str]


ALL_FLOAT32: Final = FloatTypes(None, None, {}, {}, frozenset(), frozenset())


def in_float32(model: ir.Model, scratch: Path) -> tuple[ir.Model, FloatTypes]:
    """Return the model, in normal form, in float32; itself where every layer is that already. Large weights go to
    `scratch`.

    Raises `Refusal` `step_failed` for a float64 constant that float32 cannot hold.
    """
    computed, stored = _computed(model), _stored(model)
    if computed is None and stored is None:
        return model, ALL_FLOAT32
    types, model = _types(model, computed, stored), model.clone()
    scratch.mkdir(parents=True, exist_ok=True)
    mapped = MappedTensors(scratch / f"{len(list(scratch.iterdir()))}.data")
    if computed is not None:
        _all_to_float32(model, mapped)
    _undo_casts(model, mapped)
    _skip_casts(model)
    return normalise(model), types


def _all_to_float32(model: ir.Model, mapped: MappedTensors) -> None:
    for graph in model.graphs():
        for value in [*graph.inputs, *graph.outputs, *graph.initializers.values()]:
            _to_float32(value, mapped if graph is model.graph else None)
    for node in ir.traversal.RecursiveGraphIterator(model.graph):
        for value in node.outputs:
            _to_float32(value, None)
        _attributes_to_float32(node)
        _cast_like_to_cast(node)


def _computed(model: ir.Model) -> ir.DataType | None:
    """Find the type of the first layer's result that is no float32 float, where its weight is of that type too."""
    for node, weights in layers(model):
        weight = weights[0].value
        dtypes = {value.dtype for value in (*node.inputs, *node.outputs) if value is not None}
        if weight.dtype in OTHER_FLOATS & dtypes and any(
            value.dtype == weight.dtype for value in node.outputs
        ):
            return weight.dtype
    return None


def _stored(model: ir.Model) -> ir.DataType | None:
    dtypes = [
        w.value.dtype for node, weights in layers(model) for w in weights if node.op_type in WEIGHT_INPUTS
    ]
    return next((dtype for dtype in dtypes if dtype in OTHER_FLOATS), None)


def _types(model: ir.Model, computed: ir.DataType | None, stored: ir.DataType | None) -> FloatTypes:
    graph = model.graph
    return FloatTypes(
        computed,
        stored,
        {str(v.name): v.dtype for v in graph.inputs if v.dtype in OTHER_FLOATS},
        {str(v.name): v.dtype for v in graph.outputs if v.dtype in OTHER_FLOATS},
        frozenset(str(n.name) for n in graph if any(v.dtype == FLOAT for v in n.outputs)),
        frozenset(str(v.name) for g in model.graphs() for v in g.initializers.values() if v.dtype == FLOAT),
    )


def _to_float32(value: ir.Value, mapped: MappedTensors | None) -> None:
    """Make the value float32, its constant too; also inside sequences and optionals."""
    if value.const_value is not None and value.const_value.dtype in OTHER_FLOATS:
        value.const_value = _widened(value.const_value, mapped)
    if value.type is not None:
        value.type = _float32_type(value.type)


def _float32_type(kind: ir.TypeProtocol) -> ir.TypeProtocol:
    match kind:
        case ir.TensorType() if kind.dtype in OTHER_FLOATS:
            return ir.TensorType(FLOAT)
        case ir.SequenceType():
            return ir.SequenceType(_float32_type(kind.elem_type))
        case ir.OptionalType():
            return ir.OptionalType(_float32_type(kind.elem_type))
    return kind


def _attributes_to_float32(node: ir.Node) -> None:
    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype in OTHER_FLOATS:
            node.attributes[name] = ir.AttrTensor(name, _widened(attribute.value, None))
        elif name in SAYS_TYPE and attribute.type == ir.AttributeType.INT and attribute.value in OTHER_FLOATS:
            node.attributes[name] = ir.AttrInt64(name, FLOAT.value)


def _cast_like_to_cast(node: ir.Node) -> None:
    """Turn a CastLike into a Cast: it would keep a weight that it only reads the type of."""
    like = node.inputs[1] if node.op_type == "CastLike" and node.domain == "" else None
    if like is not None and like.dtype is not None:
        node.op_type, node.attributes["to"] = "Cast", ir.AttrInt64("to", like.dtype.value)
        node.replace_input_with(1, None)
        node.resize_inputs(1)


def _widened(tensor: ir.TensorProtocol, mapped: MappedTensors | None) -> ir.TensorProtocol:
    array = tensor.numpy()
    with np.errstate(over="ignore", under="ignore"):
        wide = np.asarray(array.astype(np.float32))
    if array.dtype == np.float64 and _is_lost(array, wide):
        raise Refusal(
            "step_failed",
            f"The model computes in float64 and its constant {tensor.name!r} is infinity or zero in float32, in which "
            "steps work. Export the model in float32.",
        )
    return ir.tensor(wide, name=tensor.name) if mapped is None else mapped.append(str(tensor.name), wide)


def _is_lost(array: np.ndarray, wide: np.ndarray) -> bool:
    return bool((np.isfinite(array) & ~np.isfinite(wide)).any() or ((array != 0) & (wide == 0)).any())


def _undo_casts(model: ir.Model, mapped: MappedTensors) -> None:
    """Make a weight that is stored in another type and cast to float32 a float32 weight."""
    for node in list(_casts(model)):
        value = node.inputs[0]
        if value is None or value.const_value is None or value.const_value.dtype not in OTHER_FLOATS:
            continue
        readers = [use.node for use in value.uses()]
        casts = [reader for reader in readers if _can_be_skipped(reader)]
        if not casts or value.is_graph_output() or any(reader.op_type != "Cast" for reader in readers):
            continue
        graph = value.graph
        assert graph is not None
        _to_float32(value, mapped if graph is model.graph else None)
        for cast in casts:
            cast.outputs[0].replace_all_uses_with(value)


def _skip_casts(model: ir.Model) -> None:
    """Skip each Cast of float32 to float32."""
    for node in list(_casts(model)):
        value, result = node.inputs[0], node.outputs[0]
        if value is not None and value.dtype == FLOAT and _can_be_skipped(node):
            result.replace_all_uses_with(value)


def _casts(model: ir.Model) -> Iterator[ir.Node]:
    nodes = ir.traversal.RecursiveGraphIterator(model.graph)
    return (node for node in nodes if node.op_type == "Cast" and node.domain == "")


def _can_be_skipped(node: ir.Node) -> bool:
    """Whether it is a Cast to float32 that gives no output of a graph."""
    gives_float = node.op_type == "Cast" and node.attributes.get_int("to", 0) == FLOAT.value
    return gives_float and not node.outputs[0].is_graph_output()


def float_types_note(types: FloatTypes) -> str:
    """Say for the report in which types the upload is."""
    assert types.stored is not None
    kind = dtype_name(types.stored)
    if types.computed is None:
        return f"The upload's weights are stored in {kind}; the steps worked with them in float32."
    return f"The upload computes in {dtype_name(types.computed)}; the steps worked with it in float32."
