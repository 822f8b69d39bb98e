"""Can this job work? Asked at `POST /v1/jobs`, before a worker is touched, of facts that inspection has found.

What can be known only by running the model is left to the worker. Every refusal carries the path of the field.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Final

from app.contract import fitting
from app.contract.dataset import DatasetFacts
from app.contract.errors import Refusal
from app.contract.job import DataUse, DataUses, JobRequest
from app.contract.model import ModelFacts, TensorSpec
from app.contract.shapes import Shapes, input_shapes

MAX_ELEMENTS: Final = 2**31
"""Of one input: what a protobuf tensor holds, more or less."""


def check(request: JobRequest, model: ModelFacts, datasets: Mapping[str, DatasetFacts]) -> None:
    """Raises Refusal. `datasets` are the facts of those that the request names, by id."""
    _check_quantized_once(request, model)
    _check_patterns(request, model)
    _check_needs(request)
    _check_evaluation(request, model)
    for role, use in uses(request.data).items():
        fitting.check_data(f"data.{role}", use, model, datasets[use.dataset])
    _check_labels(request, model, datasets)
    _check_shapes(request, model, datasets)


def uses(data: DataUses) -> dict[str, DataUse]:
    """The data that was given, by role."""
    given = {role: getattr(data, role) for role in DataUses.model_fields}
    return {role: use for role, use in given.items() if use is not None}


def _check_quantized_once(request: JobRequest, model: ModelFacts) -> None:
    before = "The model" if model.quantized else None
    for index, step in enumerate(request.recipe.steps):
        if not step.quantizes:
            continue
        if before is not None:
            raise Refusal(
                "already_quantized",
                f"{before} is quantized already, and {step.kind} would quantize it again. Leave this step out, "
                "or upload the float model.",
                field=f"recipe.steps.{index}.kind",
            )
        before = f"After step {index} ({step.kind}) the model"


def _check_patterns(request: JobRequest, model: ModelFacts) -> None:
    names = [layer.name for layer in model.layers]
    for index, step in enumerate(request.recipe.steps):
        for position, pattern in enumerate(step.exclude):
            if not any(fnmatchcase(name, pattern) for name in names):
                some = ", ".join(repr(name) for name in names[:5]) or "none"
                raise Refusal(
                    "pattern_matches_nothing",
                    f"{pattern!r} matches none of the model's {len(names)} layers, which are called like "
                    f"{some}. `*` stands for anything.",
                    field=f"recipe.steps.{index}.exclude.{position}",
                )


def _check_needs(request: JobRequest) -> None:
    for index, step in enumerate(request.recipe.steps):
        for need in sorted(step.needs):
            if getattr(request.data, need) is None:
                raise Refusal(
                    "missing_data",
                    f"Step {index} ({step.kind}) needs {need} data. Upload an .npz to /v1/datasets and name it "
                    f"in data.{need}.",
                    field=f"data.{need}",
                )


def _check_evaluation(request: JobRequest, model: ModelFacts) -> None:
    if request.require.max_metric_drop is not None and request.evaluation is None:
        detail = (
            'require.max_metric_drop needs a metric. Give one, for example "evaluation": {"metric": "top1"}.'
        )
        raise Refusal("missing_data", detail, field="evaluation")
    if request.evaluation is None:
        return
    if request.data.evaluation is None:
        detail = (
            f"The metric {request.evaluation.metric} needs labelled data. Name a dataset in data.evaluation."
        )
        raise Refusal("missing_data", detail, field="data.evaluation")
    names = [output.name for output in model.outputs]
    if request.evaluation.output not in (None, *names):
        listed = ", ".join(map(repr, names))
        detail = f"The model has no output {request.evaluation.output!r}; it has {listed}."
        raise Refusal("unknown_output", detail, field="evaluation.output")


def _check_labels(request: JobRequest, model: ModelFacts, datasets: Mapping[str, DatasetFacts]) -> None:
    use, evaluation = request.data.evaluation, request.evaluation
    if use is not None and evaluation is not None:
        fitting.check_labels(use, evaluation.metric, _judged(evaluation.output, model), datasets[use.dataset])


def _judged(name: str | None, model: ModelFacts) -> TensorSpec | None:
    """The output asked for, or the first."""
    return next((output for output in model.outputs if name in (None, output.name)), None)


def _check_shapes(request: JobRequest, model: ModelFacts, datasets: Mapping[str, DatasetFacts]) -> None:
    """One concrete shape per input at every batch size, from the model, `benchmark.shapes`, or the data."""
    example = _example(request, model, datasets)
    for batch in request.benchmark.batch_sizes:
        shapes = input_shapes(model.inputs, batch, request.benchmark.shapes, example)
        for name, shape in shapes.items():
            if _elements(shape) > MAX_ELEMENTS:
                raise Refusal(
                    "inputs_do_not_fit",
                    f"Input {name!r} of shape {list(shape)} has more than {MAX_ELEMENTS} elements.",
                    field=f"benchmark.shapes.{name}"
                    if name in request.benchmark.shapes
                    else "benchmark.batch_sizes",
                )


def _elements(shape: tuple[int, ...]) -> int:
    elements = 1
    for dimension in shape:
        elements *= dimension
    return elements


def _example(request: JobRequest, model: ModelFacts, datasets: Mapping[str, DatasetFacts]) -> Shapes:
    """The shapes that the data gives, at batch size 1."""
    use = request.data.evaluation or request.data.calibration
    return fitting.shapes(use, model, datasets[use.dataset]) if use is not None else {}
