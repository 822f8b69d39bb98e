"""Can this job work? Asked at `POST /v1/jobs`, before a worker is touched, of facts that inspection has found.

What can be known only by running the model is left to the worker. Every refusal carries the path of the field.
"""

from collections.abc import Container, Mapping

from app.admission.depth import check_depth
from app.admission.features import check_features
from app.admission.generation import as_fed
from app.admission.integers import Integers, check_integers
from app.admission.model_state import ModelState, check_takes, lower_first, model_states
from app.admission.named_layers import NamedLayers, check_effort
from app.admission.one_dataset import in_all_roles, of_one_dataset
from app.admission.other_models import check_data, check_students, fed, judged
from app.admission.packages import check_others, check_package
from app.admission.pruning import check_pruning
from app.admission.shapes import check_shapes
from app.admission.sparsity import check_gradual, check_sparsity
from app.admission.student import check_student
from app.admission.training import (
    check_cache,
    check_outputs,
    check_teacher,
    check_training,
    trainings,
)
from app.admission.vocabulary import check_vocabulary
from app.admission.weights import check_weights
from winnow.contract import fitting
from winnow.contract.dataset import DatasetFacts
from winnow.contract.errors import Refusal, Refusals
from winnow.contract.fixed_shapes import fixed_by_steps
from winnow.contract.job import ClosedJob
from winnow.contract.model import ModelFacts
from winnow.contract.needed_data import check_needed_data, uses
from winnow.contract.recipe import (
    ORIGINAL,
    AnyStep,
    Binary,
    ChannelPruning,
    DepthPruning,
    Distillation,
    LowRank,
    Palette,
    Sparsity,
    StructuredPruning,
    Student,
    Taught,
    Training,
    VocabularyPruning,
    WeightOnly,
)
from winnow.contract.steps.taught import Trains


def check(
    request: ClosedJob,
    model: ModelFacts,
    datasets: Mapping[str, DatasetFacts],
    others: Mapping[str, ModelFacts] | None = None,
    augmenting: Container[str] = (),
) -> None:
    """Raises Refusal, with every fault that does not follow from another. By id: the facts of the `datasets` and
    `others` (teachers, students) that the request names, and the datasets that declare augmentation. What has no
    facts there is refused elsewhere, and what follows from them is not asked."""
    fed_model = as_fed(request, model)
    if request.data.dataset is None:
        _check(request, model, fed_model, datasets, others or {}, augmenting)
        return
    try:
        _check(in_all_roles(request), model, fed_model, datasets, others or {}, augmenting)
    except Refusal as refusal:
        raise of_one_dataset(refusal) from refusal
    if (dataset := datasets.get(request.data.dataset)) and (use := request.data.whole):
        fitting.check_split("data.dataset", use, fixed_by_steps(fed_model, request.recipe.steps), dataset)


def _check(
    request: ClosedJob,
    model: ModelFacts,
    fed_model: ModelFacts,
    datasets: Mapping[str, DatasetFacts],
    others: Mapping[str, ModelFacts],
    augmenting: Container[str],
) -> None:
    """`fed_model`: the model with the inputs that data is needed for."""
    refusals = Refusals()
    check_package(refusals, request, model)
    with refusals:
        check_others(request, others)
    refusals.raise_all()  # what else there is to say is about steps of one graph
    with refusals:
        same = fed_model is model
        model = fixed_by_steps(model, request.recipe.steps)
        fed_model = model if same else fed_model
    steps = list(model_states(request.recipe, model, others))
    for index, step, state in steps:
        with refusals:
            check_takes(index, step, state, request.data.calibration is not None)
    with refusals:
        check_effort((step, state) for _, step, state in steps)
        for index, step, state in steps:
            _check_layers(refusals, request, index, step, state)
    check_needed_data(refusals, request)
    with refusals:
        check_students(request, model, others)
    with refusals:
        _check_output(request, model)
    known = {role: use for role, use in uses(request.data).items() if use.dataset in datasets}
    for role, use in known.items():
        with refusals:
            check_data(role, use, fed(request, role, fed_model, others), datasets[use.dataset])
    with refusals:
        _check_labels(request, model, datasets)
    if "training" in known:
        for where, training, state in trainings(steps):
            with refusals:
                _check_training(
                    request, where, training, state, datasets, {ORIGINAL: model, **others}, augmenting
                )
    if len(known) == len(uses(request.data)):
        with refusals:
            check_shapes(request, fed_model, datasets)
    refusals.raise_all()


def _check_layers(
    refusals: Refusals, request: ClosedJob, index: int, step: AnyStep, state: ModelState
) -> None:
    """Its patterns name layers and leave some, and these are of a kind that it takes."""
    named = NamedLayers(state)
    if isinstance(step, StructuredPruning) and step.recovery is not None:
        with refusals:
            named.matched_by_all(step.recovery.patterns, f"recipe.steps.{index}.recovery.exclude")
    with refusals:
        excluded = named.matched_by_all(step.patterns, f"recipe.steps.{index}.exclude")
        included = [place for place in range(len(named.layers)) if place not in excluded]
        _check_something_left(index, step, state, len(included))
        _check_own(index, step, state, named, included, request.recipe.steps[:index])
        if isinstance(step, Integers):
            layers = [named.layers[place] for place in included]
            check_integers(index, step, state, layers, request.data.calibration is not None)


def _check_training(
    request: ClosedJob,
    where: str,
    step: Trains,
    state: ModelState,
    datasets: Mapping[str, DatasetFacts],
    teachers: Mapping[str, ModelFacts],
    augmenting: Container[str],
) -> None:
    use = request.data.training
    assert use is not None
    if isinstance(step, Taught):
        before = int(where.split(".")[2])
        first = before == 0 or (isinstance(step, Distillation) and step.student is not None)
        check_features(where, step, state, first and not where.endswith("recovery"), teachers)
    output = check_training(where, step, state, use, datasets[use.dataset])
    if isinstance(step, Taught) and step.needs_teacher and step.teacher in teachers:
        check_teacher(where, step, output, teachers[step.teacher])
        check_outputs(where, step, output, state.facts.outputs, teachers[step.teacher])
        check_cache(where, step, use.dataset in augmenting)


def _check_something_left(index: int, step: AnyStep, state: ModelState, included: int) -> None:
    """Without layers there is nothing to quantize; patterns that leave out every layer leave nothing to do."""
    layers = state.facts.layers
    if not layers and step.quantizes:
        raise Refusal(
            "nothing_to_quantize",
            f"{state.model} has no layers with weights, so there is nothing that {step.kind} could quantize. Leave the "
            "step out.",
            field=f"recipe.steps.{index}.kind",
        )
    if layers and step.patterns and not included:
        raise Refusal(
            _nothing_to_do(step),
            f"`exclude` matches all {len(layers)} layers of {lower_first(state.model)}, so {step.kind} would change "
            "nothing. Leave a pattern out, or the step.",
            field=f"recipe.steps.{index}.exclude",
        )


def _nothing_to_do(step: AnyStep) -> str:
    if isinstance(step, Training):
        return "nothing_to_train"
    compresses = isinstance(step, StructuredPruning | Student | Sparsity | LowRank | VocabularyPruning)
    return "nothing_to_compress" if compresses else "nothing_to_quantize"


def _check_own(
    index: int,
    step: AnyStep,
    state: ModelState,
    named: NamedLayers,
    included: list[int],
    before: list[AnyStep],
) -> None:
    """What only steps of this kind are refused for. `included`: the places of the layers that are not excluded."""
    reshaped = any(isinstance(other, StructuredPruning | Student | LowRank) for other in before)
    layers = [named.layers[place] for place in included]
    match step:
        case ChannelPruning():
            check_pruning(index, step, state, included)
        case DepthPruning():
            check_depth(index, step, named, included, reshaped)
        case Student() if not reshaped:
            check_student(f"recipe.steps.{index}", step, state.facts)
        case VocabularyPruning():
            check_vocabulary(index, step, state)
        case Sparsity():
            check_sparsity(index, step, state, named, included, reshaped)
        case WeightOnly():
            # All layers: that all eligible ones are excluded is no reason to refuse.
            check_weights(index, step, state, named.layers)
        case Palette() | Binary() | LowRank():
            check_weights(index, step, state, layers)
        case Training():
            check_gradual(index, step, state, layers, reshaped)


def _check_output(request: ClosedJob, model: ModelFacts) -> None:
    names = [output.name for output in model.outputs]
    if request.evaluation is not None and request.evaluation.output not in (None, *names):
        listed = ", ".join(map(repr, names))
        detail = f"The model has no output {request.evaluation.output!r}; it has {listed}."
        raise Refusal("unknown_output", detail, field="evaluation.output")


def _check_labels(request: ClosedJob, model: ModelFacts, datasets: Mapping[str, DatasetFacts]) -> None:
    use, evaluation = request.data.evaluation, request.evaluation
    if use is not None and evaluation is not None and use.dataset in datasets:
        fitting.check_labels(use, evaluation, judged(evaluation.output, model), datasets[use.dataset])
