"""A trial of a search, as the service shows it, and which of several trials no other one beats."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pydantic import Field

from winnow.contract.base import Interval, ResponseModel
from winnow.contract.errors import Problem
from winnow.contract.job import Artifact
from winnow.contract.recipe import Recipe

TrialState = Literal["waiting", "running", "finished", "failed", "stopped_early"]


class TrialSpeedup(ResponseModel):
    """How many times as fast as the upload, timed beside other work: an estimate."""

    value: float = Field(description="How many times as fast the result is.")
    interval: Interval | None = Field(description="95 % interval of `value`; null where there is none.")


class TrialMetric(ResponseModel):
    """A metric on the selection part of the evaluation data."""

    before: float = Field(description="Of the model as uploaded.")
    after: float = Field(description="Of the result.")
    drop: float = Field(
        description="How much worse the result is, in the metric's own unit; negative where it is better."
    )
    interval: Interval | None = Field(description="95 % interval of `drop`; null where there is none.")


class Trial(ResponseModel):
    """A recipe that a search tries. What was measured is null until it has finished, and where it was not measured."""

    number: int = Field(description="Its place among the trials of the job, from 0.")
    state: TrialState = Field(
        description="`finished`, `failed` with a problem, and `stopped_early` (not promising, or out of time): final."
    )
    recipe: Recipe | None = Field(
        description="What is tried, every setting closed: it can be sent as a job. Null for the upload as it is."
    )
    size_bytes: int | None = Field(description="Size of its artifact.")
    speedup: TrialSpeedup | None = Field(description="Compared with the upload; null where it was not timed.")
    metrics: dict[str, TrialMetric] = Field(
        description="Name of the metric → its value before and after, on the data that trials are compared on."
    )
    meets: bool | None = Field(description="Whether all that is required is met; null until it is known.")
    pareto: bool = Field(
        description="Whether no other finished trial is as good in size, latency and quality and better in one."
    )
    share: float = Field(
        description="Share of their epochs that its steps trained so far: below 1 it was tried short."
    )
    seconds: float = Field(description="How long its runs took, together.")
    worker: str | None = Field(description="The worker that ran it last; null before.")
    problem: Problem | None = Field(description="Why it failed; null otherwise.")
    artifact: Artifact | None = Field(
        description="The compressed model that it made; null where it made none."
    )


class Costs(NamedTuple):
    """What a trial costs, the less the better; infinite where it was not measured."""

    size_bytes: float
    latency: float
    loss: float


def pareto(costs: Mapping[int, Costs]) -> frozenset[int]:
    """Name the trials that no other one dominates: as good in everything and better in something. Ties stay.

    What dominates another comes before it in order, so that each has to be held against the front so far only.
    """
    front: dict[int, Costs] = {}
    for number, mine in sorted(costs.items(), key=lambda item: item[1]):
        if not any(_dominates(other, mine) for other in front.values()):
            front[number] = mine
    return frozenset(front)


def _dominates(mine: Costs, other: Costs) -> bool:
    return mine != other and all(a <= b for a, b in zip(mine, other, strict=True))
