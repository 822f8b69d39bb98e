"""How much of its training a recipe is tried with: a share of the epochs of every step that trains."""

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any, Final

from winnow.contract.recipe import Recipe
from worker.search.edge import edge_of
from worker.search.plan import Plan

SHARES: Final = (1 / 9, 1 / 3, 1.0)
"""Of the rungs."""
FEWEST_EPOCHS: Final = 6
FEWEST_TRIALS: Final = 6


def first_share(plan: Plan, recipe: Recipe) -> float:
    """The share of its epochs that a recipe is tried with first."""
    few = plan.budget.trials is not None and plan.budget.trials < FEWEST_TRIALS
    only_edge = len(plan.spaces) == 1 and edge_of(plan, 0) is not None
    return 1.0 if few or only_edge or longest_training(recipe) < FEWEST_EPOCHS else SHARES[0]


def longest_training(recipe: Recipe) -> int:
    """The epochs, or optimizer steps, of the longest training in it; 0 without any."""
    return max(_lengths(recipe.model_dump(mode="json")), default=0)


def at_share(recipe: Recipe, share: float) -> Recipe:
    """Shorten every training, also between the rounds of a pruning, to a share: at least one epoch."""
    return Recipe.model_validate(_shortened(recipe.model_dump(mode="json"), share))


def _lengths(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        if "epochs" in value:
            yield value["epochs"] if value.get("steps") is None else value["steps"]
        for inside in value.values():
            yield from _lengths(inside)
    if isinstance(value, list):
        for inside in value:
            yield from _lengths(inside)


def _shortened(value: Any, share: float) -> Any:
    if isinstance(value, list):
        return [_shortened(inside, share) for inside in value]
    if not isinstance(value, Mapping):
        return value
    inside = {name: _shortened(each, share) for name, each in value.items()}
    if "epochs" in value:
        inside |= {
            name: max(1, ceil(value[name] * share - 1e-9)) for name in ("epochs", "steps") if value[name]
        }
    return inside
