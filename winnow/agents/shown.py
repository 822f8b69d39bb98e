"""What an agent is told: the same answers as everybody's, without what only fills its memory."""

from typing import Any

from pydantic import BaseModel

from winnow.contract.base import Interval
from winnow.contract.dataset import Dataset
from winnow.contract.job import Job, JobState, StepProgress
from winnow.contract.model import Model, TensorSpec
from winnow.contract.report import NextStep, Outcome, Pair, Report, RequirementResult, Verdict


class ShownModel(BaseModel):
    """A model that was uploaded. `operators` counts its nodes by kind."""

    id: str
    name: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    parameters: int | None
    macs: int | None
    size_bytes: int
    quantized: bool | None
    operators: dict[str, int]


class ShownDataset(BaseModel):
    """A dataset that was uploaded; one whose declaration is wrong is `rejected`, and `problem` says why."""

    id: str
    name: str
    state: str
    samples: int | None
    problem: str | None


class ShownJob(BaseModel):
    """How a job stands. It has ended when `state` is succeeded, failed or cancelled."""

    id: str
    state: JobState
    outcome: Outcome | None
    progress: float
    seconds_left: int | None
    step: StepProgress | None
    problem: str | None


class ShownMetric(BaseModel):
    """A metric before and after, how much worse it is, and the 95 % interval of that."""

    metric: str
    samples: int
    before: float
    after: float
    drop: float
    drop_interval: Interval
    held_out: bool


class ShownSpeed(BaseModel):
    """Times as fast, with its 95 % interval; null with the reason in `untold`."""

    batch_size: int
    threads: int
    speedup: float | None
    speedup_interval: Interval | None
    before_ms: float
    after_ms: float
    untold: str | None


class ShownReport(BaseModel):
    """What came of a job. `next_steps` are requests that are worth trying."""

    outcome: Outcome
    verdict: Verdict
    requirements: list[RequirementResult]
    size_bytes: Pair
    parameters: Pair
    metrics: list[ShownMetric]
    speed: list[ShownSpeed]
    steps: list[str]
    graph_sha256: str
    recipe: dict[str, Any] | None
    next_steps: list[NextStep]
    notes: list[str]


def shown_model(model: Model) -> ShownModel:
    facts = {name: getattr(model, name) for name in ShownModel.model_fields}
    return ShownModel.model_validate({**facts, **{name: facts[name] or [] for name in ("inputs", "outputs")}})


def shown_dataset(dataset: Dataset) -> ShownDataset:
    return ShownDataset(
        id=dataset.id,
        name=dataset.name,
        state=dataset.state,
        samples=dataset.samples,
        problem=None if dataset.problem is None else dataset.problem.detail,
    )


def shown_job(job: Job) -> ShownJob:
    facts = {name: getattr(job, name) for name in ShownJob.model_fields if name != "problem"}
    return ShownJob(
        **facts, problem=None if job.problem is None else f"{job.problem.detail} [{job.problem.code}]"
    )


def shown_report(report: Report) -> ShownReport:
    """Without raw timings and layers: `download` brings them."""
    search = report.search
    return ShownReport(
        outcome=report.outcome,
        verdict=report.verdict,
        requirements=report.requirements,
        size_bytes=report.size_bytes,
        parameters=report.parameters,
        metrics=[
            ShownMetric.model_validate({name: getattr(entry, name) for name in ShownMetric.model_fields})
            for entry in report.quality
        ],
        speed=[
            ShownSpeed(
                batch_size=entry.batch_size,
                threads=entry.threads,
                speedup=entry.speedup,
                speedup_interval=entry.speedup_interval,
                before_ms=entry.baseline_ms.p50,
                after_ms=entry.candidate_ms.p50,
                untold=entry.untold,
            )
            for entry in report.latency
        ],
        steps=[f"{step.kind}: {step.changed} of {step.candidates} nodes changed" for step in report.steps],
        graph_sha256=report.graph_sha256,
        recipe=None if search is None or search.recipe is None else search.recipe.model_dump(mode="json"),
        next_steps=report.next_steps,
        notes=report.notes,
    )
