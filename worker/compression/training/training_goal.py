"""What a step wants to be learned: which parts of the loss, of which outputs, from which teacher."""

from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from winnow.contract.detections import DetectionLayout, layout_of, unknown_layout
from winnow.contract.errors import Refusal
from winnow.contract.recipe import Taught
from winnow.contract.steps.taught import TaughtOutput
from worker.compression.graph.facts.facts import outputs_of
from worker.compression.steps.context import Context
from worker.compression.training.goal.detection import DetectionTarget
from worker.compression.training.goal.feature_distillation.auto_features import auto_features
from worker.compression.training.goal.feature_distillation.features import Feature
from worker.compression.training.goal.head import Head, Meaning, head_of
from worker.compression.training.goal.objective import LossWeights
from worker.compression.training.goal.targets import HeadTarget, Target


@dataclass(frozen=True)
class TrainingGoal:
    """What is to be learned: the parts of the loss, what the output means, and the teacher's graph if there is one;
    boxes and scores in place of the output where the step `detects`, and of the teacher more `outputs`."""

    weights: LossWeights
    meaning: Meaning | Literal["auto"]
    teacher: ir.Model | None = None
    cached: bool = False
    class_axis: int = 1
    detects: bool = False
    outputs: tuple[TaughtOutput, ...] = ()


def training_goal(model: ir.Model, step: Taught, context: Context) -> TrainingGoal:
    """Make the goal of a step that trains the model: the parts of the loss that weigh something, the teacher only where
    one of them needs it. Raises `teacher_does_not_fit` where `features: auto` finds nothing to pair."""
    teacher = context.model(step.teacher) if step.needs_teacher else None
    weights = LossWeights(
        step.soft,
        step.hard,
        step.labels,
        _features(model, step, teacher),
        step.temperature,
        step.label_smoothing,
        step.features_first,
    )
    return TrainingGoal(
        weights,
        _meaning(step),
        teacher,
        step.cache_teacher,
        step.class_axis,
        step.head == "detection",
        tuple(each for each in step.outputs if each.weight),
    )


def targets_of(model: ir.Model, goal: TrainingGoal, head: HeadTarget) -> list[Target]:
    """What of the teacher's outputs is learned: the head, or boxes and scores, then the other outputs.

    Raises `unknown_output`; `teacher_does_not_fit` where shapes do not tell which outputs are boxes and scores, or the
    teacher has no output of that name.
    """
    assert goal.teacher is not None
    others = []
    for each in goal.outputs:
        own = head_of(model, each.output, each.head, each.class_axis)
        taught = _namesake(goal.teacher, own)
        others.append(HeadTarget(own, taught, goal.weights.temperature, each.weight))
    if not goal.detects:
        return [head, *others]
    return [DetectionTarget(_layout(model, "student"), _layout(goal.teacher, "teacher")), *others]


def same_head(teacher: ir.Model, head: Head) -> Head:
    """The teacher's output of that name, its first where it has none, read in the same way."""
    known = any(value.name == head.output for value in teacher.graph.outputs)
    return head_of(teacher, head.output if known else None, head.meaning, head.class_axis)


def _namesake(teacher: ir.Model, head: Head) -> Head:
    """The teacher's output of that name: of several its first stands for none."""
    names = [str(value.name) for value in teacher.graph.outputs]
    if head.output not in names:
        listed = ", ".join(map(repr, names))
        detail = f"The teacher has no output {head.output!r}, which `outputs` names; it has {listed}."
        raise Refusal("teacher_does_not_fit", detail)
    return same_head(teacher, head)


def _layout(model: ir.Model, whose: str) -> DetectionLayout:
    outputs = outputs_of(model)
    if (layout := layout_of(outputs)) is None:
        raise Refusal("teacher_does_not_fit", unknown_layout(whose, outputs))
    return layout


def _meaning(step: Taught) -> Meaning | Literal["auto"]:
    if step.head == "detection":
        return "regression"
    return "classification" if step.head == "auto" and step.hard else step.head


def _features(model: ir.Model, step: Taught, teacher: ir.Model | None) -> tuple[Feature, ...]:
    if step.features == "auto":
        assert teacher is not None
        return auto_features(model, teacher)
    return tuple(Feature(pair.teacher, pair.student, pair.weight) for pair in step.features if pair.weight)
