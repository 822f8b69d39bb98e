import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from winnow.contract.decoding import Classes
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation, Metric
from winnow.contract.report import Quality
from worker.compression.data.samples import Samples
from worker.compression.measure.quality.by_task import measure_of
from worker.compression.measure.quality.decode.decoder import decoder_for
from worker.compression.measure.quality.judgement import Judgement, class_count
from worker.compression.measure.quality.quality import judge
from worker.compression.measure.quality.truth import truth_of

METRICS: list[Metric] = ["top1", "top5", "precision", "recall", "mse"]


def judged(metric: Metric, labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> Quality:
    """What becomes of the outputs of both models, given as they are."""
    evaluation = Evaluation(metric=metric)
    task = evaluation.named_task
    assert task is not None
    settings = Classes(kind="classes") if task == "classification" else None
    samples = Samples((), (), labels, range(len(labels)))
    decoder = decoder_for(task, settings, {"out": before}, "out")
    predictions = [decoder([x], {}, len(labels)) for x in (before, after)]
    classes = class_count(decoder, {"out": before}, predictions[0])
    truth = truth_of(samples, decoder, (metric,), classes)
    assert truth is not None
    measure = measure_of(metric, decoder, classes=classes, pairs=False)
    records = [measure.record(p, truth.batch(0, len(labels), p)) for p in predictions]
    return judge(metric, measure, *records, Judgement(decoder, {metric: measure}, truth), True, 0)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Scores of a linear model on half of the digits that it has not seen, and their labels."""
    images, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=500).fit(images[::2][:100] / 16, labels[::2][:100])
    return model.predict_log_proba(images[1::2] / 16).astype(np.float32), labels[1::2]


def test_the_values_are_those_of_scikit_learn(digits: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = digits
    best = scores.argmax(axis=1)
    expected = {
        "top1": metrics.accuracy_score(labels, best),
        "top5": metrics.top_k_accuracy_score(labels, scores, k=5),
        "precision": metrics.precision_score(labels, best, average="macro"),
        "recall": metrics.recall_score(labels, best, average="macro"),
    }
    for metric, value in expected.items():
        assert judged(metric, labels, scores, scores).before == pytest.approx(value, abs=1e-12)
    assert 0.5 < expected["top1"] < 1
    targets = np.eye(10)[labels]
    quality = judged("mse", targets, scores, scores)
    assert quality.before == pytest.approx(metrics.mean_squared_error(targets, scores), rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_spoiled_by_noise_is_worse_and_the_interval_knows(
    metric: Metric, digits: tuple[np.ndarray, np.ndarray]
) -> None:
    scores, labels = digits
    noisy = scores + np.random.default_rng(0).normal(size=scores.shape) * 20
    truth = scores if metric == "mse" else labels
    worse, better = judged(metric, truth, scores, noisy), judged(metric, truth, noisy, scores)
    assert 0 < worse.drop_interval[0] <= worse.drop <= worse.drop_interval[1]
    assert better.drop_interval[1] < 0
    assert worse.drop == pytest.approx(-better.drop)
    for quality in (worse, better):
        assert quality.before_interval[0] <= quality.before <= quality.before_interval[1]
        assert quality.after_interval[0] <= quality.after <= quality.after_interval[1]


@pytest.mark.parametrize("metric", METRICS)
@settings(deadline=None)
@given(data=st.data())
def test_the_same_outputs_lose_exactly_nothing(metric: Metric, data: st.DataObject) -> None:
    labels = np.array(data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=40)))
    scores = np.random.default_rng(data.draw(st.integers(0, 99))).normal(size=(len(labels), 7))
    truth = np.eye(7)[labels] if metric == "mse" else labels
    quality = judged(metric, truth, scores, scores.copy())
    assert (quality.drop, quality.drop_interval) == (0.0, (0.0, 0.0))


@pytest.mark.parametrize("metric", METRICS)
def test_outputs_that_are_not_numbers_count_as_wrong(metric: Metric) -> None:
    labels = np.arange(8)
    truth = np.eye(8) if metric == "mse" else labels
    quality = judged(metric, truth, np.eye(8), np.full((8, 8), np.nan))
    assert np.isfinite([quality.after, quality.drop, *quality.drop_interval]).all()
    assert quality.drop >= 1


def test_a_model_may_answer_classes_itself() -> None:
    labels = np.array([1, 2, 3, 3])
    assert judged("top1", labels, labels.copy(), np.array([[1], [2], [3], [0]])).drop == 0.25


@pytest.mark.parametrize(
    ("metric", "scores", "labels", "told"),
    [
        ("top1", np.zeros((3, 4)), np.array([0, 1, 4]), "0 to 3"),
        ("top1", np.zeros((3, 4)), np.array([-1, 1, 2]), "-1 to 2"),
        ("top1", np.zeros((3, 4)), np.array([0.5, 1, 2]), "one class number"),
        ("top1", np.zeros((3, 4)), np.zeros((3, 2), int), "one class number"),
        ("recall", np.zeros((3, 4, 5, 5)), np.zeros(3, int), "scores"),
        ("top5", np.zeros(3), np.zeros(3, int), "scores"),
        ("top1", np.zeros((7, 3, 4)), np.zeros(3, int), "scores"),
        ("mse", np.zeros((3, 4)), np.zeros((3, 5)), "element by element"),
        ("mse", np.zeros((3, 2)), np.array([[0, 1], [2, np.nan], [0, 0]]), "finite"),
        ("mse", np.zeros(3), np.array(["a", "b", "c"]), "finite"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    metric: Metric, scores: np.ndarray, labels: np.ndarray, told: str
) -> None:
    with pytest.raises(Refusal) as refused:
        judged(metric, labels, scores, scores)
    assert refused.value.problem.code == "labels_do_not_fit"
    assert told in refused.value.problem.detail


def test_a_row_without_a_label_is_refused_where_outputs_are_numbers_of_classes() -> None:
    answers = np.array([0, 1, 2, 1])
    with pytest.raises(Refusal, match="row 2 is -1"):
        judged("top1", np.array([0, 1, -1, 1]), answers, answers)
