"""Models, datasets and jobs as tables."""

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table

from winnow.cli.screen import Column, facts, table
from winnow.contract import units
from winnow.contract.asked_recipe import kinds_of
from winnow.contract.capability import CPU
from winnow.contract.dataset import Dataset
from winnow.contract.job import Job
from winnow.contract.model import Model, TensorSpec

TOP = 8
"""So many kinds of operators are named, the most frequent first."""


def model_facts(model: Model) -> Table:
    return facts(model.name, _model_rows(model))


def _model_rows(model: Model) -> Iterator[tuple[str, object]]:
    yield "id", model.id
    yield "state", _state(model)
    if model.parent is not None:
        yield "parent", model.parent
    yield "format", model.format if model.opset is None else f"{model.format}, opset {model.opset}"
    yield "size", units.size(model.size_bytes)
    if model.state != "ready":
        return
    for spec in model.inputs or []:
        yield "input", _tensor(spec)
    for spec in model.outputs or []:
        yield "output", _tensor(spec)
    yield "parameters", units.count(model.parameters)
    yield "multiply-accumulates", units.count(model.macs)
    yield "quantized", "yes, already" if model.quantized else "no"
    yield "operators", _operators(model.operators or {})


def dataset_facts(dataset: Dataset) -> Table:
    return facts(dataset.name, _dataset_rows(dataset))


def _dataset_rows(dataset: Dataset) -> Iterator[tuple[str, object]]:
    yield "id", dataset.id
    yield "state", _state(dataset)
    yield "size", units.size(dataset.size_bytes)
    if dataset.state != "ready":
        return
    yield "samples", units.count(dataset.samples)
    for name, given in (dataset.inputs or {}).items():
        yield "input", f"{name}: {given.dtype}{given.shape} per sample, from {given.array or 'a constant'}"
    yield "target", dataset.target or "none"
    for name, array in (dataset.arrays or {}).items():
        bounds = f", {units.number(array.min)} to {units.number(array.max)}" if array.min is not None else ""
        yield "array", f"{name}: {array.dtype}{array.shape}{bounds}{'' if array.finite else ', NOT FINITE'}"


def job_facts(job: Job) -> Table:
    return facts(job.name or job.id, _job_rows(job))


def _job_rows(job: Job) -> Iterator[tuple[str, object]]:
    yield "id", job.id
    yield "state", standing(job)
    if job.problem is not None:
        yield "problem", f"{job.problem.detail} [{job.problem.code}]"
    yield "model", job.model
    yield "recipe", " → ".join(kinds_of(job.recipe))
    yield "attempt", f"{job.attempt} of {job.max_attempts}"
    for result in job.requirements or []:
        met = "met" if result.met else f"NOT met: {result.why}"
        yield "requirement", f"{result.name} {units.number(result.asked)}: {met}"
    if job.artifact is not None:
        yield "artifact", f"{units.size(job.artifact.size_bytes)}, SHA-256 {job.artifact.sha256}"
    yield "created", f"{job.created_at:%Y-%m-%d %H:%M}"


def upload_list(uploads: Iterable[Model | Dataset]) -> Table:
    columns: Sequence[Column] = (
        ("id", "left"),
        ("name", "left"),
        ("state", "left"),
        ("size", "right"),
        ("created", "left"),
    )
    rows = (
        (it.id, it.name, it.state, units.size(it.size_bytes), f"{it.created_at:%Y-%m-%d %H:%M}")
        for it in uploads
    )
    return table(None, columns, rows)


def job_list(jobs: Iterable[Job]) -> Table:
    columns: Sequence[Column] = (
        ("id", "left"),
        ("name", "left"),
        ("state", "left"),
        ("recipe", "left"),
        ("created", "left"),
    )
    rows = (
        (
            job.id,
            job.name or "",
            standing(job),
            " → ".join(kinds_of(job.recipe)),
            f"{job.created_at:%Y-%m-%d %H:%M}",
        )
        for job in jobs
    )
    return table(None, columns, rows)


def standing(job: Job) -> str:
    """The state in a few words: `queued, 3rd in line` is `queued (3)`, `succeeded: accepted`, `failed: code`."""
    if job.waiting_for is not None and job.waiting_for.capability != CPU:
        return f"{job.state}: no worker has {job.waiting_for.capability}"
    if job.state == "queued" and job.queue_position is not None:
        return f"queued ({job.queue_position})"
    if job.state == "running":
        return f"running {job.progress:.0%}"
    if job.state == "failed" and job.problem is not None:
        return f"failed: {job.problem.code}"
    return f"{job.state}: {job.outcome}" if job.outcome else job.state


def _state(upload: Model | Dataset) -> str:
    return f"{upload.state}: {upload.problem.detail}" if upload.problem else upload.state


def _tensor(spec: TensorSpec) -> str:
    shape = ", ".join("?" if size is None else str(size) for size in spec.shape)
    return f"{spec.name}: {spec.dtype}[{shape}]"


def _operators(operators: dict[str, int]) -> str:
    ranked = sorted(operators.items(), key=lambda item: (-item[1], item[0]))
    named = ", ".join(f"{name} {count}" for name, count in ranked[:TOP])
    return named + (f" and {len(ranked) - TOP} more kinds" if len(ranked) > TOP else "")
