"""A search without a service: rows in a list, and a worker that makes up results."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from app.storage.records import Decision, Trial
from winnow.contract.open_steps import OpenRecipe
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.search import Budget, Space
from worker.search.plan import Plan
from worker.search.turn import decide

Evaluate = Callable[[dict[str, Any], float], dict[str, Any]]
"""From a closed recipe and the share of its epochs to a result; raises where the trial fails."""

MILLION = 1_000_000
PROBLEM = {"code": "nothing_to_compress", "title": "Nothing", "detail": "Nothing to compress.", "status": 422}


def plan_of(*recipes: list[dict[str, Any]], **changes: Any) -> Plan:
    """A plan for open recipes, with a budget of 12 trials for the smallest size."""
    spaces = tuple(
        Space(recipe=OpenRecipe.model_validate({"steps": steps}), why="it is a test") for steps in recipes
    )
    settings: dict[str, Any] = {
        "job": "job_1",
        "owner": "local",
        "seed": 0,
        "spaces": spaces,
        "objective": "size",
        "budget": Budget(trials=12),
        "require": Requirements(max_metric_drop=0.01),
        "size_bytes": MILLION,
        "macs": MILLION,
        "started_at": 1000.0,
        "predict": unpredictable,
    }
    return Plan(**settings | changes)


def unpredictable(recipe: Recipe) -> int | None:
    return None


def result(
    *,
    size: float = MILLION,
    drop: float = 0.0,
    width: float = 0.0,
    speedup: float = 1.0,
    max_drop: float | None = None,
    requirements: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """A trial's result; with `max_drop`, judged by it on the worse bound."""
    interval = (drop - width, drop + width)
    entries = list(requirements or [])
    if max_drop is not None:
        met = interval[1] <= max_drop
        entries.append(entry("max_metric_drop", max_drop, drop, interval, met))
    return {
        "size_bytes": round(size),
        "speedup": {"value": speedup, "interval": (speedup * 0.97, speedup * 1.03)},
        "metrics": {"top1": {"before": 0.9, "after": 0.9 - drop, "drop": drop, "interval": interval}},
        "macs": round(size),
        "memory_bytes": round(size),
        "parity": {"cosine": 0.99, "snr_db": 30.0},
        "requirements": entries,
    }


def entry(
    name: str,
    asked: float,
    measured: float | None,
    interval: tuple[float, float] | None = None,
    met: bool = True,
) -> dict[str, Any]:
    return {"name": name, "asked": asked, "measured": measured, "interval": interval, "met": met, "why": None}


def trial(number: int, **changes: Any) -> Trial:
    settings: dict[str, Any] = {
        "id": f"trl_{number}",
        "job": "job_1",
        "number": number,
        "state": "finished",
        "created_at": 1000.0,
        "recipe": {"steps": [{"kind": "float16"}]},
        "artifact_sha256": f"a{number}",
        "graph_sha256": f"g{number}",
    }
    return Trial(**settings | changes)


class Service:
    """Turns and trials in turns, as workers would do them, on one clock; a share of the trials is stopped midway."""

    def __init__(
        self, plan: Plan, evaluate: Evaluate, *, workers: int = 1, seconds: float = 1.0, stops: float = 0.0
    ) -> None:
        self.plan, self.evaluate, self.workers, self.seconds = plan, evaluate, workers, seconds
        self.stops, self.draw = stops, random.Random(plan.seed)
        self.rows: list[Trial] = []
        self.job: dict[str, Any] = {}
        self.now = plan.started_at
        self.runs: list[tuple[str, float]] = []
        self.messages: list[str] = []

    def turn(self, cancelling: bool = False) -> Decision:
        decision = decide(self.plan, self.rows, workers=self.workers, now=self.now, cancelling=cancelling)
        self.rows = [replace(row, **decision.change.get(row.id, {})) for row in self.rows] + decision.add
        self.job |= decision.job or {}
        self.messages += [event.message for event in decision.events]
        return decision

    def waiting(self) -> list[Trial]:
        return [row for row in self.rows if row.state == "waiting"]

    def put(self, row: Trial) -> None:
        self.rows = [row if each.id == row.id else each for each in self.rows]

    def end(self, row: Trial) -> None:
        """Run a waiting row to its end."""
        self.now += self.seconds
        if row.role == "final":
            self.put(replace(row, state="finished"))
            self.job |= {"state": "succeeded"}
            return
        if self.draw.random() < self.stops or (row.deadline is not None and self.now > row.deadline):
            self.put(replace(row, state="stopped_early", seconds=row.seconds + self.seconds))
            return
        assert row.recipe is not None
        self.runs.append((str(row.recipe), row.share))
        made = {"artifact_sha256": row.id, "graph_sha256": row.id, "seconds": row.seconds + self.seconds}
        try:
            self.put(replace(row, state="finished", result=self.evaluate(row.recipe, row.share), **made))
        except ValueError:
            self.put(replace(row, state="failed", problem=PROBLEM, seconds=row.seconds + self.seconds))

    def run(self, most_turns: int = 500) -> "Service":
        """Until the job has ended."""
        for _ in range(most_turns):
            if self.job.get("state") in ("succeeded", "failed", "cancelled"):
                return self
            self.turn()
            for row in self.waiting()[: self.workers]:
                self.end(row)
        raise AssertionError("the search does not end")

    @property
    def trials(self) -> list[Trial]:
        return [row for row in self.rows if row.role == "trial"]

    @property
    def final(self) -> Trial:
        return [row for row in self.rows if row.role == "final"][-1]


def noisy(seed: int, recipe: dict[str, Any], scale: float) -> float:
    """Noise that is the same for the same recipe, as training with a seed is."""
    return random.Random(f"{seed}{recipe}").gauss(0, scale)
