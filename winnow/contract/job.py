"""A job: what is asked (`JobRequest`) and how it stands (`Job`)."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from winnow.contract.asked_recipe import AskedRecipe, Auto
from winnow.contract.base import RequestModel, ResponseModel
from winnow.contract.capability import MAX_NEEDS, Need, WaitingFor
from winnow.contract.data_uses import DataUses
from winnow.contract.declaration import MAX_INPUTS
from winnow.contract.errors import Problem
from winnow.contract.evaluation import Evaluation
from winnow.contract.generate import EXAMPLE as GENERATE
from winnow.contract.generate import Generate
from winnow.contract.open_steps import OpenRecipe
from winnow.contract.pinning import PINNED
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.report import Outcome, RequirementResult
from winnow.contract.search import Search
from winnow.contract.target import DEFAULT_TARGET, CpuFeature, JobTarget, Precision, why_no_such_target

JobState = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled"]

FINISHED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})

Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=200)]
MAX_DIMENSIONS: Final = 32
Dimension = Annotated[int, Field(ge=1, le=2**31 - 1)]
MAX_MEMORY_BYTES: Final = 2**44
"""16 TiB: more than any machine has, and far from what a kernel takes for a limit."""
MAX_PRIORITY: Final = 10
Threads = Annotated[int, Field(ge=1, le=256)]


class Benchmark(RequestModel):
    """What is timed. `shapes` fixes an input's whole shape where the model leaves it open (batch axis included)."""

    batch_sizes: list[Annotated[int, Field(ge=1, le=4096)]] = Field(
        description="Samples at once, each timed; the first is the one that requirements are judged by.",
        default=[1],
        min_length=1,
        max_length=8,
    )
    threads: Threads | Annotated[list[Threads], Field(min_length=1, max_length=8)] = Field(
        default=1, description="Threads of the runtime; several are each timed with every batch size."
    )
    rounds: int = Field(description="How often both models are timed in turns.", default=15, ge=9, le=1000)
    shapes: dict[str, Annotated[list[Dimension], Field(max_length=MAX_DIMENSIONS)]] = Field(
        description="Whole shapes of inputs that the model leaves open, by name; the batch axis is 1.",
        default_factory=dict,
        max_length=MAX_INPUTS,
    )

    @property
    def thread_counts(self) -> list[int]:
        return [self.threads] if isinstance(self.threads, int) else self.threads


class Limits(RequestModel):
    """When an attempt is stopped: wall-clock seconds, and resident bytes of its processes.

    The operator of a service may allow less (`GET /v1/limits`); what is left out is then as much as that.
    """

    seconds: int = Field(
        description="Wall-clock seconds that one attempt may take.", default=3600, ge=1, le=7 * 86400
    )
    memory_bytes: int = Field(
        description="Resident bytes that the processes of one attempt may take.",
        default=8 * 2**30,
        ge=256 * 2**20,
        le=MAX_MEMORY_BYTES,
    )


class JobSettings(RequestModel):
    """What a job is told besides its recipe."""

    model: str = Field(description="Id of the model to compress; it has to be ready.")
    name: Name | None = Field(default=None, description="What the job is called; only people read it.")
    tags: dict[Tag, Annotated[str, StringConstraints(max_length=200)]] = Field(
        description="Labels to find the job again, with values of your own.",
        default_factory=dict,
        max_length=50,
    )
    seed: int = Field(
        description="Of everything drawn at random: the same seed, model, recipe and data give the same "
        "result.",
        default=0,
        ge=0,
        lt=2**32,
    )
    data: DataUses = Field(
        description="The dataset, or the datasets by their role.", default_factory=DataUses
    )
    evaluation: Evaluation | None = Field(
        default=None, description="How quality is measured; null for not at all."
    )
    require: Requirements = Field(description="What the result has to meet.", default_factory=Requirements)
    benchmark: Benchmark = Field(description="What is timed.", default_factory=Benchmark)
    target: JobTarget = Field(
        default=DEFAULT_TARGET,
        description="What the result is made for. A runtime that workers have times and judges the model and its "
        "candidates; of others rules say what they take (`GET /v1/targets`), and onnxruntime-cpu times and judges.",
    )
    precision: Precision = Field(
        default="f32",
        description="What the target computes floats in, for the model as uploaded, too: `f32`, as the file says, or "
        "`bf16`, which openvino-cpu takes by itself on CPUs with AMX: 2 to 3 digits, faster.",
    )
    target_features: Annotated[list[CpuFeature], Field(max_length=16)] | None = Field(
        default=None,
        description="Features of the CPU that the result is made for, as /proc/cpuinfo calls them: what 8-bit weights "
        "are chosen by. Null: those of the worker's. None of them is simulated: times and quality are the worker's.",
    )
    limits: Limits = Field(description="When an attempt is stopped.", default_factory=Limits)
    generate: Generate | None = Field(
        default=None,
        description="How a package of several graphs answers token by token: its steps are calibrated on that loop, "
        "and it is run before and after; null for not at all.",
        examples=[GENERATE],
    )
    explain: bool = Field(
        default=False,
        description="Whether the result and the model as uploaded are also compared in what they look at: `fidelity` "
        "of the report.",
    )

    @model_validator(mode="after")
    def _target_is_of_a_piece(self) -> Self:
        why = why_no_such_target(self.target, self.precision, self.target_features)
        if why is not None:
            raise ValueError(why)
        return self


class ClosedJob(JobSettings):
    """A job that leaves nothing open: what a worker does."""

    recipe: Recipe = Field(description="What is done to the model.")


class JobRequest(JobSettings):
    """`POST /v1/jobs`."""

    recipe: AskedRecipe = Field(
        description="What is done to the model: steps, of which settings may be left open, a preset, or `auto`."
    )
    search: Search | None = Field(
        default=None,
        description="What is wanted most and what finding it may cost; for recipes that leave something open, and only "
        "for these.",
    )
    needs: list[Need] = Field(
        description="What its worker has to have, `cuda` for example; the job waits for one. A target needs what it "
        "implies.",
        default_factory=list,
        max_length=MAX_NEEDS,
    )
    priority: int = Field(
        description="Of an owner's jobs that wait, those with the higher number go first.",
        default=0,
        ge=-MAX_PRIORITY,
        le=MAX_PRIORITY,
    )

    @model_validator(mode="after")
    def _open_means_search(self) -> Self:
        if self.search is None and isinstance(self.recipe, OpenRecipe | Auto):
            raise ValueError(
                'the recipe leaves something open: give search, for example {"objective": "latency", "budget": '
                '{"seconds": 600}}'
            )
        if self.search is not None and isinstance(self.recipe, Recipe):
            raise ValueError("the recipe leaves nothing open: there is nothing to search, leave search out")
        return self

    def closed(self, recipe: Recipe) -> ClosedJob:
        """The same job with this recipe."""
        settings = {name: getattr(self, name) for name in JobSettings.model_fields}
        return ClosedJob(recipe=recipe, **settings)


class StepProgress(ResponseModel):
    """`index` and `kind` of the step at work (`kind` is `measure` for the last part), `progress` 0–1 of it.

    `message` is the last thing that the step had to say: of a training its epoch, loss and speed.
    """

    index: int = Field(description="Position of the step in the recipe, from 0.")
    kind: str = Field(description="Of the step; `measure` for the measurements at the end.")
    progress: float = Field(description="Share of the step that is done, from 0 to 1.")
    message: str | None = Field(description="What the step said last, for people; null while it is silent.")


class Artifact(ResponseModel):
    """A file that the job made."""

    sha256: str = Field(description="Of its bytes, in hexadecimal.")
    size_bytes: int = Field(description="Its size.")


class TrialCounts(ResponseModel):
    """How many trials of a search are in each state."""

    waiting: int = Field(description="Trials that wait for a worker.")
    running: int = Field(description="Trials at work.")
    finished: int = Field(description="Trials with a result.")
    failed: int = Field(description="Trials that ended with a problem.")
    stopped_early: int = Field(description="Trials that were not worth finishing, or out of time.")


class Job(ResponseModel):
    """`GET /v1/jobs/{id}`: how it stands, then what was asked.

    `artifact` is the best that was found; a job that failed with `training_diverged` has one too, never measured.
    `curves` is a zip of TensorBoard event files, null when nothing was trained.
    """

    id: str = Field(description="Of the job, made by the service.")
    state: JobState = Field(description="How far it is; the last three are final.")
    outcome: Outcome | None = Field(
        description="`accepted`: something was required and is met; `unchecked`: nothing was required; null until the "
        "job has succeeded."
    )
    attempt: int = Field(description="Number of the attempt at work, or of the last one; 0 before the first.")
    max_attempts: int = Field(description="Attempts before the job is given up.")
    queue_position: int | None = Field(
        description="Its place among the waiting jobs that need the same, from 1; null when it does not wait."
    )
    waiting_for: WaitingFor | None = Field(
        description="What no worker has that the job, or what waits of a search, needs; null when it does not wait for "
        "that."
    )
    step: StepProgress | None = Field(
        description="The step at work, or the one at which the attempt ended; null before the first."
    )
    progress: float = Field(description="Share of the whole that is done, from 0 to 1.")
    seconds_left: int | None = Field(
        description="Estimate of the seconds to its end; null where there is none."
    )
    problem: Problem | None = Field(description="Why it failed; null otherwise.")
    requirements: list[RequirementResult] | None = Field(
        description="What was required, and whether it is met; null until it is known."
    )
    graph_sha256: str | None = Field(
        description="Of the compressed model without its `winnow.*` metadata: the same for the same model, recipe, "
        "data and seed; null until there is a report."
    )
    artifact: Artifact | None = Field(description="The compressed model; null until there is one.")
    curves: Artifact | None = Field(
        description="A zip of the curves of its training; null when it trained nothing."
    )
    trials: TrialCounts | None = Field(
        description="How far its search is (`GET /v1/jobs/{id}/trials`); null where nothing is searched."
    )
    pinned: bool = Field(default=False, description=PINNED)
    created_at: datetime = Field(description="When it was submitted.")
    started_at: datetime | None = Field(description="When its first attempt began; null before.")
    finished_at: datetime | None = Field(description="When it came to its end; null before.")
    model: str = Field(description="Id of the model that it compresses.")
    name: str | None = Field(description="What it is called; null when it was given no name.")
    tags: dict[str, str] = Field(description="The labels that it was given.")
    seed: int = Field(description="Of everything drawn at random.")
    recipe: AskedRecipe = Field(description="What is done to the model, every setting written out.")
    search: Search | None = Field(
        default=None, description="What is searched for; null where the recipe leaves nothing open."
    )
    data: DataUses = Field(description="The datasets that it uses, by their role.")
    evaluation: Evaluation | None = Field(description="How quality is measured; null for not at all.")
    require: Requirements = Field(description="What the result has to meet.")
    benchmark: Benchmark = Field(description="What is timed.")
    target: JobTarget = Field(
        description="What it is made for, and timed and judged on where workers have it."
    )
    precision: Precision = Field(default="f32", description="What the target computes floats in.")
    target_features: list[str] | None = Field(
        default=None, description="Features of the CPU that it is made for; null: those of the worker's."
    )
    limits: Limits = Field(description="When an attempt is stopped.")
    generate: Generate | None = Field(
        default=None,
        description="How a package answers token by token; null where that is not asked.",
        examples=[GENERATE],
    )
    explain: bool = Field(
        default=False, description="Whether both models are also compared in what they look at."
    )
    needs: list[str] = Field(
        description="What its worker has to have: what was asked, and what the target implies."
    )
    priority: int = Field(description="The higher goes first, among the jobs of one owner.")


class LogRecord(ResponseModel):
    """One line of `GET /v1/jobs/{id}/logs`, and the data of one server-sent event."""

    id: int = Field(
        description="Of the record; it grows with time. Give it as `after` or Last-Event-ID to go on behind "
        "it."
    )
    time: datetime = Field(description="When it happened.")
    attempt: int = Field(description="The attempt that it belongs to.")
    level: Literal["info", "warning", "error"] = Field(description="How much attention it deserves.")
    event: Literal["state", "progress", "log"] = Field(
        description="A change of state, progress, or something that a step said."
    )
    step: str | None = Field(description="Kind of the step at work; null outside of steps.")
    message: str = Field(description="A sentence for people.")
    values: dict[str, Any] = Field(description="Numbers and names in the sentence, for programs.")
