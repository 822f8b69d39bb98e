"""The data that a job names, and the data that its steps and requirements need."""

from winnow.contract.data_uses import ROLES, DataUse, DataUses
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.evaluation import AGREEMENT, TASK_METRICS, Evaluation
from winnow.contract.job import ClosedJob
from winnow.contract.recipe import AnyStep
from winnow.contract.steps.base import Need


def uses(data: DataUses) -> dict[str, DataUse]:
    """The data that was given, by role; one dataset that is split has all of them."""
    given = {role: data.whole or getattr(data, role) for role in ROLES}
    return {role: use for role, use in given.items() if use is not None}


def path_of(data: DataUses, role: str) -> str:
    """Where in a request the data of a role is named."""
    return f"data.{role}" if data.dataset is None else "data"


def check_needed_data(refusals: Refusals, request: ClosedJob) -> None:
    """Keeps `missing_data` for each step, and for what is required, that lacks data: asked of the request alone."""
    for index, step in enumerate(request.recipe.steps):
        for need in sorted(step.required):
            with refusals:
                _check_need(request, index, step, need)
    with refusals:
        _check_evaluation(request)
    with refusals:
        _check_required_metrics(request)


def _check_need(request: ClosedJob, index: int, step: AnyStep, need: Need) -> None:
    roles = [need, *(["training"] if need == "calibration" and step.or_training else [])]
    if uses(request.data).keys().isdisjoint(roles):
        raise Refusal(
            "missing_data",
            f"Step {index} ({step.kind}) needs {' or '.join(roles)} data. Upload an .npz to /v1/datasets and name it "
            f"in {' or '.join(f'data.{role}' for role in roles)}."
            f"{step.without_data if need == 'calibration' else ''}",
            field=f"data.{need}",
        )


def _check_evaluation(request: ClosedJob) -> None:
    require = request.require
    for name, value in (
        ("max_metric_drop", require.max_metric_drop),
        ("max_relative_drop", require.max_relative_drop),
        ("metrics", require.metrics or None),
    ):
        if value is not None and request.evaluation is None:
            detail = (
                f'require.{name} needs a metric. Give one, for example "evaluation": {{"metric": "top1"}}.'
            )
            raise Refusal("missing_data", detail, field="evaluation")
    if require.min_agreement is not None and request.evaluation is None:
        detail = (
            "require.min_agreement needs to know what the model is for. Say it, for example "
            '"evaluation": {"task": "auto"}.'
        )
        raise Refusal("missing_data", detail, field="evaluation")
    if request.evaluation is not None and "evaluation" not in uses(request.data):
        labelled = request.evaluation.needs_labels
        what = ", ".join(request.evaluation.metrics) or f"task {request.evaluation.task}"
        detail = (
            f"The metric {what} needs labelled data. Name a dataset in data.evaluation."
            if labelled
            else f"The {what} is judged on data. Name a dataset in data.evaluation."
        )
        raise Refusal("missing_data", detail, field="data.evaluation")


def measured(request: ClosedJob) -> Evaluation | None:
    """Return the evaluation with the metrics that are required besides."""
    require, evaluation = request.require, request.evaluation
    names = [*require.metrics, *([AGREEMENT] if require.min_agreement is not None else [])]
    if evaluation is None or not names:
        return evaluation
    also = list(dict.fromkeys([*evaluation.also, *names]))
    also = [metric for metric in also if metric != evaluation.metric]
    return evaluation.model_copy(update={"also": also})


def _check_required_metrics(request: ClosedJob) -> None:
    """Check that what is required is a metric of the task that is named. Raises `Refusal` `invalid_request`."""
    task = None if request.evaluation is None else request.evaluation.named_task
    for metric in request.require.metrics if task else ():
        if task is not None and metric not in TASK_METRICS[task]:
            raise Refusal(
                "invalid_request",
                f"The task {task} is measured by {', '.join(TASK_METRICS[task])}, not by {metric}.",
                field=f"require.metrics.{metric}",
            )
