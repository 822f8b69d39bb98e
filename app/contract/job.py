"""A job: what is asked (`JobRequest`) and how it stands (`Job`)."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from app.contract.base import Asked, Told
from app.contract.errors import Problem
from app.contract.recipe import Recipe, Requirements
from app.contract.report import RequirementResult

JobState = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]
Outcome = Literal["accepted", "requirements_not_met"]
Metric = Literal["top1", "top5", "precision", "recall", "mse"]

FINISHED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Dimension = Annotated[int, Field(ge=1, le=2**31 - 1)]
MAX_ROWS: Final = 2**40
MAX_MEMORY_BYTES: Final = 2**44
"""16 TiB: more than any machine has, and far from what a kernel takes for a limit."""
Threads = Annotated[int, Field(ge=1, le=256)]


class DataUse(Asked):
    """A dataset, or rows `[start, stop)` of it."""

    dataset: str
    slice: (
        tuple[Annotated[int, Field(ge=0, lt=MAX_ROWS)], Annotated[int, Field(ge=1, le=MAX_ROWS)]] | None
    ) = None
    map: dict[str, str] = Field(
        default_factory=dict,
        description="From a model's input to the dataset's name for it. Holds for every model of the job that has an "
        "input of that name: the upload, teachers and students.",
    )


class DataUses(Asked):
    calibration: DataUse | None = None
    training: DataUse | None = None
    evaluation: DataUse | None = None


class Evaluation(Asked):
    """How quality is measured. `output` is the model's output to judge; its first one when left out."""

    metric: Metric
    output: str | None = None


class Benchmark(Asked):
    """What is timed. `shapes` fixes an input's whole shape where the model leaves it open (batch axis included)."""

    batch_sizes: list[Annotated[int, Field(ge=1, le=4096)]] = Field(default=[1], min_length=1, max_length=8)
    threads: Threads | Annotated[list[Threads], Field(min_length=1, max_length=8)] = 1
    rounds: int = Field(default=15, ge=9, le=1000)
    shapes: dict[str, Annotated[list[Dimension], Field(max_length=64)]] = Field(default_factory=dict)

    @property
    def thread_counts(self) -> list[int]:
        return [self.threads] if isinstance(self.threads, int) else self.threads


class Limits(Asked):
    """When an attempt is stopped: wall-clock seconds, and resident bytes of its processes.

    The operator of a service may allow less (`GET /v1/limits`); what is left out is then as much as that.
    """

    seconds: int = Field(default=3600, ge=1, le=7 * 86400)
    memory_bytes: int = Field(default=8 * 2**30, ge=256 * 2**20, le=MAX_MEMORY_BYTES)


class JobRequest(Asked):
    """`POST /v1/jobs`."""

    model: str
    recipe: Recipe
    name: Name | None = None
    tags: dict[Tag, Annotated[str, StringConstraints(max_length=200)]] = Field(
        default_factory=dict, max_length=50
    )
    seed: int = Field(default=0, ge=0, lt=2**32)
    data: DataUses = Field(default_factory=DataUses)
    evaluation: Evaluation | None = None
    require: Requirements = Field(default_factory=Requirements)
    benchmark: Benchmark = Field(default_factory=Benchmark)
    limits: Limits = Field(default_factory=Limits)


class StepProgress(Told):
    """`index` and `kind` of the step at work (`kind` is `measure` for the last part), `progress` 0–1 of it.

    `message` is the last thing that the step had to say: of a training its epoch, loss and speed.
    """

    index: int
    kind: str
    progress: float
    message: str | None


class Artifact(Told):
    """A file that the job made."""

    sha256: str
    size_bytes: int


class Job(Told):
    """`GET /v1/jobs/{id}`: how it stands, then what was asked.

    `artifact` is the best that was found; a job that failed with `training_diverged` has one too, never measured.
    `curves` is a zip of TensorBoard event files, null when nothing was trained.
    """

    id: str
    state: JobState
    outcome: Outcome | None
    attempt: int
    max_attempts: int
    queue_position: int | None
    step: StepProgress | None
    progress: float
    seconds_left: int | None
    problem: Problem | None
    requirements: list[RequirementResult] | None
    artifact: Artifact | None
    curves: Artifact | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    model: str
    name: str | None
    tags: dict[str, str]
    seed: int
    recipe: Recipe
    data: DataUses
    evaluation: Evaluation | None
    require: Requirements
    benchmark: Benchmark
    limits: Limits


class LogRecord(Told):
    """One line of `GET /v1/jobs/{id}/logs`, and the data of one server-sent event."""

    id: int
    time: datetime
    attempt: int
    level: Literal["info", "warning", "error"]
    event: Literal["state", "progress", "log"]
    step: str | None
    message: str
    values: dict[str, Any]
