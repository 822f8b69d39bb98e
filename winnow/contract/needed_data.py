"""The data that a job names, and the data that its steps and requirements need."""

from winnow.contract.data_uses import ROLES, DataUse, DataUses
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.job import JobRequest
from winnow.contract.recipe import AnyStep
from winnow.contract.steps.base import Need


def uses(data: DataUses) -> dict[str, DataUse]:
    """The data that was given, by role; one dataset that is split has all of them."""
    given = {role: data.whole or getattr(data, role) for role in ROLES}
    return {role: use for role, use in given.items() if use is not None}


def path_of(data: DataUses, role: str) -> str:
    """Where in a request the data of a role is named."""
    return f"data.{role}" if data.dataset is None else "data"


def check_needed_data(refusals: Refusals, request: JobRequest) -> None:
    """Keeps `missing_data` for each step, and for what is required, that lacks data: asked of the request alone."""
    for index, step in enumerate(request.recipe.steps):
        for need in sorted(step.required):
            with refusals:
                _check_need(request, index, step, need)
    with refusals:
        _check_evaluation(request)


def _check_need(request: JobRequest, index: int, step: AnyStep, need: Need) -> None:
    if need not in uses(request.data):
        raise Refusal(
            "missing_data",
            f"Step {index} ({step.kind}) needs {need} data. Upload an .npz to /v1/datasets and name it "
            f"in data.{need}.{step.without_data if need == 'calibration' else ''}",
            field=f"data.{need}",
        )


def _check_evaluation(request: JobRequest) -> None:
    if request.require.max_metric_drop is not None and request.evaluation is None:
        detail = (
            'require.max_metric_drop needs a metric. Give one, for example "evaluation": {"metric": "top1"}.'
        )
        raise Refusal("missing_data", detail, field="evaluation")
    if request.evaluation is not None and "evaluation" not in uses(request.data):
        detail = (
            f"The metric {request.evaluation.metric} needs labelled data. Name a dataset in data.evaluation."
        )
        raise Refusal("missing_data", detail, field="data.evaluation")
