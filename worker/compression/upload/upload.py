"""The model as received, and as the steps see it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import onnx_ir as ir

from winnow.contract.fixed_shapes import inputs_fixed_by_steps
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import ORIGINAL, AnyStep, Distillation, Float16, Simplify
from worker.compression.data.source import Data
from worker.compression.graph.facts.counts import GraphCounts
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.declared_branch import (
    branch_alone,
    branch_taken,
    with_other_branch,
)
from worker.compression.graph.normal_form.in_float32 import ALL_FLOAT32, FloatTypes, in_float32
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.signature import Signature
from worker.compression.onnx_files.single_file import without_raw_data
from worker.compression.onnx_files.sizes import sha256_of
from worker.compression.packages.layout import Package
from worker.compression.steps.opset import raised
from worker.compression.upload.fixed_sizes import fix_sizes
from worker.compression.upload.inspection import check_runs, open_file
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
    in it, `counts` its nodes; `tidied_bytes` is what exporters left behind. `taken`: `float32` is only this branch of
    the If that the model is, and `note` tells of it. `fixed`: its inputs, where the recipe fixes sizes of them.
    `as_is`: steps lose nothing, so floats keep their types, and fused normalisations stay. `package`: `path` is all of
    these graphs as one, and `size_bytes` what they took as they came.
    """

    path: Path
    sha256: str
    size_bytes: int
    normal_form: ir.Model
    float32: ir.Model
    float_types: FloatTypes
    signature: Signature
    names: UploadNames
    counts: GraphCounts
    tidied_bytes: int
    taken: bool | None = None
    note: str | None = None
    fixed: tuple[TensorSpec, ...] = ()
    as_is: bool = False
    package: Package | None = None

    @property
    def files(self) -> list[Path]:
        """The graph as it came, of a package each."""
        return [self.path] if self.package is None else [graph.path for graph in self.package.graphs]

    def for_steps(self, steps: Sequence[AnyStep], data: Data, scratch: Path) -> "Upload":
        """The same as the steps work on it: with the sizes that they fix, as it is where they lose nothing, and of a
        choice between networks the branch which the data's constants take.

        The whole where they take none, or where a step changes what the other branch would have to fit. Raises what
        `inputs_fixed_by_steps` and `fix_sizes` do.
        """
        upload = self._as_it_is() if steps and all(step.lossless for step in steps) else self
        upload = upload.with_sizes(steps, scratch)
        if upload is not self or any(_replaces_signature(step) for step in steps):
            return upload
        return self._of_branch(data, scratch)

    def with_sizes(self, steps: Sequence[AnyStep], scratch: Path) -> "Upload":
        """The same with the sizes that the steps fix. Raises what `inputs_fixed_by_steps` and `fix_sizes` do."""
        inputs = inputs_of(self.normal_form)
        if (fixed := inputs_fixed_by_steps(inputs, steps)) == inputs:
            return self
        model = (self.float32 if self.as_is else self.normal_form).clone()
        fix_sizes(model, fixed)
        model = normalise(model, norms_apart=not self.as_is)
        float32, types = (model, ALL_FLOAT32) if self.as_is else in_float32(model, scratch / "float32")
        signature = self.signature.with_numbers(Signature.of(model))
        return replace(self, float32=float32, float_types=types, signature=signature, fixed=tuple(fixed))

    def _as_it_is(self) -> "Upload":
        loaded = model_files.load(self.path)
        tidy(loaded)
        normal_form = normalise(loaded, norms_apart=False)
        return replace(self, float32=normal_form, float_types=ALL_FLOAT32, as_is=True)

    def _of_branch(self, data: Data, scratch: Path) -> "Upload":
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
        """What steps work on: the file, which branch of it, of which sizes, in which types."""
        taken = [] if self.taken is None else [str(self.taken)]
        fixed = [f"{spec.name} {spec.shape}" for spec in self.fixed]
        return " ".join([self.sha256, *taken, *fixed, *(["as it is"] if self.as_is else [])])

    @property
    def is_large(self) -> bool:
        return self.size_bytes >= LARGE_BYTES


def open_upload(model: Path, scratch: Path, *, max_unpacked_bytes: int) -> Upload:
    """Unpack, check and load a model. Raises `Refusal` for what does not pass the gate or does not run."""
    opened = open_file(model, scratch / "model", max_unpacked_bytes=max_unpacked_bytes)
    path, size = opened.path, opened.size_bytes
    if size < LARGE_BYTES:
        check_runs(path)
    loaded = model_files.load(path)
    tidied = tidy(loaded)
    signature, counts = Signature.of(loaded), GraphCounts.of(loaded)
    normal_form = normalise(loaded)
    float32, types = in_float32(normal_form, scratch / "float32")
    names = names_in(without_raw_data(path))
    return Upload(
        path,
        sha256_of(model),
        size,
        normal_form,
        float32,
        types,
        signature,
        names,
        counts,
        tidied,
        package=opened.package,
    )


def _replaces_signature(step: AnyStep) -> bool:
    """Whether the result may take or give other types, or is another model."""
    match step:
        case Float16():
            return not step.keep_io_types
        case Simplify():
            return step.opset is not None
        case Distillation():
            return step.student not in (None, ORIGINAL)
    return False
