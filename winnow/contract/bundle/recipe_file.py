"""`recipe.json` of a bundle: the job with its recipe closed, and what its uploads were. `winnow replay` does it."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from winnow.contract.base import RequestModel
from winnow.contract.bundle.result import FinishedJob
from winnow.contract.exported import ExportedUpload
from winnow.contract.job import ClosedJob
from winnow.contract.presets import closed_job
from winnow.contract.recipe import AnyStep, Int8, MixedPrecision, Recipe, StructuredPruning, Student, Training
from winnow.contract.report import Report, StepReport
from winnow.contract.steps.mixed import STATIC_CANDIDATE

FORMAT: Final = 1


class RecipeFile(RequestModel):
    """`job` leaves nothing open; null where the result is the upload, tidied. `timed` are the kinds of its steps that
    choose by times that they measure, and may choose otherwise another time."""

    winnow: Literal[1] = Field(description="Version of this format.")
    version: Annotated[str, Field(max_length=100)] = Field(description="Of the service that did the job.")
    job: ClosedJob | None = Field(description="What was done, with ids of the service that did it.")
    uploads: Annotated[list[ExportedUpload], Field(max_length=1000)] = Field(
        description="What these ids stand for."
    )
    timed: Annotated[list[str], Field(max_length=20)] = Field(
        description="Kinds of the steps that choose by time, and may choose otherwise."
    )


def recipe_file(done: FinishedJob) -> RecipeFile:
    """Write down what was done."""
    recipe = closed_recipe(done)
    return RecipeFile(
        winnow=FORMAT,
        version=done.report.winnow,
        job=None if recipe is None else done.request.closed(recipe),
        uploads=list(done.uploads),
        timed=[] if recipe is None else [step.kind for step in recipe.steps if chooses_by_time(step)],
    )


def closed_recipe(done: FinishedJob) -> Recipe | None:
    """The recipe of the result, every setting written out, and what `int8` chose by time among them; None where the
    result is the upload."""
    if (search := done.report.search) is not None:
        recipe = search.recipe
    else:
        closed = closed_job(done.request)
        recipe = None if closed is None else closed.recipe
    return None if recipe is None else as_chosen(recipe, done.report)


def as_chosen(recipe: Recipe, report: Report) -> Recipe:
    """The recipe with what its steps chose by time written as settings, where there are settings for it: `as_settings`
    of their details."""
    reports = {step.index: step for step in report.steps}
    return recipe.model_copy(
        update={"steps": [_as_chosen(step, reports.get(n)) for n, step in enumerate(recipe.steps)]}
    )


def _as_chosen(step: AnyStep, report: StepReport | None) -> AnyStep:
    details: Mapping[str, Any] = {} if report is None else report.details
    chosen = details.get("chosen")
    if isinstance(step, Training) and step.precision == "auto":
        return _with(step, {"precision": details.get("precision", "auto")})
    if isinstance(step, Int8) and isinstance(chosen, str):
        told = details.get("layers") if chosen.startswith(STATIC_CANDIDATE) else None
        rows = [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []
        float_layers = [str(row["name"]) for row in rows if "name" in row and not row.get("quantized")]
        return _with(step, {"candidate": chosen, "float_layers": float_layers})
    settings = details.get("as_settings")
    return _with(step, settings) if isinstance(settings, dict) else step


def _with(step: AnyStep, settings: dict[str, Any]) -> AnyStep:
    """The step with these settings, and its recovery with those of it; as it was where they do not fit: a report's
    details are free."""
    own = step.model_dump()
    inside = own.get("recovery")
    more = settings.get("recovery")
    both = {"recovery": inside | more} if isinstance(inside, dict) and isinstance(more, dict) else {}
    try:
        return type(step).model_validate(own | settings | both)
    except ValidationError:
        return step


def chooses_by_time(step: AnyStep) -> bool:
    """Whether what the step does follows from times that it measures."""
    match step:
        case Int8():
            return step.candidate is None
        case MixedPrecision():
            return step.min_speedup is not None and step.bits is None
        case Student():
            return step.target == "latency"
        case StructuredPruning():
            return step.target == "latency" or (step.recovery is not None and chooses_by_time(step.recovery))
        case Training():
            return step.precision == "auto" and step.takes == "float"
        case _:
            return False
