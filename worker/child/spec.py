"""What goes into a child: one specification, a task with its limits and files, as JSON."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.generate import Generate
from winnow.contract.inquiry import MAX_PREVIEW_ROWS
from winnow.contract.job import Benchmark, ClosedJob
from winnow.contract.model import ModelFormat, TensorSpec
from winnow.contract.recipe import Recipe, Requirements, Student
from winnow.contract.search import SearchReport
from winnow.contract.target import DEFAULT_TARGET, CheckedTarget, CpuFeature, Target
from worker.compression.measure.extent import WHOLE, Extent, Judging
from worker.compression.names import Names

MAX_THREADS = 1024
ANSWER_FILE = "answer.json"
"""What a question about a dataset leaves in its folder."""


class Message(BaseModel):
    """What is sent between processes, JSON both ways: neither unknown fields nor NaN.

    Validators are built when they are first used: no process needs all of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


class InspectModel(Message):
    kind: Literal["inspect_model"]
    path: Path
    format: ModelFormat
    declared: list[TensorSpec]
    scratch: Path
    allow_torchscript: bool
    max_unpacked_bytes: int


class MakeStudent(Message):
    """Make a student of a model that passed inspection, and inspect it. `settings` are those of its step."""

    kind: Literal["make_student"]
    path: Path
    settings: Student
    seed: int
    scratch: Path
    max_unpacked_bytes: int


class InspectDataset(Message):
    """`indexes`: an archive's members are written down, so that who reads a few of them need not look for them."""

    kind: Literal["inspect_dataset"]
    path: Path
    declaration: Declaration
    scratch: Path
    max_unpacked_bytes: int
    indexes: bool = False


class Propose(Message):
    """How is the dataset to be read for this model? `model` is ONNX that passed inspection."""

    kind: Literal["propose"]
    path: Path
    model: Path
    out_dir: Path
    max_unpacked_bytes: int


class ShowPreview(Message):
    """What would this model be fed with? `rows` is how many are shown."""

    kind: Literal["preview"]
    path: Path
    declaration: Declaration
    model: Path
    rows: int = Field(ge=1, le=MAX_PREVIEW_ROWS)
    out_dir: Path
    max_unpacked_bytes: int


class Rows(Message):
    """`worker.compression.data.source.Source`, as JSON."""

    path: Path
    declaration: Declaration
    slice: tuple[int, int] | None
    map: dict[str, str]
    chosen: str | None = None


class Judged(Message):
    """What a result is made from and judged by. `models` are the other ones that steps name: id → ONNX file (or the
    archive that it came in). `whole` is data that is to be split. `request` is the job's, with the ids that its user
    knows."""

    model: Path
    models: dict[str, Path] = Field(default_factory=dict)
    calibration: Rows | None
    training: Rows | None
    evaluation_data: Rows | None
    whole: Rows | None = None
    out_dir: Path
    evaluation: Evaluation | None
    require: Requirements
    benchmark: Benchmark
    seed: int
    max_unpacked_bytes: int
    judging: Judging = "result"
    extent: Extent = WHOLE
    request: ClosedJob | None = None
    target: Target = DEFAULT_TARGET
    checked: CheckedTarget | None = None
    features: list[CpuFeature] | None = None
    explain: bool = False
    names: Names = Names()
    generate: Generate | None = None


class Compress(Judged):
    kind: Literal["compress"]
    recipe: Recipe


class Tried(Message):
    """A trial that the final may hand over: the `number` it has, its artifact, report and recipe, how likely it holds,
    and what it costs by the objective, where that is known."""

    number: int
    artifact: Path
    report: Path
    recipe: Recipe
    chance: float
    cost: float | None


class JudgeFinal(Judged):
    """Judge trials on the final part of the data, the surest first, and hand over the last that holds.

    Without any the upload itself is judged, tidied.
    """

    kind: Literal["judge_final"]
    tried: list[Tried]
    search: SearchReport


class RenderPage(Message):
    """Make the page of a job that has a report. `recipe` is null where the result is the upload, tidied; `judged` is
    what the job was given, null where some of it is gone: the page then shows what the report says and no more."""

    kind: Literal["render_page"]
    report: Path
    artifact: Path
    out_dir: Path
    recipe: Recipe | None
    judged: Judged | None
    names: Names = Names()


class LoadModel(Message):
    """Measure loading and running a model in a fresh process; `feed` is the `.npz` of its inputs."""

    kind: Literal["load_model"]
    model: Path
    feed: Path
    threads: int = Field(ge=1, le=MAX_THREADS)
    target: Target = DEFAULT_TARGET


class TryLoading(Message):
    """Find out whether a runtime can load a model."""

    kind: Literal["try_loading"]
    model: Path
    target: Target


class CompareModels(Message):
    """`worker.compression.measure.apart.processes.Comparing`, as JSON."""

    kind: Literal["compare_models"]
    baseline: Path
    candidate: Path
    inputs: list[TensorSpec]
    evaluation_data: Rows | None
    calibration: Rows | None
    overlap: bool
    evaluation: Evaluation | None
    benchmark: Benchmark
    seed: int
    max_unpacked_bytes: int
    extent: Extent = WHOLE
    target: Target = DEFAULT_TARGET


Work = (
    InspectModel | MakeStudent | InspectDataset | Propose | ShowPreview | RenderPage | Compress | JudgeFinal
)
"""What a worker has done in a child."""

Measuring = LoadModel | TryLoading | CompareModels
"""What a child has done by the worker, in a child more."""

Task = Annotated[Work | Measuring, Field(discriminator="kind")]


class Limits(Message):
    """`memory_bytes` is for all processes of the work; `mapped_bytes` what files may take of the address space."""

    seconds: float
    memory_bytes: int
    mapped_bytes: int


class Files(Message):
    """What a child may open besides its libraries.

    Its `own` folder to write in, folders that the attempts of a job have `shared`, and what is `lent` to it to read.
    """

    own: Path
    shared: list[Path] = Field(default_factory=list)
    lent: list[Path] = Field(default_factory=list)


class Spec(Message):
    """`parent` is the process that started the guard: when it is gone, so is the reason to work.

    `filtered`: under Landlock and the filter on system calls, where the kernel has them. `patience_seconds`: a worker
    that is silent for longer while it owes an answer has lost this job, and its child ends. `alone`: what is timed
    has the service's other children on this machine paused meanwhile.
    """

    parent: int
    task: Task
    limits: Limits
    files: Files
    filtered: bool = True
    patience_seconds: float = 30.0
    alone: bool = False
