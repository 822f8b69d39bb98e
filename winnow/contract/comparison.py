"""Several jobs beside each other: `GET /v1/compare`."""

from datetime import datetime
from typing import Final

from pydantic import Field

from winnow.contract.base import Interval, ResponseModel
from winnow.contract.report import Outcome, Pair, RequirementResult

MIN_JOBS: Final = 2
MAX_JOBS: Final = 20


class ComparedSpeed(ResponseModel):
    """At the first batch size and number of threads of the job's benchmark."""

    batch_size: int = Field(description="Samples at once.")
    threads: int = Field(description="Threads of the runtime.")
    before_ms: float = Field(description="Median time of a run of the model as uploaded, in milliseconds.")
    after_ms: float = Field(description="Median time of a run of the result, in milliseconds.")
    speedup: float | None = Field(
        description="How many times as fast the result is; null where the machine was too busy to tell."
    )
    interval: Interval | None = Field(description="95 % interval of `speedup`; null where untold.")


class ComparedMetric(ResponseModel):
    """A metric on the job's evaluation data."""

    samples: int = Field(description="Number of samples.")
    before: float = Field(description="Of the model as uploaded.")
    after: float = Field(description="Of the result.")
    drop: float = Field(
        description="How much worse the result is, in the metric's own unit; negative where it is better."
    )
    interval: Interval = Field(description="95 % interval of `drop`.")


class ComparedJob(ResponseModel):
    """A finished job by its headline figures. `pareto`: no other of these jobs is as good in size, speed and quality
    and better in one."""

    id: str = Field(description="Of the job.")
    name: str | None = Field(description="What it is called; null when it was given no name.")
    model: str = Field(description="Id of the model that it compressed.")
    recipe: list[str] = Field(description="Kinds of the steps of its result, in order.")
    outcome: Outcome = Field(description="Whether what was required is met.")
    recommend: str = Field(description="What the report recommends: `use_result` or `keep_original`.")
    size_bytes: Pair = Field(description="Sizes of the files.")
    parameters: Pair = Field(description="Numbers of weights.")
    macs: Pair | None = Field(
        description="Multiply-accumulates for one sample; null where shapes are not known."
    )
    peak_rss_bytes: Pair | None = Field(description="Peaks of memory; null where they were not measured.")
    speed: ComparedSpeed | None = Field(description="Null where nothing was timed.")
    metrics: dict[str, ComparedMetric] = Field(description="By their names; empty without an evaluation.")
    requirements: list[RequirementResult] = Field(description="What was required, and whether it is met.")
    pareto: bool = Field(
        description="Whether no other of these jobs is as good in size, speed and quality and better in one."
    )
    cpu: str = Field(description="Model of the CPU that it was measured on.")
    finished_at: datetime = Field(description="When it came to its end.")


class Comparison(ResponseModel):
    """`GET /v1/compare?jobs=a,b`."""

    items: list[ComparedJob] = Field(description="The jobs, in the order in which they were asked for.")
    notes: list[str] = Field(description="What has to be known before figures are held against each other.")
