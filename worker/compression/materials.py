"""What the steps of a recipe work with: data opened for a model, other models, folders."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import ORIGINAL, AnyStep, Distillation
from worker.compression.cache.shared_arrays import UNSHARED, SharedArrays
from worker.compression.cache.unfinished import NOT_KEPT, Unfinished
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Data, Source
from worker.compression.data.split import halve_evaluation, split_data
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.facts.table_entries import table_entries
from worker.compression.graph.normal_form.in_float32 import FloatTypes, in_float32
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.graph.normal_form.tidy import tidy
from worker.compression.half_precision.float_types import restore_float_types
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.signature import Signature
from worker.compression.onnx_files.sizes import sha256_of
from worker.compression.options import Options
from worker.compression.progress import Progress
from worker.compression.runtime.state import state_arrays
from worker.compression.steps.context import Context, Received
from worker.compression.upload.inspection import open_model
from worker.compression.upload.upload import Upload


@dataclass(frozen=True)
class Materials:
    """`curves` is the folder of what training steps draw; `unpacked` says where each archive was unpacked to, so that
    its bytes are hashed once and not for every step; `shared` has what other trials of the same search computed."""

    upload: Upload
    data: Data
    scratch: Path
    curves: Path
    progress: Progress
    options: Options
    unpacked: dict[Path, Path] = field(default_factory=dict)
    shared: SharedArrays = UNSHARED

    def context(self, index: int, step: AnyStep, unfinished: Unfinished = NOT_KEPT) -> Context:
        """For one step; everything is opened when it is asked for. A step that goes on draws its curves on."""
        folder = self.scratch / f"step-{index}"
        folder.mkdir()
        curves = self.curves / f"{index:02}-{step.kind}"
        if unfinished.state is None:
            shutil.rmtree(curves, ignore_errors=True)  # of an earlier attempt
        training = self.data.training
        return Context(
            folder,
            self.options.seed,
            self.progress,
            self.samples(self.data.calibration),
            sized=self.samples(self.data.calibration or self.data.evaluation or self.data.training),
            upload=self.upload.names,
            upload_bytes=self.upload.size_bytes,
            received=self._received if index == 0 and self.upload.as_is else None,
            as_written=self._as_written,
            require=self.options.require,
            evaluation=self.options.evaluation,
            benchmark=self.options.benchmark,
            target=self.options.target,
            checked=self.options.checked,
            features=self.options.features,
            curves=curves,
            augment=() if training is None else tuple(training.declaration.augment),
            training=self.training,
            seen=self.seen,
            model=self.model,
            shared=self.shared,
            unfinished=unfinished,
        )

    @property
    def _received(self) -> Received:
        return Received(self.upload.path, self.upload.counts)

    def samples(self, source: Source | None, inputs: list[TensorSpec] | None = None) -> Samples | None:
        """Rows for a model with these inputs (default: the upload's); None without a source."""
        if source is None:
            return None
        own = inputs_of(self.upload.float32)
        inputs = own if inputs is None else inputs
        folder = self.folder(source)
        limit = self.options.max_unpacked_bytes
        states = state_arrays(self.upload.path, source.for_inputs(own), own, folder, max_unpacked_bytes=limit)
        return open_samples(
            source.for_inputs(inputs), inputs, folder,
            max_unpacked_bytes=limit, entries=table_entries(self.upload.float32), states=states,
        )  # fmt: skip

    def split(self) -> "Materials":
        """The same with data in parts, where one dataset is all there is, or where a search chooses and judges.

        Raises `Refusal` `too_few_samples`.
        """
        data = self._parts()
        if self.options.judging == "trial" and data.selection is not None:
            data = replace(data, evaluation=data.selection)
        return replace(self, data=data)

    def _parts(self) -> Data:
        data, seed = self.data, self.options.seed
        if data.whole is not None and (samples := self.samples(data.whole)) is not None:
            return split_data(data.whole, samples, seed)
        if self.options.judging == "result" or data.evaluation is None:
            return data
        samples = self.samples(data.evaluation)
        assert samples is not None
        return halve_evaluation(data, data.evaluation, samples, seed)

    def folder(self, source: Source) -> Path:
        """Where the archive of the source is unpacked to."""
        if source.path not in self.unpacked:
            self.unpacked[source.path] = self.scratch / "data" / sha256_of(source.path)
            self.unpacked[source.path].mkdir(parents=True, exist_ok=True)
        return self.unpacked[source.path]

    def training(self, inputs: list[TensorSpec]) -> Samples:
        """The training data, in batches of rows of one length. Raises `Refusal` `missing_data`."""
        samples = self.samples(self.data.training, inputs)
        if samples is None:
            raise Refusal("missing_data", "The step needs training data.", field="data.training")
        return samples.unpadded()

    def seen(self, inputs: list[TensorSpec]) -> list[Samples]:
        """Calibration and training data, as far as there are some: all that steps may learn from."""
        calibration, training = self.data.calibration, self.data.training
        opened = (
            self.samples(s, inputs) for s in (calibration, training if training != calibration else None)
        )
        return [samples for samples in opened if samples is not None]

    def model(self, name: str) -> ir.Model:
        """The upload itself (`original`), or another by its id: in normal form and float32, the caller's own."""
        if name == ORIGINAL:
            return self.upload.float32.clone()
        return self._turned(name)[0]

    def signature(self, steps: Sequence[AnyStep]) -> Signature:
        """What the artifact has to take and answer: as the upload does, or the last student that took its place."""
        student = _student(steps)
        return self.upload.signature if student is None else Signature.of(self._loaded(student))

    def types(self, steps: Sequence[AnyStep]) -> FloatTypes:
        """The floats of the upload, or of the last student that took its place."""
        student = _student(steps)
        return self.upload.float_types if student is None else self._turned(student)[1]

    def _turned(self, name: str) -> tuple[ir.Model, FloatTypes]:
        return in_float32(normalise(self._loaded(name)), self.scratch / "float32")

    def _as_written(self, graph: ir.Model) -> ir.Model:
        """A graph with its floats in the upload's types: what a candidate weighs."""
        if self.upload.float_types.stored is None:
            return graph
        copy = graph.clone()
        restore_float_types(copy, self.upload.float_types)
        return copy

    def _loaded(self, name: str) -> ir.Model:
        unpacked = self.scratch / "models" / hashlib.sha256(name.encode()).hexdigest()
        path = open_model(
            self.options.models[name], unpacked, max_unpacked_bytes=self.options.max_unpacked_bytes
        )
        model = model_files.load(path)
        tidy(model)
        return model


def _student(steps: Sequence[AnyStep]) -> str | None:
    """The last one that took the upload's place."""
    students = [step.student for step in steps if isinstance(step, Distillation) and step.student is not None]
    return None if not students or students[-1] == ORIGINAL else students[-1]


def fingerprint(source_sha256: str, data: Data, options: Options) -> str:
    """What decides a step besides the steps: the source's bytes, the data, other models, the seed and the runtime."""
    used = [_identity(source) for source in (data.calibration, data.training)]
    others = {name: sha256_of(path) for name, path in options.models.items()}
    return json.dumps(
        [source_sha256, used, others, options.seed, options.target, options.checked, options.features],
        sort_keys=True,
    )


def _identity(source: Source | None) -> list[object] | None:
    if source is None:
        return None
    declared = source.declaration.model_dump(mode="json")
    chosen = source.chosen and source.chosen.bits
    return [sha256_of(source.path), declared, source.slice, source.map, *([chosen] if chosen else [])]
