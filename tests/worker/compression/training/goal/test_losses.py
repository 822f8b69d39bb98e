"""The parts of a loss: what they are zero for, and what they are equal to."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.support.refusals import refusal
from worker.compression.training.feeding.batches import Batch
from worker.compression.training.goal.feature_distillation.features import Feature, Projections
from worker.compression.training.goal.head import Head
from worker.compression.training.goal.losses import direction, soft_labels
from worker.compression.training.goal.objective import LossWeights, Objective

HEAD = Head("logits", "logits", "classification")


def batch(labels: torch.Tensor | None, n: int = 4) -> Batch:
    return Batch({}, labels, np.arange(n))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_soft_labels_are_zero_for_the_teacher_itself_and_positive_else(temperature: float) -> None:
    a, b = torch.randn(4, 10), torch.randn(4, 10)
    assert float(soft_labels(a, a, temperature)) == pytest.approx(0, abs=1e-6)
    assert float(soft_labels(a, a + 3, temperature)) == pytest.approx(0, abs=1e-5)  # a shift is no difference
    assert float(soft_labels(a, b, temperature)) > 0


def test_soft_labels_are_torchs_divergence_times_t_squared() -> None:
    """To 1e-5."""
    a, b = torch.randn(4, 10), torch.randn(4, 10)
    expected = 9 * torch.nn.functional.kl_div(
        torch.log_softmax(a / 3, 1), torch.softmax(b / 3, 1), reduction="batchmean"
    )
    assert float(soft_labels(a, b, 3.0)) == pytest.approx(float(expected), rel=1e-5)


def test_a_direction_has_no_length() -> None:
    a = torch.randn(4, 8)
    assert float(direction(a, 5 * a)) == pytest.approx(0, abs=1e-5)
    assert float(direction(a, -a)) == pytest.approx(2, abs=1e-6)


def test_a_loss_is_the_weighted_sum_of_its_parts() -> None:
    student, teacher = {"logits": torch.randn(4, 10)}, {"logits": torch.randn(4, 10)}
    given = batch(torch.tensor([1, 2, 3, 4]))

    def loss(**weights: float) -> float:
        return float(
            Objective(LossWeights(temperature=2.0, **weights), HEAD, HEAD).loss(student, teacher, given)
        )

    both = 2 * loss(soft=1) + 3 * loss(labels=1) + 0.5 * loss(hard=1)
    assert loss(soft=2, labels=3, hard=0.5) == pytest.approx(both, rel=1e-5)


def test_samples_without_a_label_learn_from_the_teacher_alone() -> None:
    """Each loss is that of the batch in which they are absent, by their shares: nothing else is added or taken."""
    student, teacher = {"logits": torch.randn(6, 10)}, {"logits": torch.randn(6, 10)}
    objective = Objective(LossWeights(soft=1, labels=2), HEAD, HEAD)

    def loss(rows: slice, labels: list[int]) -> float:
        cut = ({name: x[rows] for name, x in values.items()} for values in (student, teacher))
        return float(objective.loss(*cut, batch(torch.tensor(labels))))

    whole = loss(slice(6), [1, 2, 3, 4, -1, -1])
    assert whole == pytest.approx((4 * loss(slice(4), [1, 2, 3, 4]) + 2 * loss(slice(4, 6), [-1, -1])) / 6)
    found = objective.count_matches(teacher, teacher, batch(torch.tensor([1, 2, 3, 4, -1, -1])))
    assert found is not None
    assert (found.name, found.count) == ("top1", 4)


def test_class_255_of_labels_in_one_byte_is_a_label() -> None:
    student = {"logits": torch.eye(3, 256).roll(-1, 1)}
    objective = Objective(LossWeights(soft=1), HEAD, HEAD)
    found = objective.count_matches(student, student, batch(torch.tensor([255, 0, 9], dtype=torch.uint8)))
    assert found is not None
    assert (found.name, found.matches, found.count) == ("top1", 2, 3)


def test_right_answers_are_counted_against_labels_else_the_teacher() -> None:
    student = {"logits": torch.eye(4, 10)}
    objective = Objective(LossWeights(soft=1), HEAD, HEAD)
    found = objective.count_matches(student, student, batch(torch.tensor([0, 1, 2, 9])))
    assert found is not None
    assert (found.name, found.matches, found.count) == ("top1", 3, 4)
    agreed = objective.count_matches(student, student, batch(None))
    assert agreed is not None
    assert (agreed.name, agreed.matches) == ("agreement", 4)


def test_a_projection_bridges_widths_and_sizes_and_can_be_learned() -> None:
    pair = Feature(teacher="t", student="s")
    projections = Projections([pair])
    distance = projections.distance(pair, torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4))
    distance.backward()
    assert [tuple(p.shape) for p in projections.parameters()] == [(6, 4), (6,)]
    assert all(p.grad is not None for p in projections.parameters())


def test_the_same_width_needs_no_projection() -> None:
    pair = Feature(teacher="t", student="s")
    projections, x = Projections([pair]), torch.randn(2, 5, 8)
    assert float(projections.distance(pair, x, x)) == 0
    assert list(projections.parameters()) == []


def test_values_that_cannot_be_compared_are_refused_with_their_shapes() -> None:
    pair = Feature(teacher="t", student="s")
    problem = refusal(lambda: Projections([pair]).distance(pair, torch.randn(2, 4, 8, 8), torch.randn(2, 6)))
    assert problem is not None
    assert problem.code == "teacher_does_not_fit"
    assert "[2, 4, 8, 8]" in problem.detail


def test_a_relative_error_has_no_size() -> None:
    pair = Feature(teacher="t", student="s", measure="relative_error")
    student, teacher = torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    small, large = (
        float(Projections([pair]).distance(pair, c * student, c * teacher)) for c in (0.01, 100.0)
    )
    assert small == pytest.approx(large, rel=1e-4)
    assert float(Projections([pair]).distance(pair, 0 * teacher, teacher)) == pytest.approx(1)


def test_relations_need_as_many_positions_but_no_equal_width() -> None:
    pair = Feature(teacher="t", student="s", measure="relations")
    assert float(Projections([pair]).distance(pair, torch.randn(2, 5, 8), torch.randn(2, 5, 16))) >= 0
    problem = refusal(lambda: Projections([pair]).distance(pair, torch.randn(2, 5, 8), torch.randn(2, 6, 8)))
    assert problem is not None
    assert "[2, 5, 8]" in problem.detail


def test_in_two_stages_the_features_come_first_and_then_the_outputs_alone() -> None:
    features = (Feature("h", "h"),)
    weights = LossWeights(soft=1.0, features=features, features_first=0.5)
    student, teacher = (
        {"logits": torch.randn(4, 10), "h": torch.randn(4, 3)},
        {"logits": torch.randn(4, 10), "h": torch.randn(4, 3)},
    )

    def loss(weights: LossWeights, stage: int) -> float:
        return float(Objective(weights, HEAD, HEAD).loss(student, teacher, batch(None), stage))

    outputs, hidden = LossWeights(soft=1.0), LossWeights(features=features)
    assert loss(weights, 0) == loss(hidden, 0)
    assert loss(weights, -1) == loss(outputs, -1)
    assert loss(replace(weights, features_first=0.0), 0) == pytest.approx(loss(outputs, 0) + loss(hidden, 0))


@given(share=st.floats(0, 0.999), total=st.integers(1, 1000))
def test_the_last_stage_is_never_empty(share: float, total: int) -> None:
    steps = LossWeights(soft=1.0, features=(Feature("h", "h"),), features_first=share).first_steps(total)
    assert 0 <= steps < total
    assert steps <= share * total + 1
