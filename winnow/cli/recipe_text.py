"""A closed recipe in one line, as `--step` takes its steps."""

import json

from winnow.contract.recipe import AnyStep, Recipe


def recipe_text(recipe: Recipe | None) -> str:
    """Write the steps like `--step`, without what is the default, joined by commas."""
    return "the upload" if recipe is None else ", ".join(map(_step_text, recipe.steps))


def _step_text(step: AnyStep) -> str:
    settings = step.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
    words = [
        f"{name}={item if isinstance(item, str) else json.dumps(item)}"
        for name, value in settings.items()
        for item in (value if isinstance(value, list) else [value])
    ]
    return " ".join([step.kind, *words])
