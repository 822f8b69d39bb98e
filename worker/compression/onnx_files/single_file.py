"""Write and read one `.onnx` file without its weights ever being in memory together.

A protobuf message is fields one after another, and a message inside another is its length and its bytes. So the file is
the model without its graph, the graph's length, the graph without its initializers, and then each of those: its length,
its name, type and shape, and the bytes of `raw_data`, which go from file to file.
"""

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import onnx
import onnx_ir as ir

from winnow.contract.wire import WITH_LENGTH, fields
from worker.compression.ir.mapped_tensors import MappedTensors
from worker.compression.onnx_files.without_weights import MAX_KEPT_BYTES, without_weights
from worker.compression.weight_storage.drop_defaults import UploadNames, make_compact
from worker.compression.weight_storage.elsewhere import Elsewhere, external_bytes
from worker.compression.weight_storage.smallest_form import Packing, pack

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
"""Numbers of the fields in ModelProto, GraphProto and TensorProto."""


MAX_BYTES: Final = 2**31 - 1
"""A protobuf message ends here."""


class TooLarge(Exception):
    """The file would have more than `MAX_BYTES`; the argument is how many."""


@dataclass(frozen=True)
class _File:
    """What is to be written: the model without its graph, the graph without its initializers, of each initializer all
    but its bytes, and the tensors that these are taken from."""

    model: bytes
    graph: bytes
    heads: dict[str, bytes]
    weights: dict[str, ir.TensorProtocol]

    @property
    def sizes(self) -> dict[str, int]:
        return {name: len(head) + _bytes(self.weights.get(name)) for name, head in self.heads.items()}

    @property
    def graph_bytes(self) -> int:
        sizes = self.sizes.values()
        return len(self.graph) + sum(len(_prefix(INITIALIZER, size)) + size for size in sizes)

    @property
    def bytes(self) -> int:
        return len(self.model) + len(_prefix(GRAPH, self.graph_bytes)) + self.graph_bytes


def write(model: ir.Model, path: Path, upload: UploadNames | None = None) -> None:
    """Write the model with all weights inside; together with the graph they have to be less than 2 GiB. Weights may be
    mapped from files.

    With the names of the upload the file says what it has to and no more (`drop_defaults`).
    """
    _write(_file(model, upload), path)


def write_packed(model: ir.Model, path: Path, upload: UploadNames) -> Packing:
    """Write the model compact and each tensor in its smallest form; weights, which may be mapped from files and more
    than fit into one, are read and packed one at a time. Raises `TooLarge`."""
    proto, weights = _message(model, upload)
    aside = path.with_name(f"{path.name}.packed")
    try:
        packing = pack(proto, Elsewhere(weights, MappedTensors(aside)))
        parts = _parts(proto, weights)
        if parts.bytes > MAX_BYTES:
            raise TooLarge(parts.bytes)
        _write(parts, path)
    finally:
        aside.unlink(missing_ok=True)
    return packing


def _write(parts: _File, path: Path) -> None:
    sizes = parts.sizes
    with path.open("wb") as file:
        file.write(parts.model)
        file.write(_prefix(GRAPH, parts.graph_bytes) + parts.graph)
        for name, head in parts.heads.items():
            file.write(_prefix(INITIALIZER, sizes[name]) + head)
            if name in parts.weights:
                _pour(parts.weights[name], file)


def written_bytes(model: ir.Model, upload: UploadNames | None = None) -> int:
    """Count the bytes that `write` would write, without reading the large weights."""
    return _file(model, upload).bytes


def _file(model: ir.Model, upload: UploadNames | None) -> _File:
    return _parts(*_message(model, upload))


def _message(
    model: ir.Model, upload: UploadNames | None
) -> tuple[onnx.ModelProto, dict[str, ir.TensorProtocol]]:
    """The model with references in place of its large weights, and these by name."""
    with without_weights(model) as large:
        proto = ir.to_proto(model)
    renamed = {} if upload is None else make_compact(proto, upload, large)
    return proto, {renamed.get(name, name): tensor for name, tensor in large.items()}


def _parts(proto: onnx.ModelProto, weights: dict[str, ir.TensorProtocol]) -> _File:
    """The message in pieces; it is taken apart."""
    heads = {
        tensor.name: _head(tensor) if tensor.name in weights else bytes(tensor.SerializeToString())
        for tensor in proto.graph.initializer
    }
    del proto.graph.initializer[:]
    graph = proto.graph.SerializeToString()
    proto.ClearField("graph")
    return _File(proto.SerializeToString(), graph, heads, weights)


def _bytes(tensor: ir.TensorProtocol | None) -> int:
    return 0 if tensor is None else tensor.nbytes


def _head(reference: onnx.TensorProto) -> bytes:
    """Serialize all of a tensor but its bytes, and how many of them follow."""
    size = external_bytes(reference)
    tensor = onnx.TensorProto()
    tensor.CopyFrom(reference)
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")
    return bytes(tensor.SerializeToString()) + _prefix(RAW_DATA, size)


def _pour(tensor: ir.TensorProtocol, file: IO[bytes]) -> None:
    begin = file.tell()
    if isinstance(tensor, ir.ExternalTensor):
        tensor.tofile(file)
    else:
        file.write(tensor.tobytes())
    if file.tell() - begin != tensor.nbytes:
        raise ValueError(f"{tensor.name} should have {tensor.nbytes} bytes, not {file.tell() - begin}")


def without_raw_data(path: Path) -> onnx.ModelProto:
    """Read the file's message, in which large initializers have lost their `raw_data`. It has to be a valid message."""
    model = onnx.ModelProto()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, whole, inner in fields(content, 0, len(content)):
            is_graph = number == GRAPH
            parts = _parts_without_weights(content, *inner) if is_graph else [content[slice(*whole)]]
            model.MergeFromString(_framed(GRAPH, b"".join(parts)) if is_graph else b"".join(parts))
    return model


def _parts_without_weights(content: mmap.mmap, begin: int, end: int) -> Iterator[bytes]:
    for number, whole, inner in fields(content, begin, end):
        if number == INITIALIZER and whole[1] - whole[0] > MAX_KEPT_BYTES:
            parts = fields(content, *inner)
            yield _framed(
                INITIALIZER, b"".join(content[slice(*part)] for n, part, _ in parts if n != RAW_DATA)
            )
        else:
            yield content[slice(*whole)]


def _framed(number: int, content: bytes) -> bytes:
    return _prefix(number, len(content)) + content


def _prefix(number: int, length: int) -> bytes:
    """Encode the tag of a field, and its length."""
    coded = bytearray([number << 3 | WITH_LENGTH])
    while length > 0x7F:
        coded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*coded, length])
