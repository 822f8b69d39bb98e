"""What the trials of a space with one open setting say of which way to go."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.searching import MILLION, Service, entry, plan_of, result
from winnow.contract.recipe import Recipe, Requirements
from winnow.contract.search import Objective
from worker.search.measured import violation

PRUNING = {"kind": "channel_pruning", "amount": {"between": [0.1, 0.9]}}
KNEE = 0.75


def pruned(share: float, name: str) -> dict[str, Any]:
    """Of a cut: what it leaves is what it takes, in size and time, and from `KNEE` on it costs quality."""
    left = 1 - share
    measured = {"max_size_ratio": (0.5, left, left <= 0.5), "min_speedup": (2.0, 1 / left, 1 / left >= 2)}
    asked, value, met = measured[name]
    return result(
        size=MILLION * left,
        speedup=1 / left,
        drop=0.0 if share < KNEE else 0.1,
        width=0.001,
        max_drop=0.01,
        requirements=[entry(name, asked, value, None, met)],
    )


@pytest.mark.parametrize("is_predicted", [False, True])
@pytest.mark.parametrize(
    ("objective", "name", "asked"),
    [("size", "max_size_ratio", 0.5), ("latency", "min_speedup", 2.0), ("size", "min_speedup", 2.0)],
)
def test_what_is_too_large_or_too_slow_asked_too_little(
    objective: Objective, name: str, asked: float, is_predicted: bool
) -> None:
    """Less would meet none of it, and more does, until the quality goes."""

    def predict(recipe: Recipe) -> int:
        return round(MILLION * (1 - recipe.model_dump()["steps"][0]["amount"]))

    require = Requirements.model_validate({"max_metric_drop": 0.01, name: asked})
    plan = plan_of([PRUNING], objective=objective, require=require)
    plan = replace(plan, predict=predict) if is_predicted else plan
    service = Service(plan, lambda recipe, _: pruned(recipe["steps"][0]["amount"], name)).run()
    [best, *_] = [row for row in service.trials if row.number == service.final.candidates[0]]
    assert best.params["steps.0.amount"] == pytest.approx(KNEE, abs=0.01)


def test_what_is_not_eased_by_more_is_looked_for_in_less() -> None:
    """3 bits are slower than 4, these than 8."""

    def evaluate(recipe: dict[str, Any], _: float) -> dict[str, Any]:
        bits = recipe["steps"][0]["bits"]
        speedup = {8: 1.3, 4: 1.1, 3: 1.0}[bits]
        bound = entry("min_speedup", 1.2, speedup, None, speedup >= 1.2)
        return result(size=MILLION * bits / 32, speedup=speedup, max_drop=0.01, requirements=[bound])

    require = Requirements(max_metric_drop=0.01, min_speedup=1.2)
    plan = plan_of([{"kind": "weight_only", "bits": {"any_of": [8, 4, 3]}}], require=require)
    service = Service(plan, evaluate).run()
    met = [row.params["steps.0.bits"] for row in service.trials if violation(row.result or {}) == 0]
    assert met == [8]
