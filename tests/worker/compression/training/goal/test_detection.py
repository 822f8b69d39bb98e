"""Learning a teacher's boxes and scores."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from winnow.contract.detections import Columns, DetectionLayout
from worker.compression.training.goal.detection import DetectionTarget, background_column, confidence

PAIR = DetectionLayout(Columns("boxes", 2, 0, None), Columns("scores", 2, 0, None))
ONE = DetectionLayout(Columns("out", 2, 0, 4), Columns("out", 2, 4, None), objectness=True)
PLACES, OBJECTS = 50, 3
SEEDS = st.integers(0, 10_000)


def answers(seed: int, objects: int = OBJECTS, n: int = 2) -> dict[str, torch.Tensor]:
    """Of a teacher that is sure of the first places of each sample, and of nothing else."""
    draw = torch.Generator().manual_seed(seed)
    scores = 0.01 * torch.rand(n, PLACES, 2, generator=draw)
    scores[:, :objects, 0] = 0.9
    return {"boxes": torch.randn(n, PLACES, 4, generator=draw), "scores": scores}


def loss(student: dict[str, torch.Tensor], teacher: dict[str, torch.Tensor]) -> float:
    return float(DetectionTarget(PAIR, PAIR).loss(student, teacher))


@given(seed=SEEDS)
def test_the_teacher_itself_loses_nothing_and_others_do(seed: int) -> None:
    teacher = answers(seed)
    assert loss(teacher, teacher) == 0
    assert loss({**teacher, "scores": teacher["scores"] + 0.1}, teacher) > 0
    assert loss({**teacher, "boxes": teacher["boxes"] + 0.1}, teacher) > 0


@given(seed=SEEDS)
def test_a_box_counts_where_the_teacher_sees_an_object(seed: int) -> None:
    """More than twenty times as much as where it sees none."""
    teacher = answers(seed)
    there, elsewhere = (teacher["boxes"].clone() for _ in range(2))
    there[:, 0] += 1
    elsewhere[:, OBJECTS] += 1
    assert loss({**teacher, "boxes": there}, teacher) > 20 * loss({**teacher, "boxes": elsewhere}, teacher)


@given(seed=SEEDS, unit=st.floats(0.01, 1000), objects=st.integers(0, OBJECTS), n=st.integers(1, 2))
def test_the_unit_of_boxes_is_no_matter(seed: int, unit: float, objects: int, n: int) -> None:
    """Pixels or shares, of however few objects: to 1 %."""
    teacher = answers(seed, objects, n)
    student = {**teacher, "boxes": teacher["boxes"] + 0.5}
    scaled = [{**each, "boxes": unit * each["boxes"]} for each in (student, teacher)]
    assert loss(*scaled) == pytest.approx(loss(student, teacher), rel=0.01)


@given(seed=SEEDS)
def test_an_object_that_is_missed_costs_as_much_among_few_as_among_many_places(seed: int) -> None:
    """A mean over the places would make it cost next to nothing."""
    teacher = answers(seed)
    missed = {**teacher, "scores": teacher["scores"].clone()}
    missed["scores"][:, :OBJECTS, 0] = 0.01
    assert loss(missed, teacher) > 0.5


def test_without_objects_scores_are_learned_and_boxes_are_not() -> None:
    teacher = answers(0, objects=0)
    moved = {**teacher, "boxes": teacher["boxes"] + 1}
    seen = {**teacher, "scores": teacher["scores"].clone()}
    seen["scores"][0, 0, 0] = 1.0
    assert loss(seen, teacher) > loss(moved, teacher)


@pytest.mark.parametrize(
    ("scores", "objectness", "expected"),
    [
        ([[0.9, 0.5, 0.2]], True, 0.45),
        ([[0.7]], True, 0.7),
        ([[0.1, 0.6], [0.1, 0.1]], False, 0.6),
        ([[0.98, 0.02], [0.97, 0.03], [0.2, 0.8]], False, 0.8),
        ([[0.01, 0.02, 0.97], [0.6, 0.1, 0.3], [0.0, 0.0, 1.0]], False, 0.7),
    ],
    ids=["objectness", "objectness alone", "classes", "background first", "background last"],
)
def test_the_confidence_of_the_surest_place(
    scores: list[list[float]], objectness: bool, expected: float
) -> None:
    x = torch.tensor([scores])
    background = None if objectness else background_column(x)
    found = confidence(x, objectness=objectness, background=background)
    assert float(found.max()) == pytest.approx(expected)


def test_logits_are_read_as_probabilities_and_one_output_may_have_all() -> None:
    teacher = answers(1)
    objectness = torch.full((2, PLACES, 1), 0.5)
    out = torch.cat([teacher["boxes"], objectness, teacher["scores"]], 2)
    as_logits = torch.cat([teacher["boxes"], objectness.logit(), teacher["scores"].logit()], 2)
    target = DetectionTarget(ONE, ONE)
    shifted = torch.zeros_like(out)
    shifted[..., :4] = 0.3
    probabilities = float(target.loss({"out": out + shifted}, {"out": out}))
    assert float(target.loss({"out": as_logits + shifted}, {"out": as_logits})) == pytest.approx(
        probabilities, rel=1e-3
    )
    assert target.student_values == ["out", "out"]


@given(seed=SEEDS)
def test_a_single_object_weighs_about_as_much_as_several(seed: int) -> None:
    """Boxes of one object have no deviation of their own; what is wrong by half a deviation of all places costs at most
    10 · ¼ · 4 · ½² of each."""
    teacher = answers(seed, 1, 1)
    teacher["scores"] = torch.where(teacher["scores"] > 0.5, teacher["scores"], 0.0)
    moved = {**teacher, "boxes": teacher["boxes"] + 0.5 * teacher["boxes"].std((0, 1))}
    assert loss(moved, teacher) <= 10 * 0.25 + 0.01


def test_probabilities_beyond_one_by_rounding_are_no_logits() -> None:
    teacher = answers(0)
    teacher["scores"][0, 0, 0] = 1 + 1e-6
    nothing = {**teacher, "scores": torch.zeros_like(teacher["scores"])}
    assert loss(nothing, teacher) > 0.5
