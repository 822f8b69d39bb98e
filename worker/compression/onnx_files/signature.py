"""Check inputs and outputs of a model: which types can be worked with, which sizes are open; keep them as uploaded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import onnx
import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.ir.protobuf_walk import messages

KINDS: Final = {
    "sequence_type": "a sequence",
    "map_type": "a map",
    "optional_type": "an optional",
    "sparse_tensor_type": "a sparse tensor",
}
ZIPMAP: Final = ' Export it with plain scores instead, skl2onnx for example with options={"zipmap": False}.'


def check_types(model: onnx.ModelProto) -> None:
    """Refuse inputs that no data can be made for, models without an output to compare, and maps anywhere.

    Raises `Refusal` `unsupported_type` naming the input or output.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in constants and not _is_numeric(value):
            raise Refusal(
                "unsupported_type",
                f"The model's input {value.name!r} is {_kind(value)}, and data can only be given as tensors of "
                "numbers. Export the model without what stands before its first tensor.",
            )
    for value in (*model.graph.output, *model.graph.value_info):
        if _has_map(value.type):
            raise Refusal(
                "unsupported_type",
                f"The model's value {value.name!r} is {_kind(value)}, not a tensor.{ZIPMAP}",
            )
    if not any(_is_numeric(value) for value in model.graph.output):
        kinds = ", ".join(f"{value.name!r} ({_kind(value)})" for value in model.graph.output)
        raise Refusal(
            "unsupported_type",
            f"None of the model's outputs is a tensor of numbers: {kinds}. There is nothing to compare the result by. "
            "Export it with its scores as a tensor.",
        )


def open_dimensions(model: onnx.ModelProto) -> bool:
    """Clear sizes that say nothing: negative ones anywhere, and a batch of 0 at the inputs. Whether there were any.

    ONNX Runtime takes negative sizes for open ones too (Paddle writes them), but nothing but empty arrays for 0.
    """
    dims = [d for d in messages(model, onnx.TensorShapeProto.Dimension) if d.dim_value < 0]
    if empty := [d for d in _batches(model.graph.input) if d.HasField("dim_value") and d.dim_value == 0]:
        behind = _batches((*model.graph.output, *model.graph.value_info))
        dims += [*empty, *(d for d in behind if d.HasField("dim_value") and d.dim_value == 0)]
    for dim in dims:
        dim.ClearField("dim_value")
    return bool(dims)


def has_empty_batch(model: onnx.ModelProto) -> bool:
    """Whether an input is declared with a batch of 0."""
    return any(d.HasField("dim_value") and d.dim_value == 0 for d in _batches(model.graph.input))


@dataclass(frozen=True)
class Signature:
    """The shapes of a model's inputs and outputs by name, sizes that are open with the names that they have."""

    inputs: dict[str, ir.Shape]
    outputs: dict[str, ir.Shape]

    @classmethod
    def of(cls, model: ir.Model) -> "Signature":
        return cls(_shapes(model.graph.inputs), _shapes(model.graph.outputs))

    def with_numbers(self, other: "Signature") -> "Signature":
        """The same with the other's numbers wherever it has one."""
        return Signature(_numbered(self.inputs, other.inputs), _numbered(self.outputs, other.outputs))

    def restore(self, model: ir.Model) -> None:
        """Give inputs and outputs of these names and ranks their shapes back, in place; a step may have changed a
        number (short logits), which stays."""
        for values, shapes in ((model.graph.inputs, self.inputs), (model.graph.outputs, self.outputs)):
            for value in values:
                declared = shapes.get(value.name or "")
                if declared is not None and value.shape is not None and len(value.shape) == len(declared):
                    value.shape = ir.Shape([*map(_declared_or_new, declared, value.shape)])


def _declared_or_new(declared: int | ir.SymbolicDim, now: int | ir.SymbolicDim) -> int | ir.SymbolicDim:
    return now if isinstance(declared, int) and isinstance(now, int) else declared


def _numbered(shapes: dict[str, ir.Shape], others: dict[str, ir.Shape]) -> dict[str, ir.Shape]:
    return {
        name: ir.Shape([n if isinstance(n, int) else dim for dim, n in zip(shape, others[name], strict=True)])
        if name in others and len(others[name]) == len(shape)
        else shape
        for name, shape in shapes.items()
    }


def _shapes(values: Iterable[ir.Value]) -> dict[str, ir.Shape]:
    return {str(v.name): v.shape.copy() for v in values if v.shape is not None}


def _batches(values: Iterable[onnx.ValueInfoProto]) -> Iterator[onnx.TensorShapeProto.Dimension]:
    """The first size of each that has more than one."""
    for value in values:
        dims = value.type.tensor_type.shape.dim
        if value.type.HasField("tensor_type") and len(dims) > 1:
            yield dims[0]


def _is_numeric(value: onnx.ValueInfoProto) -> bool:
    """A tensor of numbers, or without a type: that one is inferred."""
    kind = value.type.WhichOneof("value")
    return kind is None or (
        kind == "tensor_type" and value.type.tensor_type.elem_type != onnx.TensorProto.STRING
    )


def _kind(value: onnx.ValueInfoProto) -> str:
    if _has_map(value.type):
        return "a map" if value.type.HasField("map_type") else "a sequence of maps"
    return KINDS.get(value.type.WhichOneof("value") or "", "a tensor of strings")


def _has_map(kind: onnx.TypeProto) -> bool:
    match kind.WhichOneof("value"):
        case "map_type":
            return True
        case "sequence_type":
            return _has_map(kind.sequence_type.elem_type)
        case "optional_type":
            return _has_map(kind.optional_type.elem_type)
    return False
