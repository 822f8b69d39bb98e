"""The model as received, and as the steps see it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx_ir as ir

from worker.compression.graph.normal_form.in_float32 import FloatTypes, in_float32
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.inspection import check_runs, open_model
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.signature import Signature
from worker.compression.onnx_files.single_file import without_raw_data
from worker.compression.onnx_files.sizes import bytes_of, sha256_of
from worker.compression.weight_storage.drop_defaults import UploadNames, names_in

LARGE_BYTES: Final = 2**28
"""Weights of a model from which on it is run and measured in a process of its own, which takes a second."""


@dataclass(frozen=True)
class Upload:
    """`path` is the plain `.onnx`, through the gate; `sha256` is of the file that came, an archive perhaps.

    `normal_form` is its graph as every upload's, `float32` the same with floats of every type as float32: what steps
    work on. `float_types` says which they were, `signature` what the file says of inputs and outputs, `names` the names
    in it; `tidied_bytes` is what exporters left behind.
    """

    path: Path
    sha256: str
    size_bytes: int
    normal_form: ir.Model
    float32: ir.Model
    float_types: FloatTypes
    signature: Signature
    names: UploadNames
    tidied_bytes: int

    @property
    def is_large(self) -> bool:
        return self.size_bytes >= LARGE_BYTES


def open_upload(model: Path, scratch: Path, *, max_unpacked_bytes: int) -> Upload:
    """Unpack, check and load a model. Raises `Refusal` for what does not pass the gate or does not run."""
    path = open_model(model, scratch / "model", max_unpacked_bytes=max_unpacked_bytes)
    size = bytes_of(path)
    if size < LARGE_BYTES:
        check_runs(path)
    loaded = model_files.load(path)
    tidied = tidy(loaded)
    signature = Signature.of(loaded)
    normal_form = normalise(loaded)
    float32, types = in_float32(normal_form, scratch / "float32")
    names = names_in(without_raw_data(path))
    return Upload(path, sha256_of(model), size, normal_form, float32, types, signature, names, tidied)
