"""Every metric beside torchmetrics, scikit-learn or pycocotools, called directly on the same predictions: equal within
1e-6, on random and on degenerate inputs. And: what the bootstrap draws from is, with every sample once, the same."""

import contextlib
import io
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torchmetrics.functional as tm
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scipy import stats
from sklearn import metrics as sk
from torchmetrics.functional import text

from winnow.contract.evaluation import Metric
from worker.compression.ir.arrays import Array
from worker.compression.measure.quality.decode.detections import Detections
from worker.compression.measure.quality.decode.heads import softmax
from worker.compression.measure.quality.measure import Measure
from worker.compression.measure.quality.metrics.anomaly import anomaly
from worker.compression.measure.quality.metrics.classification import classification
from worker.compression.measure.quality.metrics.detection import detection
from worker.compression.measure.quality.metrics.embedding import embedding
from worker.compression.measure.quality.metrics.language import language
from worker.compression.measure.quality.metrics.multilabel import multilabel
from worker.compression.measure.quality.metrics.regression import regression
from worker.compression.measure.quality.metrics.segmentation import segmentation
from worker.compression.measure.quality.metrics.sequence import sequence

TOLERANCE = 1e-6


def value(measure: Measure, predictions: Any, truth: Any) -> float:
    """The library's value, which the weighted statistic has to share."""
    rows = measure.gather(measure.record(predictions, truth))
    exact = measure.value(rows).value
    ones = np.ones((3, len(rows)))
    np.testing.assert_allclose(measure.statistic(rows, ones), exact, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(measure.statistic(rows, 2 * ones), exact, rtol=0, atol=TOLERANCE)
    return exact


def same(one: float, other: Any) -> None:
    assert one == pytest.approx(float(other), abs=TOLERANCE)


def t(x: Array) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x))


@pytest.fixture(params=["random", "one wrong class", "ties"])
def classes(request: pytest.FixtureRequest) -> tuple[Array, Array]:
    """Logits [n, 5] and labels of which not every class is predicted."""
    rng = np.random.default_rng(0)
    labels, logits = rng.integers(0, 5, 300), rng.normal(size=(300, 5))
    logits[np.arange(300), labels] += 1
    if request.param == "one wrong class":
        logits[:, 3] = -50
    if request.param == "ties":
        logits = np.round(logits)
    return logits, labels


def test_classification(classes: tuple[Array, Array]) -> None:
    logits, labels = classes
    shares, best = softmax(logits), logits.argmax(axis=1)
    expected = {
        "top1": sk.accuracy_score(labels, best),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, best),
        "precision": sk.precision_score(labels, best, average="macro", zero_division=0),
        "recall": sk.recall_score(labels, best, average="macro"),
        "f1": sk.f1_score(labels, best, average="macro"),
        "roc_auc": sk.roc_auc_score(labels, shares, multi_class="ovr", average="macro"),
        "average_precision": sk.average_precision_score(np.eye(5)[labels], shares, average="macro"),
    }
    for metric, number in expected.items():
        same(value(classification(metric, logits=True), logits, labels), number)  # type: ignore[arg-type]
    if np.ptp(np.sort(logits, axis=1)[:, -2:], axis=1).min() == 0:
        return  # of classes that are equally likely torch takes another one
    same(
        value(classification("ece", logits=True), logits, labels),
        tm.classification.multiclass_calibration_error(t(shares), t(labels), 5, n_bins=15, norm="l1"),
    )
    same(
        value(classification("roc_auc", logits=False), shares, labels),
        tm.auroc(t(shares), t(labels), "multiclass", num_classes=5),
    )


def test_classification_top5_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    labels, logits = rng.integers(0, 12, 200), rng.normal(size=(200, 12))
    same(
        value(classification("top5", logits=True), logits, labels),
        sk.top_k_accuracy_score(labels, logits, k=5, labels=np.arange(12)),
    )


def test_two_classes_are_those_of_the_second() -> None:
    rng = np.random.default_rng(2)
    labels, shares = rng.integers(0, 2, 100), rng.dirichlet([1, 1], 100)
    same(
        value(classification("roc_auc", logits=False), shares, labels),
        sk.roc_auc_score(labels, shares[:, 1]),
    )


def test_labels_of_one_class_have_no_area_and_are_told_as_chance() -> None:
    """scikit-learn and torchmetrics have no number for them either: NaN, or a warning and 0."""
    shares, labels = np.random.default_rng(3).dirichlet([1, 1, 1], 40), np.full(40, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(sk.roc_auc_score(labels == 2, shares[:, 2]))
    assert value(classification("roc_auc", logits=False), shares, labels) == 0.5
    same(value(classification("average_precision", logits=False), shares, labels), 1.0)
    for metric in ("top1", "recall", "f1", "precision", "balanced_accuracy", "ece"):
        value(classification(metric, logits=False), shares, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("absent", [False, True])
def test_multilabel(absent: bool) -> None:
    rng = np.random.default_rng(4)
    truth = (rng.random((200, 6)) < 0.3).astype(np.int64)
    shares = np.clip(rng.random((200, 6)) * 0.7 + truth * 0.25, 0, 1)
    if absent:
        truth[:, 1] = 0
    expected: dict[Metric, Any] = {
        "precision": sk.precision_score(truth, shares >= 0.5, average="macro", zero_division=0),
        "recall": sk.recall_score(truth, shares >= 0.5, average="macro", zero_division=0),
        "f1": sk.f1_score(truth, shares >= 0.5, average="macro", zero_division=0),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = [c for c in range(6) if truth[:, c].any()]
        expected["roc_auc"] = np.mean([sk.roc_auc_score(truth[:, c], shares[:, c]) for c in known])
        expected["average_precision"] = tm.classification.multilabel_average_precision(
            t(shares), t(truth), 6, average="macro"
        )
    for metric, number in expected.items():
        same(value(multilabel(metric, 0.5), shares, truth), number)


@pytest.mark.parametrize("columns", [1, 3])
def test_regression(columns: int) -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(150, columns)) * 3 + 100
    values = truth + rng.normal(size=truth.shape)
    expected: dict[Metric, Any] = {
        "mae": sk.mean_absolute_error(truth, values),
        "mse": sk.mean_squared_error(truth, values),
        "rmse": tm.mean_squared_error(t(values), t(truth), squared=False),
        "r2": sk.r2_score(truth, values),
        "pearson": np.mean([stats.pearsonr(y, p).statistic for y, p in zip(truth.T, values.T, strict=True)]),
        "spearman": np.mean(tm.spearman_corrcoef(t(values), t(truth)).numpy())
        if columns > 1
        else tm.spearman_corrcoef(t(values[:, 0]), t(truth[:, 0])),
    }
    for metric, number in expected.items():
        same(value(regression(metric), values, truth), number)
    same(
        value(regression("spearman"), np.round(values), truth),
        np.mean([stats.spearmanr(y, p).statistic for y, p in zip(truth.T, np.round(values).T, strict=True)]),
    )


def test_regression_of_pictures_is_that_of_all_pixels() -> None:
    rng = np.random.default_rng(6)
    truth = rng.normal(size=(20, 3, 8, 8))
    values = truth + rng.normal(size=truth.shape) / 3
    same(value(regression("mse"), values, truth), sk.mean_squared_error(truth.ravel(), values.ravel()))
    same(value(regression("mae"), values, truth), sk.mean_absolute_error(truth.ravel(), values.ravel()))
    same(value(regression("r2"), values, truth), sk.r2_score(truth.ravel(), values.ravel()))
    same(value(regression("pearson"), values, truth), np.corrcoef(truth.ravel(), values.ravel())[0, 1])


def test_a_constant_column_is_as_scikit_learn_says() -> None:
    truth = np.full((30, 1), 2.0)
    same(value(regression("r2"), truth, truth), sk.r2_score(truth, truth))
    same(value(regression("r2"), truth + 1, truth), sk.r2_score(truth, truth + 1))
    for metric in ("pearson", "spearman"):
        assert value(regression(metric), truth + 1, truth) == 0  # type: ignore[arg-type]


def test_segmentation() -> None:
    rng = np.random.default_rng(7)
    truth = rng.integers(0, 4, (12, 16, 16))
    logits = rng.normal(size=(12, 16, 16, 5))
    logits[np.arange(12)[:, None, None], np.arange(16)[:, None], np.arange(16), truth] += 1.5
    truth[rng.random(truth.shape) < 0.1] = -1
    best = logits.argmax(axis=-1)
    counted = truth >= 0
    options = {"num_classes": 5, "ignore_index": -1}
    same(
        value(segmentation("mean_iou", 5), logits, truth),
        tm.jaccard_index(t(best), t(truth), "multiclass", **options),
    )
    same(
        value(segmentation("mean_iou", 5), logits, truth),
        sk.jaccard_score(truth[counted], best[counted], average="macro"),
    )
    same(
        value(segmentation("pixel_accuracy", 5), logits, truth),
        sk.accuracy_score(truth[counted], best[counted]),
    )


def test_language() -> None:
    rng = np.random.default_rng(8)
    tokens, logits = rng.integers(0, 50, (10, 12)), rng.normal(size=(10, 12, 50)) * 4
    tokens[rng.random(tokens.shape) < 0.2] = -100
    tokens[3] = -100
    same(
        value(language("perplexity"), logits, tokens),
        text.perplexity(t(logits), t(tokens), ignore_index=-100),
    )
    counts = tokens >= 0
    same(
        value(language("token_accuracy"), logits, tokens),
        sk.accuracy_score(tokens[counts], logits.argmax(axis=-1)[counts]),
    )


def test_sequences() -> None:
    rng = np.random.default_rng(9)
    alphabet = list("abc ")
    truth = [tuple(rng.choice(alphabet, rng.integers(0, 30))) for _ in range(40)]
    heard = [tuple(s for s in row if rng.random() > 0.1) + ("b",) * int(rng.integers(2)) for row in truth]
    texts = ["".join(row) for row in heard], ["".join(row) for row in truth]
    same(value(sequence("cer", None), heard, truth), text.char_error_rate(*texts))
    same(
        value(sequence("wer", alphabet), heard, truth),
        text.word_error_rate(*([" ".join(s.split()) for s in side] for side in texts)),
    )
    same(
        value(sequence("exact_match", None), heard, truth),
        np.mean([a == b for a, b in zip(*texts, strict=True)]),
    )


def test_anomalies() -> None:
    rng = np.random.default_rng(10)
    truth = rng.integers(0, 2, 120)
    scores = np.round(rng.normal(size=120) + truth, 1)
    same(value(anomaly("anomaly_auc"), scores, truth), sk.roc_auc_score(truth, scores))
    same(
        value(anomaly("anomaly_auc"), scores, truth),
        tm.auroc(t(scores).sigmoid(), t(truth), "binary"),
    )
    assert value(anomaly("anomaly_auc"), scores, np.zeros(120)) == 0.5


def test_embeddings() -> None:
    rng = np.random.default_rng(11)
    pairs, alike = rng.normal(size=(80, 2, 16)), rng.random(80)
    pairs[:, 1] += alike[:, None] * pairs[:, 0] * 3
    cosines = sk.pairwise.paired_cosine_distances(pairs[:, 0], pairs[:, 1])
    same(
        value(embedding("spearman", pairs=True), pairs, alike), stats.spearmanr(alike, 1 - cosines).statistic
    )
    similar = sk.pairwise.cosine_similarity(pairs[:, 0], pairs[:, 1])
    for k in (1, 5, 10):
        metric: Metric = f"recall_at_{k}"  # type: ignore[assignment]
        expected = sk.top_k_accuracy_score(np.arange(80), similar, k=k)
        same(value(embedding(metric, pairs=True), pairs, None), expected)


def test_nearest_neighbours_of_the_same_class() -> None:
    rng = np.random.default_rng(12)
    labels = rng.integers(0, 4, 90)
    vectors = np.eye(4)[labels] + rng.normal(size=(90, 4)) * 0.7
    similar = sk.pairwise.cosine_similarity(vectors)
    np.fill_diagonal(similar, -2)
    order = np.argsort(-similar, axis=1)
    for k in (1, 5, 10):
        hits = [bool((labels[order[i, :k]] == labels[i]).any()) for i in range(90)]
        metric: Metric = f"recall_at_{k}"  # type: ignore[assignment]
        same(value(embedding(metric, pairs=False), vectors, labels), np.mean(hits))
    target = t((labels[:, None] == labels).astype(np.int64))
    first = [tm.retrieval.retrieval_hit_rate(t(similar[i]), target[i], top_k=1) for i in range(90)]
    same(value(embedding("recall_at_1", pairs=False), vectors, labels), np.mean(first))


def boxes_of(rng: np.random.Generator, images: int, classes: int) -> tuple[list[Detections], list[Array]]:
    """True boxes, and ones that are near some of them and far from all, with scores of which some are equal."""
    found, truth = [], []
    for _ in range(images):
        count = int(rng.integers(0, 6))
        corner, size = rng.random((count, 2)) * 200, rng.random((count, 2)) * 80 + 4
        true = np.column_stack([rng.integers(0, classes, count), corner, corner + size])
        seen = true[rng.random(count) < 0.8]
        seen = seen + np.pad(rng.normal(size=(len(seen), 4)) * 6, ((0, 0), (1, 0)))
        other = rng.integers(0, classes, int(rng.integers(0, 4)))
        far = rng.random((len(other), 2)) * 200
        boxes = np.concatenate([seen[:, 1:], np.column_stack([far, far + 30])])
        boxes = np.concatenate([boxes[:, :2], np.maximum(boxes[:, 2:], boxes[:, :2])], axis=1)
        numbers = np.concatenate([seen[:, 0], other]).astype(np.int64)
        scores = np.round(rng.random(len(boxes)), 1)
        order = np.argsort(-scores, kind="stable")
        found.append(Detections(boxes[order], scores[order], numbers[order]))
        truth.append(true)
    return found, truth


def pycocotools_map(found: list[Detections], truth: list[Array]) -> tuple[float, float]:
    """Mean average precision at 0.50:0.95, and at 0.50."""
    width_first = lambda b: [b[0], b[1], b[2] - b[0], b[3] - b[1]]  # noqa: E731
    annotations: list[dict[str, Any]] = []
    for image, rows in enumerate(truth):
        for row in rows:
            box = width_first(row[1:])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image + 1,
                    "category_id": int(row[0]) + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                }
            )
    results = [
        {"image_id": i + 1, "category_id": int(c) + 1, "bbox": width_first(b), "score": float(s)}
        for i, d in enumerate(found)
        for b, s, c in zip(d.boxes.tolist(), d.scores, d.classes, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i + 1} for i in range(len(found))],
            "annotations": annotations,
            "categories": [{"id": c + 1} for c in range(9)],
        }
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


@pytest.mark.parametrize("seed", range(4))
def test_detection_is_that_of_pycocotools(seed: int) -> None:
    found, truth = boxes_of(np.random.default_rng(seed), 40, 3)
    whole, half = pycocotools_map(found, truth)
    assert 0.05 < whole < half < 0.95
    same(value(detection("map", 0.3), found, truth), whole)
    same(value(detection("map50", 0.3), found, truth), half)


NO_BOXES = Detections(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))


def test_empty_boxes() -> None:
    _, truth = boxes_of(np.random.default_rng(0), 6, 2)
    nothing = [NO_BOXES] * 6
    empty = [np.zeros((0, 5))] * 6
    assert value(detection("map", 0.3), nothing, truth) == 0
    assert value(detection("map", 0.3), nothing, empty) == 0
    found, _ = boxes_of(np.random.default_rng(1), 6, 2)
    assert value(detection("map", 0.3), found, empty) == 0
    assert value(detection("agreement", 0.3), nothing, nothing) == 1
    assert value(detection("agreement", 0.3), found, nothing) == 0


AGREEMENTS: dict[str, Callable[[], tuple[Measure, Any, Any]]] = {
    "classes": lambda: (classification("agreement", logits=True), np.eye(4), np.eye(4)[[0, 1, 2, 2]]),
    "labels": lambda: (multilabel("agreement", 0.5), np.eye(4), np.eye(4)[[0, 1, 2, 2]]),
    "boxes": lambda: (
        detection("agreement", 0.3),
        [NO_BOXES, *boxes_of(np.random.default_rng(0), 9, 2)[0]],
        boxes_of(np.random.default_rng(0), 10, 2)[0],
    ),
    "masks": lambda: (
        segmentation("agreement", 3),
        np.arange(12).reshape(2, 2, 3) % 3,
        np.arange(12).reshape(2, 2, 3) % 2,
    ),
    "tokens": lambda: (language("agreement"), np.eye(5)[None], np.eye(5)[None, ::-1]),
    "symbols": lambda: (sequence("agreement", None), [(1, 2), ()], [(1, 2, 3), (1,)]),
    "numbers": lambda: (regression("agreement"), np.arange(9.0)[:, None], np.arange(9.0)[:, None] ** 2),
    "pairs": lambda: (
        embedding("agreement", pairs=True),
        *np.random.default_rng(0).normal(size=(2, 9, 2, 4)),
    ),
    "vectors": lambda: (
        embedding("agreement", pairs=False),
        *np.random.default_rng(0).normal(size=(2, 9, 4)),
    ),
    "anomalies": lambda: (anomaly("agreement"), np.arange(9.0), np.arange(9.0) % 4),
}


@pytest.mark.parametrize("task", AGREEMENTS)
def test_agreement_is_full_with_oneself_and_less_with_others(task: str) -> None:
    measure, one, other = AGREEMENTS[task]()
    same(value(measure, one, one), 1.0)
    assert value(measure, one, other) < 1 - TOLERANCE
