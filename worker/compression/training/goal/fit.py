"""Checks what must fit before a training begins: labels to classes, the teacher's outputs to the student's."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import torch

from winnow.contract.errors import Refusal
from winnow.contract.fitting import UNLABELLED
from worker.compression.data.samples import Samples
from worker.compression.data.table import select
from worker.compression.ir.arrays import Array
from worker.compression.training.feeding.batches import NUMBER_KINDS, Batch, Batches
from worker.compression.training.goal.student_teacher import Outputs, StudentTeacher

ROWS_AT_A_TIME: Final = 256


def check_fit(pair: StudentTeacher, samples: Samples) -> None:
    """Run one small batch through both; this also makes the projections of features, so that they can be learned.

    Raises `Refusal` `missing_data`, `labels_do_not_fit`, `not_finite`, `teacher_does_not_fit`, `nothing_to_train`.
    """
    rows = np.asarray(samples.groups[0])[: samples.fixed_batch or 2]
    batch = next(Batches(samples, rows, len(rows)).ordered())
    pair.learning.eval()
    student, teacher, placed = _checked_outputs(pair, batch)
    output = pair.objective.student.read(student)
    _check_output(output, pair)
    if pair.objective.weights.labels:
        classes = pair.objective.student.meaning == "classification"
        _check_labels(samples, output, classes, partly=pair.objective.weights.teacher)
    for target in pair.objective.targets:
        for name, (own, wanted) in target.pairs(student, teacher).items():
            _check_teacher(name, own, wanted)
    if pair.objective.weights.hard:
        assert pair.objective.teacher is not None
        _check_teacher(pair.objective.student.output, output, pair.objective.teacher.read(teacher))
    for stage in range(len(pair.objective.weights.stages)):
        _check_loss(pair.objective.loss(student, teacher, placed, stage), pair)
    pair.objective.to(pair.hardware.device)


def _checked_outputs(pair: StudentTeacher, batch: Batch) -> tuple[Outputs, Outputs, Batch]:
    """Run both, and refuse a teacher that cannot take what the student takes."""
    if pair.teacher is not None:
        try:
            pair.teacher.outputs(batch.to(pair.hardware.device))
        except (RuntimeError, IndexError, ValueError) as error:
            raise Refusal(
                "teacher_does_not_fit",
                f"The teacher cannot answer to {len(batch)} samples as the student takes them: {error}. Choose one "
                "whose inputs have the student's shapes, exported with an open batch dimension.",
            ) from error
    return pair.outputs(batch)


def _check_output(output: torch.Tensor, pair: StudentTeacher) -> None:
    head, weights = pair.objective.student, pair.objective.weights
    if not output.is_floating_point():
        raise Refusal(
            "nothing_to_train",
            f"Output {head.output!r} is {str(output.dtype).removeprefix('torch.')}, and only reals can be trained.",
        )
    classes = head.meaning == "classification" or weights.hard
    if classes and (output.ndim < 2 or output.shape[1] == 1):
        raise Refusal(
            "labels_do_not_fit" if weights.labels else "nothing_to_train",
            f"Output {head.output!r} has the shape {['rows', *output.shape[1:]]}: there are no classes to choose from. "
            "Learn numbers: from labels that are reals (float32), or with head regression.",
        )


def _check_loss(loss: torch.Tensor, pair: StudentTeacher) -> None:
    if not torch.isfinite(loss):
        raise Refusal(
            "not_finite",
            f"Before anything was trained the loss of the first rows is {float(loss.detach())}: student or teacher "
            "answer with NaN or infinity. Check the data's scale, mean and std.",
        )
    if not loss.requires_grad:
        raise Refusal(
            "nothing_to_train",
            f"What is learned (output {pair.objective.student.output!r}) depends on no weight, or only through "
            "operators that have no gradient, such as ArgMax, Greater or a Cast to integers.",
        )


def _check_teacher(name: str, output: torch.Tensor, teacher: torch.Tensor) -> None:
    if output.shape == teacher.shape:
        return
    raise Refusal(
        "teacher_does_not_fit",
        f"For {len(output)} samples the teacher's {name!r} has the shape {list(teacher.shape)}, the student's "
        f"{list(output.shape)}. They have to be the same: choose another teacher, or another output.",
    )


def _check_labels(samples: Samples, output: torch.Tensor, classes: bool, *, partly: bool) -> None:
    """`partly`: rows without a label learn from the teacher."""
    labels = samples.take(1).labels
    if labels is None:
        raise Refusal(
            "missing_data", "The step needs labels, and the training data has none.", field="data.training"
        )
    if labels.dtype.kind not in NUMBER_KINDS:
        raise _refused(f"they are {labels.dtype}, no numbers")
    if labels.dtype.kind == "f":
        _check_finite(samples)
        if classes:
            raise _refused("classes are whole numbers, these labels are reals (set head to regression?)")
    if not classes:
        if labels[:1].size != output[:1].numel():
            raise _refused(
                f"a label has the shape {list(labels.shape[1:])}, an answer {list(output.shape[1:])}"
            )
        return
    if labels[:1].size * output.shape[1] != output[:1].numel():
        raise _refused(f"a label has the shape {list(labels.shape[1:])}, an answer {list(output.shape[1:])}")
    ranges = [(int(part.min()), int(part.max())) for _, part in _parts(samples)]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if low == high == UNLABELLED:
        raise _refused("all of them are -1, which is none: give labels, or set the step's labels to 0")
    if low == UNLABELLED and not partly:
        raise _refused("some are -1, which is none; without labels, distillation learns from a teacher")
    if low < UNLABELLED or high >= output.shape[1]:
        raise _refused(f"they go from {low} to {high}, the output has {output.shape[1]} classes from 0")


def _check_finite(samples: Samples) -> None:
    for start, part in _parts(samples):
        if not np.isfinite(part).all():
            row = start + int(np.argwhere(~np.isfinite(part))[0][0])
            raise _refused(f"the label of row {row} is NaN or infinite", "not_finite")


def _parts(samples: Samples) -> Iterator[tuple[int, Array]]:
    """Yield some labels after the others, and which is their first: masks are made when they are read."""
    assert samples.targets is not None
    rows = samples.ordered_rows
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        yield start, select(samples.targets, rows[start : start + ROWS_AT_A_TIME])


def _refused(why: str, code: str = "labels_do_not_fit") -> Refusal:
    return Refusal(code, f"The labels of the training data do not fit: {why}.", field="data.training")
