"""What an agent asks a compression with: the request of a job, flat and without what agents seldom need."""

import json
from typing import Any, Literal, TypeVar

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, ConfigDict, Field

from winnow.contract.asked_recipe import PresetName
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Metric, Task
from winnow.contract.job import JobRequest
from winnow.contract.recipe import Requirements
from winnow.contract.search import Objective
from winnow.contract.strict_json import read_model

M = TypeVar("M", bound=BaseModel)


class Compression(BaseModel):
    """Exactly one of steps, preset and auto says what is done; auto, and presets that search, need seconds or
    trials."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="Id of the model, mdl_…, from upload_model.")
    dataset: str | None = Field(
        default=None,
        description="Id of a dataset, dst_…: half of it calibrates and trains, a quarter chooses, a quarter judges.",
    )
    steps: list[dict[str, Any]] | None = Field(
        default=None,
        description="Steps in order, objects with `kind`; step_settings tells kinds and settings.",
    )
    preset: PresetName | None = Field(default=None, description="A recipe or search by its name.")
    auto: bool = Field(default=False, description="Search all that suits the model.")
    metric: Metric | None = Field(default=None, description="How quality is measured; needs the dataset.")
    task: Task | Literal["auto"] | None = Field(
        default=None, description="What the model is for, where no metric says it."
    )
    require: Requirements | None = Field(default=None, description="What the result has to meet.")
    objective: Objective = Field(default="latency", description="What a search wants most.")
    seconds: int | None = Field(default=None, ge=1, description="Search for so long.")
    trials: int | None = Field(default=None, ge=1, description="Try so many recipes at most.")
    seed: int = Field(default=0, ge=0, description="Of everything drawn at random.")

    def job_request(self) -> JobRequest:
        """Raises `ToolError` with every fault and its path."""
        asked: dict[str, Any] = {"model": self.model, "recipe": self._recipe(), "seed": self.seed}
        budget = _without_none(seconds=self.seconds, trials=self.trials)
        parts = {
            "data": _without_none(dataset=self.dataset),
            "evaluation": _without_none(metric=self.metric, task=self.task),
            "require": {} if self.require is None else self.require.model_dump(exclude_unset=True),
            "search": {"objective": self.objective, "budget": budget} if budget else {},
        }
        return read_given(JobRequest, asked | {name: part for name, part in parts.items() if part})

    def _recipe(self) -> dict[str, Any]:
        ways: list[dict[str, Any] | None] = [
            {"steps": self.steps} if self.steps else None,
            {"preset": self.preset} if self.preset else None,
            {"auto": {}} if self.auto else None,
        ]
        given = [way for way in ways if way is not None]
        if len(given) != 1:
            raise ToolError("Give exactly one of steps, preset and auto: each says what is done.")
        return given[0]


def read_given(kind: type[M], values: dict[str, Any]) -> M:
    """What an agent gave as a model of the contract. Raises `ToolError` with every fault and its path."""
    try:
        return read_model(kind, json.dumps(values))
    except Refusal as refusal:
        faults = [f"{it.path}: {it.detail}" for it in refusal.problem.errors] or [refusal.problem.detail]
        raise ToolError(" ".join(faults)) from refusal


def _without_none(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
