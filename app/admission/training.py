"""Can a step train: is its output one that can be trained, do the labels mean it, does the teacher fit?"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from app.admission.model_state import ModelState
from winnow.contract import fitting
from winnow.contract.data_uses import DataUse
from winnow.contract.dataset import ArrayFacts, DatasetFacts
from winnow.contract.detections import layout_of, unknown_layout
from winnow.contract.errors import Refusal
from winnow.contract.model import ModelFacts, TensorSpec
from winnow.contract.recipe import (
    ORIGINAL,
    AnyStep,
    Distillation,
    QuantizationAwareTraining,
    StructuredPruning,
    Taught,
)
from winnow.contract.steps.taught import Trains

FIELD: Final = "data.training"
FIRST_CLASS_AXIS: Final = 1


def trainings(steps: Iterable[tuple[int, AnyStep, ModelState]]) -> Iterator[tuple[str, Trains, ModelState]]:
    """The steps that train, those inside others too: the path of each, and the model that it works on."""
    for index, step, state in steps:
        if isinstance(step, Trains):
            yield f"recipe.steps.{index}", step, state
        elif isinstance(step, StructuredPruning) and step.recovery is not None:
            yield f"recipe.steps.{index}.recovery", step.recovery, state


def check_training(
    where: str, step: Trains, state: ModelState, use: DataUse, dataset: DatasetFacts
) -> TensorSpec:
    """The output that is trained. Raises `unknown_output`, `nothing_to_train`, `missing_data`, `labels_do_not_fit`,
    `not_finite`."""
    if state.facts.parameters == 0:
        detail = f"{state.model} has no weights that {step.kind} could train."
        raise Refusal("nothing_to_train", detail, field=f"{where}.kind")
    output = _trained(step, where, state.facts)
    axis = step.class_axis if isinstance(step, Taught) else FIRST_CLASS_AXIS
    read = _as_read(output, axis, f"{where}.class_axis")
    if step.needs_labels:
        _check_labels(step, read, axis, use, dataset)
    return output


def check_teacher(
    where: str, step: Distillation | QuantizationAwareTraining, output: TensorSpec, teacher: ModelFacts
) -> None:
    """Both answers are compared number by number. Raises `teacher_does_not_fit`."""
    if step.head == "detection" or not (step.soft > 0 or step.hard > 0):
        return  # boxes and scores: `check_outputs`; features have projections
    taught = same_output(output.name, teacher)
    if taught is None or not _is_float(taught) or not _alike(taught, output):
        raise _other_output(step, output, taught, f"{where}.teacher")


def check_outputs(
    where: str,
    step: Distillation | QuantizationAwareTraining,
    first: TensorSpec,
    student: Sequence[TensorSpec],
    teacher: ModelFacts,
) -> None:
    """The outputs that the step learns besides the `first`, or boxes and scores.

    Raises `unknown_output`, `nothing_to_train`, `teacher_does_not_fit`, `invalid_request`.
    """
    if step.head == "detection":
        for whose, outputs in (("student", student), ("teacher", teacher.outputs)):
            if layout_of(outputs) is None:
                raise Refusal("teacher_does_not_fit", unknown_layout(whose, outputs), field=f"{where}.head")
    for index, each in enumerate(step.outputs):
        path = f"{where}.outputs.{index}.output"
        output = _named(each.output, student, step.kind, path)
        if step.head != "detection" and output.name == first.name:
            detail = (
                f"{output.name!r} is learned twice: it is the first output, which `outputs` come besides."
            )
            raise Refusal("invalid_request", detail, field=path)
        _as_read(output, each.class_axis, f"{where}.outputs.{index}.class_axis")
        taught = next((other for other in teacher.outputs if other.name == output.name), None)
        if taught is None or not _is_float(taught) or not _alike(taught, output):
            raise _other_output(step, output, taught, path)


def _other_output(step: Taught, output: TensorSpec, taught: TensorSpec | None, path: str) -> Refusal:
    found = "nothing of that name" if taught is None else f"{taught.name!r}, {fitting.spec_text(taught)}"
    whose = "the upload" if step.teacher == ORIGINAL else step.teacher
    return Refusal(
        "teacher_does_not_fit",
        f"The student's output {output.name!r} is {fitting.spec_text(output)}, the teacher ({whose}) answers {found}. "
        "Both have to be real numbers with the same dimensions behind the batch. Choose another `output` or teacher, "
        "or learn from `features` alone (soft 0, hard 0).",
        field=path,
    )


def check_cache(where: str, step: Taught, augmenting: bool) -> None:
    """What is kept once has to be the same in every epoch. Raises `invalid_request`."""
    if step.cache_teacher and step.augment and augmenting:
        detail = (
            "The dataset declares augmentation, with which the teacher sees other samples in every epoch: its outputs "
            "cannot be kept. Set augment to false for this step, or leave cache_teacher out."
        )
        raise Refusal("invalid_request", detail, field=f"{where}.cache_teacher")


def same_output(name: str, model: ModelFacts) -> TensorSpec | None:
    """The teacher's counterpart of an output: the one of that name, else its first."""
    return next((output for output in model.outputs if output.name == name), next(iter(model.outputs), None))


def _trained(step: Trains, where: str, model: ModelFacts) -> TensorSpec:
    return _named(step.output, model.outputs, step.kind, f"{where}.output")


def _named(name: str | None, outputs: Sequence[TensorSpec], kind: str, path: str) -> TensorSpec:
    """The output of that name, the first without one."""
    output = next((output for output in outputs if name in (None, output.name)), None)
    listed = ", ".join(f"{output.name!r} ({output.dtype})" for output in outputs)
    if output is None:
        detail = f"There is no output {name!r}; the model that {kind} trains has {listed}."
        raise Refusal("unknown_output", detail, field=path)
    if not _is_float(output):
        detail = (
            f"Output {output.name!r} is {output.dtype}, and only reals can be trained; there are {listed}."
        )
        raise Refusal("nothing_to_train", detail, field=path)
    return output


def _as_read(output: TensorSpec, class_axis: int, path: str) -> TensorSpec:
    """The output as the loss reads it: the samples' axis in front, behind it that of classes. Raises `unknown_output`
    for an axis that it has not."""
    shape, rank = list(output.shape), len(output.shape)
    if output.batch_axis:
        shape.insert(0, shape.pop(output.batch_axis))
    if class_axis == FIRST_CLASS_AXIS or not rank:
        return output.model_copy(update={"shape": shape})
    if not -rank < class_axis < rank:
        raise Refusal(
            "unknown_output",
            f"Output {output.name!r} has {rank} axes, the samples' among them: no classes lie along axis {class_axis}.",
            field=path,
        )
    shape.insert(FIRST_CLASS_AXIS, shape.pop(class_axis))
    return output.model_copy(update={"shape": shape})


def _check_labels(
    step: Trains, output: TensorSpec, class_axis: int, use: DataUse, dataset: DatasetFacts
) -> None:
    """The `output` as the loss reads it, of which the classes were along `class_axis`."""
    if dataset.target is None:
        raise Refusal(
            "missing_data",
            f"{step.kind} learns from labels, but the dataset has none. Add an array 'labels', or name one in its "
            "declaration under targets; without any labels, distillation learns from a teacher.",
            field=FIELD,
        )
    labels = dataset.arrays[dataset.target]
    fitting.check_finite(FIELD, use, dataset.target, labels)
    fitting.check_numeric(FIELD, step.kind, dataset.target, labels)
    given, classes = fitting.kind_of(labels.dtype), _classes(step, output)
    if _one_hot(labels, output, class_axis) and classes is not False:
        fitting.check_one_hot(FIELD, dataset.target, labels, _with_classes_along(class_axis, output))
    elif (_whole_classes(labels, output) and classes is not False) or (
        given in fitting.INTEGERS and classes is not False
    ):
        partly = use.slice is not None or (isinstance(step, Taught) and step.needs_teacher)
        fitting.check_class_labels(FIELD, step.kind, dataset.target, labels, output, partly=partly)
    elif given in (*fitting.INTEGERS, "float") and classes is not True:
        fitting.check_number_labels(FIELD, step.kind, dataset.target, labels, output)
    else:
        wanted = "class numbers, whole numbers from 0" if classes else "numbers"
        detail = f"{step.kind} learns {wanted}; the labels {dataset.target!r} are {labels.dtype}."
        raise Refusal("labels_do_not_fit", detail, field=FIELD)


def _has_classes(output: TensorSpec) -> bool:
    """[N, C] or [N, C, …] with C not 1."""
    return len(output.shape) >= 2 and output.shape[1] != 1


def _one_hot(labels: ArrayFacts, output: TensorSpec, class_axis: int) -> bool:
    """One-hot rows for an output [N, C], one-hot places for an output [N, C, …], along the axis of its classes."""
    rank, are_rows = len(output.shape), len(fitting.columns(labels.shape)) == 1
    if are_rows or not rank or class_axis % rank == FIRST_CLASS_AXIS:
        along = bool(labels.one_hot)
    else:
        along = class_axis % rank in (labels.one_hot_axes or [])
    return along and _has_classes(output) and (are_rows if rank == 2 else len(labels.shape) == rank)


def _with_classes_along(axis: int, output: TensorSpec) -> TensorSpec:
    """An output as the loss reads it with its classes where they were."""
    shape = list(output.shape)
    shape.insert(axis % len(shape), shape.pop(FIRST_CLASS_AXIS))
    return output.model_copy(update={"shape": shape})


def _whole_classes(labels: ArrayFacts, output: TensorSpec) -> bool:
    """One whole number a sample (or place), written as a real, for an output that has classes."""
    rank = len(output.shape)
    single = not fitting.columns(labels.shape) if rank == 2 else len(labels.shape) == rank - 1
    return bool(labels.whole) and _has_classes(output) and single


def _classes(step: Trains, output: TensorSpec) -> bool | None:
    """Whether labels are class numbers; None: whole ones are, reals mean regression."""
    if not isinstance(step, Taught):
        return None
    if step.head != "auto":
        return step.head == "classification"
    if step.hard > 0:
        return True
    return None if len(output.shape) in (0, 2) and output.shape[1:] != [1] else False


def _is_float(spec: TensorSpec) -> bool:
    return fitting.kind_of(spec.dtype) in ("float", "bfloat")


def _alike(teacher: TensorSpec, student: TensorSpec) -> bool:
    """The same behind the batch, where both say; no dimensions at all means that nothing is known."""
    if not teacher.shape or not student.shape:
        return True
    pairs = zip(teacher.shape[1:], student.shape[1:], strict=False)
    known = ((t, s) for t, s in pairs if isinstance(t, int) and isinstance(s, int))
    return len(teacher.shape) == len(student.shape) and all(t == s for t, s in known)
