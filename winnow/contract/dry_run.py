"""What `POST /v1/jobs?dry_run=true` answers: whether the job would be taken, and what it would come to."""

from pydantic import Field

from winnow.contract.base import ResponseModel
from winnow.contract.errors import Problem
from winnow.contract.forecast.steps import StepForecast


class Forecast(ResponseModel):
    """What a job would come to, from records alone: sizes are computed, time and memory are those of jobs like it."""

    steps: list[StepForecast] = Field(description="What each step is expected to leave, in order.")
    seconds: tuple[float, float] | None = Field(
        description="The time it takes once it runs, at least and at most, if it is like the jobs before it; null "
        "without such jobs."
    )
    memory_bytes: tuple[int, int] | None = Field(
        description="The most memory that its processes take together, likewise; null without such jobs."
    )
    basis: str = Field(description="What the forecast rests on, for people.")


class DryRun(ResponseModel):
    """Nothing is created. Problems are those that the job would be refused for."""

    fits: bool = Field(description="Whether the job would be taken.")
    forecast: Forecast | None = Field(
        description="What it would come to; null where the model cannot be used."
    )
    problems: list[Problem] = Field(
        description="Why it would be refused, each fault with its fields; none where it fits."
    )
