"""What a search is, which no turn changes."""

from collections.abc import Callable
from dataclasses import dataclass

from winnow.contract.errors import Problem
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.requirements import QUALITY, SPEED
from winnow.contract.search import Budget, Objective, Space

Predict = Callable[[Recipe], int | None]
"""The size of the artifact in bytes, without running anything; None where it cannot be computed."""

Refuse = Callable[[Recipe], Problem | None]
"""What a job of the recipe would be refused for at `POST`; None where it would be taken."""


def refuse_nothing(_: Recipe) -> Problem | None:
    """Of a plan by which nothing further is tried."""
    return None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`spaces` are what is searched, the most promising first. `size_bytes` and `macs` are of the upload; `started_at`
    is when the job began, in seconds since the epoch."""

    job: str
    owner: str
    seed: int
    spaces: tuple[Space, ...]
    objective: Objective
    budget: Budget
    require: Requirements
    size_bytes: int
    macs: int | None
    started_at: float
    predict: Predict
    refuse: Refuse = refuse_nothing

    @property
    def asks_for_quality(self) -> bool:
        return bool(QUALITY & self.required)

    @property
    def asks_for_time(self) -> bool:
        return self.objective == "latency" or bool(SPEED & self.required)

    @property
    def required(self) -> frozenset[str]:
        """The names of the requirements that are stated."""
        return self.require.stated
