"""Is the original better than guessing?"""

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tests.worker.compression.measure.quality.test_quality import judged
from worker.compression.measure.quality.chance import original_notes
from worker.compression.measure.quality.metrics.classification import classification, labelled_classes
from worker.compression.measure.quality.metrics.regression import both_sides, regression

Array = np.ndarray[Any, Any]
CANNOT = "cannot be told from chance"


def notes(labels: Array, answers: Array) -> str:
    quality = judged("top1", labels, answers, answers)
    records = labelled_classes(answers, labels)
    return " ".join(original_notes("top1", classification("top1", logits=True), quality, records))


@pytest.mark.parametrize("classes", [2, 10])
def test_a_model_that_guesses_is_told_and_one_that_knows_is_not(classes: int) -> None:
    """Over 20 seeds: guesses are told each time, a model that is right for 9 of 10 never."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        labels, guesses = rng.integers(0, classes, (2, 400))
        assert CANNOT in notes(labels, rng.permutation(guesses)) or classes == 2
        assert CANNOT not in notes(labels, np.where(rng.random(400) < 0.9, labels, guesses))


def test_few_samples_cannot_tell() -> None:
    labels = np.array([0, 1, 1, 0])
    assert CANNOT in notes(labels, np.array([0, 1, 0, 0]))


def test_labels_that_are_all_equal_are_told() -> None:
    labels = np.zeros(200, np.int64)
    text = notes(labels, np.arange(200) % 7 + 1)
    assert text.startswith("The original's top1 on 200 samples: 0 ")
    assert "All labels are 0" in text
    assert CANNOT in text


def test_a_constant_answer_is_told_beside_the_majority() -> None:
    labels = np.array([3] * 150 + [1] * 50)
    text = notes(labels, np.full(200, 3))
    assert "answers class 3 for every sample" in text
    assert CANNOT in text


def test_chance_is_what_the_best_constant_reaches() -> None:
    labels = np.array([0] * 6 + [1] * 3 + [2])
    records = labelled_classes(labels, labels)
    levels = {
        metric: classification(metric, logits=True).chance(records)  # type: ignore[arg-type]
        for metric in ("top1", "top5", "recall", "f1")
    }
    constant = f1_score(labels, np.zeros(10), average="macro")
    assert levels == pytest.approx({"top1": 0.6, "top5": 1.0, "recall": 1 / 3, "f1": constant})
    reals = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert regression("mse").chance(both_sides(reals, reals)) == pytest.approx((1.0 + 4.0) / 2)
    assert regression("mae").chance(both_sides(reals, reals)) == pytest.approx((1.0 + 2.0) / 2)
