"""The model as received, and as the steps see it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import onnx_ir as ir

from winnow.contract.recipe import ORIGINAL, AnyStep, Distillation, Float16
from worker.compression.data.source import Data
from worker.compression.graph.normal_form.declared_branch import (
    branch_alone,
    branch_taken,
    with_other_branch,
)
from worker.compression.graph.normal_form.in_float32 import FloatTypes, in_float32
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.signature import Signature
from worker.compression.onnx_files.single_file import without_raw_data
from worker.compression.onnx_files.sizes import bytes_of, sha256_of
from worker.compression.steps.opset import raised
from worker.compression.upload.inspection import check_runs, open_model
from worker.compression.weight_storage.drop_defaults import UploadNames, names_in

LARGE_BYTES: Final = 2**28
"""Weights of a model from which on it is run and measured in a process of its own, which takes a second."""

NOTE: Final = (
    "The model is a choice between two networks, and the data takes one by {}: the steps worked on that one. The other "
    "lies in the artifact as it was, so that both answer as before."
)


@dataclass(frozen=True)
class Upload:
    """`path` is the plain `.onnx`, through the gate; `sha256` is of the file that came, an archive perhaps.

    `normal_form` is its graph as every upload's, `float32` the same with floats of every type as float32: what steps
    work on. `float_types` says which they were, `signature` what the file says of inputs and outputs, `names` the names
    in it; `tidied_bytes` is what exporters left behind. `taken`: `float32` is only this branch of the If that the model
    is, and `note` tells of it.
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
    taken: bool | None = None
    note: str | None = None

    def for_steps(self, steps: Sequence[AnyStep], data: Data, scratch: Path) -> "Upload":
        """The same, with steps that work on the branch which the data's constants take.

        Itself where they take none, or where a step changes what the other branch would have to fit.
        """
        if any(_replaces_signature(step) for step in steps):
            return self
        constants = data.constants(self.signature.inputs)
        taken = branch_taken(self.normal_form, constants)
        alone = None if taken is None else branch_alone(self.normal_form, taken)
        if alone is None:
            return self
        float32, types = in_float32(alone, scratch / "float32")
        told = ", ".join(f"{name} = {value}" for name, value in constants.items())
        return replace(self, float32=float32, float_types=types, taken=taken, note=NOTE.format(told))

    def whole(self, graph: ir.Model) -> ir.Model:
        """What steps made of `float32`, in the upload's types, with the branch that they did not see.

        Raises `Refusal` `step_failed` where that cannot be raised to the opset of what they made.
        """
        if self.taken is None:
            return graph
        whole, _ = raised(self.normal_form.clone(), opset_of(graph), "one of the steps")
        return with_other_branch(graph, whole, self.taken)

    @property
    def key(self) -> str:
        """What steps work on: the file, and which branch of it."""
        return self.sha256 if self.taken is None else f"{self.sha256} {self.taken}"

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


def _replaces_signature(step: AnyStep) -> bool:
    """Whether the result may take or give other types, or is another model."""
    match step:
        case Float16():
            return not step.keep_io_types
        case Distillation():
            return step.student not in (None, ORIGINAL)
    return False
