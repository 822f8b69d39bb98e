"""What the page is called: which model it is about, and what was done to it."""

from winnow.contract.recipe import Recipe
from worker.compression.result.page.subject import Subject


def heading(subject: Subject) -> str:
    """The model's name; `A model` where nobody knows it."""
    return subject.names.model or "A model"


def done(subject: Subject) -> str:
    """The job's name and the recipe: `for the phone: channel_pruning → int8`."""
    name, steps = subject.names.job, _steps(subject.recipe)
    return f"{name}: {steps}" if name else steps


def _steps(recipe: Recipe | None) -> str:
    return " → ".join(step.kind for step in recipe.steps) if recipe and recipe.steps else "the upload, tidied"
