"""What need not be run: recipes that were tried already, those that would be refused as jobs, and those whose predicted
size is out of the question.
"""

import json
from collections.abc import Iterable
from typing import Any, Final

from app.storage.records import Trial
from winnow.contract.recipe import Recipe
from worker.search.plan import Plan
from worker.search.rows import PREDICTED

MARGIN: Final = 1.15
"""Predictions are within a tenth of the artifact's size."""


def recipe_json(recipe: Recipe) -> dict[str, Any]:
    return recipe.model_dump(mode="json")


def identity(recipe: dict[str, Any] | None) -> str:
    """Tell closed recipes apart, every setting written out."""
    return json.dumps(recipe, sort_keys=True)


def tried(rows: Iterable[Trial]) -> set[str]:
    return {identity(row.recipe) for row in rows}


def largest_size(plan: Plan) -> float | None:
    """The most bytes that a result may have; None for any number."""
    ratio, limit = plan.require.max_size_ratio, plan.require.max_size_bytes
    bounds = [
        *([] if ratio is None else [ratio * plan.size_bytes]),
        *([] if limit is None else [float(limit)]),
    ]
    return min(bounds, default=None)


def predicted_too_large(plan: Plan, recipe: Recipe) -> int | None:
    """Predict the size of what cannot meet the requirements; None where it may."""
    largest = largest_size(plan)
    predicted = None if largest is None else plan.predict(recipe)
    if largest is None or predicted is None:
        return None
    return predicted if predicted > MARGIN * largest else None


def skipped_result(plan: Plan, predicted: int) -> dict[str, Any]:
    """What is known of a recipe that is not run."""
    largest = largest_size(plan) or 1.0
    return {PREDICTED: predicted, "violation": predicted / largest - 1}
