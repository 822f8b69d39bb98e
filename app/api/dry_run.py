"""Answer what a job would come to: checked as one that is sent, forecast from records in place of a worker."""

from collections.abc import Sequence
from typing import Final

from app.api.deps import Parts
from app.api.quotas import check_job
from app.api.submission import Named, look_through
from app.storage.records import Duration
from winnow.contract.asked_recipe import kinds_of
from winnow.contract.dry_run import DryRun, Forecast
from winnow.contract.errors import Refusals
from winnow.contract.forecast.history import Past, Range, expected, largest, summed
from winnow.contract.forecast.steps import StepForecast, forecast_steps
from winnow.contract.forecast.workload import Workload, workloads
from winnow.contract.job import JobRequest

MAX_PAST: Final = 200
"""Parts of finished jobs, of one kind, that are looked at."""
SHOWN_CPUS: Final = 3

Likened = Sequence[tuple[Workload, list[Duration]]]
"""The parts of a job, each with what others like it took."""


def dry_run(parts: Parts, owner: str, request: JobRequest) -> DryRun:
    """Tell whether the job would be taken, and then what it would come to. Nothing is changed."""
    refusals = Refusals()
    with refusals:
        check_job(parts, owner)
    named = look_through(refusals, parts, owner, request)
    problems = [part.problem for part in refusals.parts]
    return DryRun(
        fits=not problems, forecast=None if problems else _forecast(parts, request, named), problems=problems
    )


def _forecast(parts: Parts, request: JobRequest, named: Named) -> Forecast:
    model = named.models[request.model]
    if named.closed is None:
        return _of_search(request)
    likened = [
        (part, parts.records.durations(part.kind, part.operators, MAX_PAST))
        for part in workloads(named.closed, model, named.datasets)
    ]
    seconds, memory = _seconds(likened), _memory(likened)
    steps = forecast_steps(named.closed.recipe.steps, model, named.models)
    return Forecast(
        steps=steps,
        seconds=None if seconds is None else (round(seconds[0], 1), round(seconds[1], 1)),
        memory_bytes=None if memory is None else (round(memory[0]), round(memory[1])),
        basis=f"{_basis_of_sizes(steps)} {_basis_of_time(likened)}",
    )


def _of_search(request: JobRequest) -> Forecast:
    """What is open is found by measuring; how long that may take was asked for."""
    assert request.search is not None
    steps = [
        StepForecast(kind=kind, size_bytes=None, macs=None, basis="measured only")
        for kind in kinds_of(request.recipe)
    ]
    budget = request.search.budget.seconds
    return Forecast(
        steps=steps,
        seconds=None if budget is None else (0.0, float(budget)),
        memory_bytes=None,
        basis="What a search finds only measuring tells; it takes its budget at most, and judging the winner on top.",
    )


def _seconds(likened: Likened) -> Range | None:
    """The parts one after the other."""
    return summed(
        [
            expected(part.amount, (Past(_amount(each), each.seconds) for each in past))
            for part, past in likened
        ]
    )


def _memory(likened: Likened) -> Range | None:
    """The most that one of the parts takes, by the weights that it holds."""
    return largest(
        [
            expected(part.parameters, (Past(each.parameters, each.memory_bytes) for each in past))
            for part, past in likened
        ]
    )


def _amount(past: Duration) -> float:
    return Workload(past.kind, past.operators, past.macs, past.parameters, past.samples, past.epochs).amount


def _basis_of_sizes(steps: Sequence[StepForecast]) -> str:
    measured = [f"{index} ({step.kind})" for index, step in enumerate(steps) if step.basis == "measured only"]
    if len(measured) == len(steps):
        return "Which size results only measuring tells."
    sizes = "Sizes and multiply-accumulates are computed from the model's weights and channel groups"
    return (
        f"{sizes}, but for steps {', '.join(measured)}, of which only measuring tells."
        if measured
        else f"{sizes}."
    )


def _basis_of_time(likened: Likened) -> str:
    new = [part.kind for part, past in likened if not past]
    operators = (likened[0][0].operators or "no layers").replace(",", ", ")
    if new:
        return (
            "Time and memory are not told: no job has finished yet that did "
            f"{', '.join(dict.fromkeys(new))} on a model with the same kinds of layer ({operators})."
        )
    durations = [each for _, past in likened for each in past]
    jobs = len({each.job for each in durations})
    cpus = list(dict.fromkeys(each.cpu for each in durations))
    more = ", …" if len(cpus) > SHOWN_CPUS else ""
    return (
        f"Time and memory follow from {jobs} finished {'job' if jobs == 1 else 'jobs'} with such steps on the same "
        f"kinds of layer ({operators}), by multiply-accumulates and samples, on {', '.join(cpus[:SHOWN_CPUS])}{more}."
    )
