"""A step that is worked on in parts has the loss and the gradients of the step at once, whatever it learns."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.small_nets import samples
from tests.worker.compression.training.test_taught_outputs import net
from winnow.contract.detections import Columns, DetectionLayout
from worker.compression.data.samples import Samples
from worker.compression.engine.working import as_module
from worker.compression.training.feeding.batches import Batch, Batches
from worker.compression.training.feeding.hardware import Hardware
from worker.compression.training.goal import student_teacher
from worker.compression.training.goal.detection import DetectionTarget
from worker.compression.training.goal.feature_distillation.features import Feature
from worker.compression.training.goal.head import Head, Meaning
from worker.compression.training.goal.objective import LossWeights, Objective
from worker.compression.training.goal.student_teacher import StudentTeacher
from worker.compression.training.goal.targets import HeadTarget, Target
from worker.compression.training.goal.teacher import Teacher
from worker.compression.training.loop.optimization.descent import gradients

ROWS = 11
CPU = Hardware(torch.device("cpu"), False, False)
MAP = Head("map", "map", "classification")
STEPS = Head("steps", "ml", "classification", class_axis=-1)
BOXES = Head("boxes", "boxes", "regression")
TURNED = Head("boxes", "boxes", "embedding")
PAIR = DetectionLayout(Columns("boxes", 2, 0, None), Columns("scores", 2, 0, None))
LOGITS = DetectionLayout(Columns("boxes", 2, 0, None), Columns("sl", 2, 0, None))
WITH_BACKGROUND = DetectionLayout(Columns("boxes", 2, 0, None), Columns("steps", 2, 0, None))


@dataclass(frozen=True)
class Case:
    """What is learned; labels by the name of an array."""

    weights: LossWeights
    head: Head = BOXES
    targets: list[Target] | None = field(default=None)
    labels: str | None = None


def features(*pairs: Feature, **more: Any) -> LossWeights:
    return LossWeights(features=pairs, **more)


RELATIVE = Feature("r", "r", 1.0, "relative_error")
CASES = {
    "soft labels": Case(LossWeights(soft=1.0, temperature=2.0), MAP),
    "soft labels of steps": Case(LossWeights(soft=1.0), STEPS),
    "hard labels": Case(LossWeights(hard=1.0), MAP),
    "labels, smoothed": Case(LossWeights(labels=1.0, smoothing=0.1), MAP, labels="classes"),
    "numbers": Case(LossWeights(labels=1.0), BOXES, labels="numbers"),
    "directions": Case(LossWeights(soft=1.0, labels=1.0), TURNED, labels="numbers"),
    "squared errors inside": Case(features(Feature("r", "r"))),
    "relative errors inside": Case(features(RELATIVE, Feature("c", "c", 2.0, "relative_error"))),
    "relations": Case(features(Feature("ml", "ml", 1.0, "relations"))),
    "detections": Case(LossWeights(soft=1.0), targets=[DetectionTarget(PAIR, PAIR)]),
    "detections by logits": Case(LossWeights(soft=1.0), targets=[DetectionTarget(LOGITS, LOGITS)]),
    "detections beside a background": Case(
        LossWeights(soft=1.0), targets=[DetectionTarget(WITH_BACKGROUND, WITH_BACKGROUND)]
    ),
    "several outputs": Case(
        LossWeights(soft=2.0, labels=0.5, hard=0.5),
        MAP,
        [HeadTarget(MAP, MAP, 2.0), HeadTarget(STEPS, STEPS, 1.0, 0.5), DetectionTarget(PAIR, PAIR, 0.3)],
        "classes",
    ),
    "all at once": Case(
        features(RELATIVE, Feature("r", "r"), soft=1.0), targets=[DetectionTarget(PAIR, PAIR)]
    ),
    "two stages": Case(features(RELATIVE, soft=1.0, features_first=0.5), MAP),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str | None, Samples]:
    """Samples of which the teacher sees no object in some and many in others."""
    draw = np.random.default_rng(0)
    x = (
        draw.normal(size=(ROWS, 2, 4, 4))
        * np.geomspace(0.05, 20, ROWS)[draw.permutation(ROWS), None, None, None]
    )
    labels = {
        "classes": draw.integers(0, 3, (ROWS, 4, 4)),
        "numbers": draw.normal(size=(ROWS, 16, 4)).astype(np.float32),
    }
    folder = tmp_path_factory.mktemp("steps")
    made = {
        name: samples(folder / name, net(), x=x.astype(np.float32), labels=array)
        for name, array in labels.items()
    }
    return {**made, None: made["classes"]}


def pair_of(case: Case) -> StudentTeacher:
    objective = Objective(case.weights, case.head, case.head, case.targets)
    module = as_module(net(disturbed=0.2), objective.student_values)
    teacher = Teacher(as_module(net(), objective.teacher_values), CPU, ROWS, None, objective.teacher_heads)
    return StudentTeacher(module, objective, teacher, CPU)


def step_of(data: Samples, at_once: int | None, seed: int) -> list[Batch]:
    return list(Batches(data, np.arange(ROWS), ROWS, (), at_once).shuffled(seed))


def learned(case: Case, step: list[Batch]) -> Iterator[tuple[float, float, dict[str, torch.Tensor]]]:
    """Loss, a zero student's loss, and gradients, stage by stage."""
    for stage in range(len(case.weights.stages)):
        pair = pair_of(case)
        optimizer = torch.optim.SGD(pair.learning.parameters(), 0.1)
        loss = gradients(optimizer, lambda batches, pair=pair, stage=stage: pair.losses(batches, stage), step)
        named = {name: p.grad for name, p in pair.module.named_parameters() if p.grad is not None}
        yield loss, pair.zero_student_loss(step, stage), named


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@settings(deadline=None, max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at_once=st.integers(1, ROWS - 1), seed=st.integers(0, 3), held=st.booleans())
def test_parts_of_a_step_add_up_to_it(
    data: dict[str | None, Samples], case: Case, at_once: int, seed: int, held: bool
) -> None:
    """Losses to 1e-5, gradients to 1e-4 of the largest: sums in another order. Whether the teacher's answers are held
    or computed twice is no matter."""
    rows = data[case.labels]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(student_teacher, "HELD_BYTES", student_teacher.HELD_BYTES if held else 0)
        parts = list(learned(case, step_of(rows, at_once, seed)))
    whole = list(learned(case, step_of(rows, None, seed)))
    for (loss, zero, added), (expected, zero_expected, gradient) in zip(parts, whole, strict=True):
        assert loss == pytest.approx(expected, rel=1e-5)
        assert zero == pytest.approx(zero_expected, rel=1e-5)
        assert added.keys() == gradient.keys() != set()
        for name, value in gradient.items():
            assert torch.allclose(added[name], value, rtol=0, atol=1e-4 * float(value.abs().max())), name


def test_the_losses_of_all_kinds_are_among_them() -> None:
    pairs = [feature for case in CASES.values() for feature in case.weights.features]
    assert {pair.measure for pair in pairs} == set(get_args(Feature.__annotations__["measure"]))
    assert {case.head.meaning for case in CASES.values()} == set(get_args(Meaning))
    kinds = {type(target) for case in CASES.values() for target in case.targets or []}
    assert kinds == {HeadTarget, DetectionTarget}
    for part in ("soft", "hard", "labels"):
        assert any(getattr(case.weights, part) for case in CASES.values())
