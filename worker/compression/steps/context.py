"""What a technique is given besides the graph and its step, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import onnx_ir as ir

from winnow.contract.declaration import Augmentation
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.model import TensorSpec
from winnow.contract.recipe import Requirements
from winnow.contract.report import RequirementResult
from winnow.contract.target import DEFAULT_TARGET, CheckedTarget, CpuFeature, Target
from worker.compression.cache.shared_arrays import UNSHARED, SharedArrays
from worker.compression.cache.unfinished import NOT_KEPT, Unfinished
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.counts import GraphCounts
from worker.compression.onnx_files import model_files
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.progress import Progress
from worker.compression.weight_storage.drop_defaults import NO_UPLOAD_NAMES, UploadNames


def _refuse_missing(what: object) -> NoReturn:
    raise Refusal("missing_data", f"The step asks for {what}, which was not given.")


@dataclass(frozen=True)
class Received:
    """The upload as it came: its file, and what its graph is made of."""

    path: Path
    counts: GraphCounts


@dataclass(frozen=True)
class Context:
    """`scratch` is an empty folder of the step's own, `curves` one for event files that are kept; `upload` the names
    that files keep, `upload_bytes` the size of the file that came, where there is one, `received` that file, for the
    first step; `as_written` a model with its floats in the types that they have in the artifact.

    `require`, `evaluation`, `benchmark` and `target` are the job's: what a step that chooses is to reach, its metric,
    how it is timed, and on which runtime; `checked` is the target whose rules say what may be written, where there is
    one, and `features` those of the CPU that it is for, None for this one's. The evaluation data itself is not here:
    nothing is chosen by it.

    `calibration` is there when the job has some; of `sized`, any of the job's data, only the shapes may be used.
    `seen` opens calibration and training data, as far as there are some, for models with these inputs.
    `training` opens the training data for models with these inputs, and `augment` is what its declaration says.
    `model` answers another model by the name that the recipe has for it. `shared` has what other trials computed,
    `unfinished` what an earlier attempt at this step had reached.
    """

    scratch: Path
    seed: int
    progress: Progress
    calibration: Samples | None = None
    sized: Samples | None = None
    require: Requirements = field(default_factory=Requirements)
    evaluation: Evaluation | None = None
    benchmark: Benchmark = field(default_factory=Benchmark)
    target: Target = DEFAULT_TARGET
    checked: CheckedTarget | None = None
    features: list[CpuFeature] | None = None
    curves: Path = Path()
    augment: tuple[Augmentation, ...] = ()
    training: Callable[[list[TensorSpec]], Samples] = _refuse_missing
    seen: Callable[[list[TensorSpec]], list[Samples]] = lambda _: []
    model: Callable[[str], ir.Model] = _refuse_missing
    upload: UploadNames = NO_UPLOAD_NAMES
    upload_bytes: int | None = None
    received: Received | None = None
    as_written: Callable[[ir.Model], ir.Model] = lambda model: model
    shared: SharedArrays = UNSHARED
    unfinished: Unfinished = NOT_KEPT

    @cached_property
    def shapes(self) -> dict[str, list[int]]:
        """Of the inputs, as far as the job says them: what is timed, else a row of the data that was given."""
        samples = self.calibration or self.sized
        return ({} if samples is None else samples.shapes) | self.benchmark.shapes

    def draw_calibration(self, user: str, samples: int) -> Samples:
        """Draw this many calibration samples for a step. Raises `missing_data` where there are none."""
        if self.calibration is None or not len(self.calibration):
            raise Refusal("missing_data", f"{user} needs calibration data.", field="data.calibration")
        return self.calibration.draw(samples, self.seed)

    def file_bytes(self, model: ir.Model, *, packed: bool = False) -> int:
        """Of the file that the model would be as an artifact: its weights dense, or each in its smallest form."""
        with TemporaryDirectory(dir=self.scratch) as folder:
            path = Path(folder) / "model.onnx"
            write = model_files.save_packed if packed else model_files.save
            write(self.as_written(model), path, self.upload)
            return bytes_of(path)


@dataclass(frozen=True)
class StepResult:
    """The graph after a step: `changed` of `candidates` nodes; `details` goes into the report as it is.

    `targets` are what the step itself was asked for, reached or not.
    """

    model: ir.Model
    changed: int
    candidates: int
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    targets: list[RequirementResult] = field(default_factory=list)
