"""Read and write ONNX files, and the lineage in them.

External weights stay memory-mapped from `load` to `save`; below 2 GB a model is one file, above it its weights lie in
`<name>.data` beside it.
"""

import logging
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir import external_data

from winnow.contract.errors import Refusal
from worker.compression.ir.protobuf_walk import messages
from worker.compression.onnx_files import single_file
from worker.compression.onnx_files.densify import densify
from worker.compression.onnx_files.inlining import inline
from worker.compression.onnx_files.signature import open_dimensions
from worker.compression.weight_storage.drop_defaults import NO_UPLOAD_NAMES, UploadNames
from worker.compression.weight_storage.smallest_form import Packing
from worker.compression.weight_storage.unpacking import unpack

log = logging.getLogger(__name__)

PREFIX = "winnow."
MAX_READ_BYTES = 4096
MAX_SINGLE_FILE_BYTES = 2**31 - 2**26
"""A protobuf message ends at 2 GiB; 64 MiB are left for the graph itself."""


def load(path: Path) -> ir.Model:
    """Read a `.onnx` file; sparse and packed tensors become dense, functions are inlined. The file must have passed
    `upload_gate.check`.

    Raises as `read`.
    """
    return from_proto(read(path), path.parent)


def read(path: Path) -> onnx.ModelProto:
    """Read the same as a message, external weights left where they are.

    Raises `ValueError` for broken sparse tensors and calls of functions, protobuf's `DecodeError` for what is no ONNX.
    """
    proto = onnx.load(str(path), format="protobuf", load_external_data=False)
    if count := densify(proto, path.parent):
        log.info("made %d sparse tensors dense", count)
    if count := unpack(proto):
        log.info("unpacked %d tensors", count)
    _name_default_domain(proto)
    open_dimensions(proto)
    inline(proto)
    return proto


def from_proto(proto: onnx.ModelProto, folder: Path) -> ir.Model:
    """The model of what `read` has read, with its external weights mapped from the folder."""
    model: ir.Model = ir.from_proto(proto)
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        external_data.set_base_dir(graph, folder)
    _read_small(model)
    return model


def save(model: ir.Model, path: Path, upload: UploadNames | None = None) -> None:
    """Write the model: one file while weights fit into a protobuf, else `<name>.data` beside it.

    With the names of the upload that file is compact, as the artifact is.
    """
    path.unlink(missing_ok=True)
    if weight_bytes(model) < MAX_SINGLE_FILE_BYTES:
        single_file.write(model, path, upload)
    else:
        ir.save(model, path, external_data=f"{path.name}.data")


def save_single_file(model: ir.Model, path: Path, upload: UploadNames | None = None) -> Path:
    """Write the model as one `.onnx`. Raises `Refusal` `step_failed` when its weights do not fit into one."""
    _check_fits_one_file(model)
    save(model, path, upload)
    return path


def save_packed(model: ir.Model, path: Path, upload: UploadNames = NO_UPLOAD_NAMES) -> Packing:
    """Write the model as one `.onnx`, compact, each tensor in its smallest form, one after the other. Raises `Refusal`
    `step_failed` when they do not fit into one file even so."""
    try:
        return single_file.write_packed(model, path, upload)
    except single_file.TooLarge as error:
        raise _too_large(int(error.args[0])) from error


def _check_fits_one_file(model: ir.Model) -> None:
    if (size := weight_bytes(model)) >= MAX_SINGLE_FILE_BYTES:
        raise _too_large(size)


def _too_large(size: int) -> Refusal:
    return Refusal(
        "step_failed",
        f"The result has {size} bytes of weights, and one ONNX file holds less than 2 GiB. "
        "Add a step that makes it smaller (int8, float16).",
    )


def _name_default_domain(proto: onnx.ModelProto) -> None:
    """Write the default domain as "": ONNX's own has two names, and onnx-ir's passes know only the empty one."""
    for kind in (onnx.NodeProto, onnx.OperatorSetIdProto):
        for item in messages(proto, kind):
            if item.domain == "ai.onnx":
                item.domain = ""


def _read_small(model: ir.Model) -> None:
    """Read external tensors that onnx's C++ needs: small ones (shapes, axes) and those outside the main graph."""
    for graph in model.graphs():
        for value in graph.initializers.values():
            tensor = value.const_value
            if isinstance(tensor, ir.ExternalTensor) and (
                graph is not model.graph or tensor.nbytes <= MAX_READ_BYTES
            ):
                value.const_value = _in_memory(tensor)
    for body in (model.graph, *(function.graph for function in model.functions.values())):
        for node in ir.traversal.RecursiveGraphIterator(body):
            for name, attribute in list(node.attributes.items()):
                if isinstance(attribute.value, ir.ExternalTensor):
                    node.attributes[name] = ir.AttrTensor(name, _in_memory(attribute.value))


def _in_memory(tensor: ir.ExternalTensor) -> "ir.Tensor[Any]":
    return ir.Tensor(tensor.numpy().copy(), dtype=tensor.dtype, shape=tensor.shape, name=tensor.name)


def weight_bytes(model: ir.Model) -> int:
    """Count the bytes of all initializers, in subgraphs too."""
    values = (value for graph in model.graphs() for value in graph.initializers.values())
    return sum(value.const_value.nbytes for value in values if value.const_value is not None)


def stamp(model: ir.Model, facts: dict[str, str]) -> None:
    """Write facts into the model's own `metadata_props` under `winnow.*`; other properties stay."""
    model.metadata_props.update({PREFIX + key.removeprefix(PREFIX): value for key, value in facts.items()})
