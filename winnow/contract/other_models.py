"""The other models of a job: teachers and students."""

from winnow.contract.job import JobRequest
from winnow.contract.recipe import ChannelPruning


def named_models(request: JobRequest) -> dict[str, str]:
    """The other models that the steps name: id → the first field that names it."""
    named: dict[str, str] = {}
    for index, step in enumerate(request.recipe.steps):
        inside = ".recovery" if isinstance(step, ChannelPruning) else ""
        for name, id in step.models.items():
            named.setdefault(id, f"recipe.steps.{index}{inside}.{name}")
    return named
