"""What a job is judged by, decided from outputs and labels, and measured by models that answer what they are fed."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.worker.compression.data.inputs.test_text import opened
from tests.worker.compression.measure.quality.decode.test_round_trips import FEED, encode_yolox
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.recipe import Requirements
from winnow.contract.report import Pair, Quality
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source
from worker.compression.measure.network import Network
from worker.compression.measure.quality.judgement import Judgement, compares_with_labels, judgement_of
from worker.compression.measure.quality.quality import check_quality, measure_quality, original_quality
from worker.compression.measure.verdict.requirements import judge
from worker.compression.measure.verdict.verdict import verdict

Array = np.ndarray[Any, Any]
N = 24
RNG = np.random.default_rng(0)


def echo(folder: Path, arrays: dict[str, Array], noise: float = 0.0) -> Network:
    """A model whose outputs `name_out` are its inputs, those of floats with something added that differs by place."""
    nodes, weights = [], {}
    for name, x in arrays.items():
        if x.dtype == np.float32 and name != "images":
            weights[f"{name}_noise"] = (noise * np.random.default_rng(1).normal(size=x.shape[1:])).astype(
                np.float32
            )
            nodes.append(onnx.helper.make_node("Add", [name, f"{name}_noise"], [f"{name}_out"]))
    kinds = {np.dtype(np.float32): onnx.TensorProto.FLOAT, np.dtype(np.int64): onnx.TensorProto.INT64}
    inputs = [
        onnx.helper.make_tensor_value_info(name, kinds[x.dtype], ["N", *x.shape[1:]])
        for name, x in arrays.items()
    ]
    outputs = [
        onnx.helper.make_tensor_value_info(node.output[0], kinds[np.dtype(np.float32)], None)
        for node in nodes
    ]
    tensors = [onnx.numpy_helper.from_array(w, name) for name, w in weights.items()]
    graph = onnx.helper.make_graph(nodes, "echo", inputs, outputs, tensors)
    path = folder / f"echo{noise}.onnx"
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path
    )
    return Network(path, 1, "the model")


def samples_of(folder: Path, network: Network, arrays: dict[str, Array], labels: Any) -> Samples:
    np.savez(folder / "data.npz", **arrays)
    samples = open_samples(Source(folder / "data.npz"), network.inputs, folder / "scratch")
    return replace(samples, targets=labels)


def decided(folder: Path, arrays: dict[str, Array], labels: Any = None, **asked: Any) -> Judgement:
    network = echo(folder, arrays)
    asked = asked or {"task": "auto"}
    return judgement_of(
        Evaluation.model_validate(asked), network, samples_of(folder, network, arrays, labels)
    )


def floats(*shape: int) -> Array:
    return RNG.normal(size=(N, *shape)).astype(np.float32)


def rows_of(*parts: Any) -> Array:
    """An object for each sample."""
    made = np.empty(N, object)
    made[:] = [parts[i % len(parts)] for i in range(N)]
    return made


SCENE = (np.array([[20.0, 20, 60, 70], [100, 90, 140, 130]]), np.array([0.9, 0.8]), np.array([1, 3]))
YOLOX = np.repeat(encode_yolox(SCENE)["output"].astype(np.float32), N, axis=0)
PICTURES = np.repeat(FEED["images"], N, axis=0)
TRUE = np.column_stack([SCENE[2], SCENE[0]]).astype(np.float32)
TOKENS = RNG.integers(0, 30, (N, 6))
FACES = {
    "images": PICTURES,
    "scores": np.tile(np.float32([0.9, 0.1]), (N, 500, 1)),
    "boxes": np.tile(np.float32([0.1, 0.1, 0.4, 0.5]), (N, 500, 1)),
}

PROPOSALS: dict[str, tuple[Callable[[], dict[str, Array]], Any, str, str | None, str]] = {
    "classes": (lambda: {"x": floats(5)}, np.arange(N) % 5, "classification", "classes", "top1"),
    "one-hot": (lambda: {"x": floats(5)}, np.eye(5)[np.arange(N) % 5], "classification", "classes", "top1"),
    "no labels": (lambda: {"x": floats(5)}, None, "classification", "classes", "agreement"),
    "labels": (
        lambda: {"x": floats(6)},
        RNG.integers(0, 2, (N, 6)),
        "multilabel",
        "sigmoid",
        "average_precision",
    ),
    "numbers": (lambda: {"x": floats(3)}, floats(3), "regression", None, "r2"),
    "one number": (lambda: {"x": floats(1)}, floats(), "regression", None, "r2"),
    "two masks": (
        lambda: {"x": floats(1, 8, 8)},
        RNG.integers(0, 2, (N, 8, 8)),
        "segmentation",
        "sigmoid",
        "mean_iou",
    ),
    "masks": (
        lambda: {"x": floats(4, 8, 8)},
        RNG.integers(0, 4, (N, 8, 8)),
        "segmentation",
        "argmax",
        "mean_iou",
    ),
    "no masks": (lambda: {"x": floats(4, 8, 8)}, None, "segmentation", "argmax", "agreement"),
    "pictures": (lambda: {"x": floats(3, 8, 8)}, None, "regression", None, "agreement"),
    "boxes": (lambda: {"images": PICTURES, "x": YOLOX}, rows_of(TRUE), "detection", "yolox", "map"),
    "no boxes": (lambda: {"images": PICTURES, "x": YOLOX}, None, "detection", "yolox", "agreement"),
    "faces": (lambda: FACES, None, "detection", "boxes", "agreement"),
    "vectors": (lambda: {"ids": TOKENS, "x": floats(6, 16)}, None, "embedding", "pooled", "agreement"),
    "vectors with classes": (
        lambda: {"ids": TOKENS, "x": floats(6, 16)},
        np.arange(N) % 3,
        "embedding",
        "pooled",
        "recall_at_1",
    ),
    "tokens": (lambda: {"ids": TOKENS, "x": floats(6, 30)}, TOKENS, "language", "argmax", "perplexity"),
    "symbols": (lambda: {"x": floats(9, 5)}, rows_of([1, 2, 3], [4]), "sequence", "ctc", "cer"),
}


@pytest.mark.parametrize("case", PROPOSALS)
def test_task_metric_and_decoder_are_told_from_outputs_and_labels(case: str, tmp_path: Path) -> None:
    arrays, labels, task, kind, metric = PROPOSALS[case]
    judgement = decided(tmp_path, arrays(), labels)
    settings = judgement.decoder.settings
    assert (judgement.task, settings and settings.kind) == (task, kind)
    assert list(judgement.measures) == [metric]
    assert task in judgement.notes[0]


def measured(
    folder: Path, arrays: dict[str, Array], labels: Any, noise: float, **asked: Any
) -> list[Quality]:
    before, after = echo(folder, arrays), echo(folder, arrays, noise)
    samples = samples_of(folder, before, arrays, labels)
    evaluation = Evaluation.model_validate(asked)
    check_quality(before, samples, evaluation)
    assert original_quality(before, samples, evaluation, 0)
    entries, _, _ = measure_quality(
        before, after, samples, evaluation, held_out=True, seed=0, tick=lambda _: None
    )
    return entries


@pytest.mark.parametrize("case", PROPOSALS)
def test_a_model_is_as_good_as_itself_and_agrees_in_full(case: str, tmp_path: Path) -> None:
    arrays, labels, task, *_ = PROPOSALS[case]
    for entry in measured(tmp_path, arrays(), labels, 0.0, task="auto", also=["agreement"]):
        assert (entry.drop, entry.drop_interval, entry.task) == (0, (0, 0), task)
        assert entry.metric != "agreement" or entry.after == 1


def test_boxes_that_moved_lose_what_coco_counts_and_agree_less(tmp_path: Path) -> None:
    arrays = {"images": PICTURES, "x": YOLOX}
    asked = {"metric": "map", "also": ["map50", "agreement"], "task": "detection"}
    whole, half, agreement = measured(tmp_path, arrays, rows_of(TRUE, TRUE[:1]), 0.25, **asked)
    assert (whole.metric, half.metric, agreement.metric) == ("map", "map50", "agreement")
    assert whole.before == pytest.approx(0.75, abs=0.15)  # half of the images lack a box that is found
    assert whole.after < whole.before
    assert whole.drop > half.drop
    assert whole.per_class is not None
    assert [entry.number for entry in whole.per_class] == [1, 3]
    assert agreement.before == 1
    assert agreement.after_interval[0] <= agreement.after <= agreement.after_interval[1]


def test_single_vectors_have_no_cosines_to_rank(tmp_path: Path) -> None:
    arrays = {"x": floats(2, 8)}
    network = echo(tmp_path, arrays)
    samples = samples_of(tmp_path, network, arrays, np.linspace(0, 1, N))
    evaluation = Evaluation.model_validate({"task": "embedding"})
    with pytest.raises(Refusal, match="compares pairs"):
        judgement_of(evaluation.model_copy(update={"metric": "spearman"}), network, samples)


def encoder(folder: Path, noise: float) -> Network:
    """A table of vectors for tokens, as the hidden states of a sentence encoder, with noise of its own."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 8)) + noise * np.random.default_rng(1).normal(size=(6, 8))
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["N", "L"])
        for name in ("input_ids", "attention_mask")
    ]
    hidden = onnx.helper.make_tensor_value_info("hidden", onnx.TensorProto.FLOAT, ["N", "L", 8])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["table", "input_ids"], ["hidden"])],
        "encoder",
        values,
        [hidden],
        [onnx.numpy_helper.from_array(vectors.astype(np.float32), "table")],
    )
    path = folder / f"encoder{noise}.onnx"
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path
    )
    return Network(path, 1, "the model")


def test_pairs_of_texts_are_ranked_by_their_cosines_with_labels_and_without(tmp_path: Path) -> None:
    words = np.random.default_rng(3).choice(["a", "b", "x"], (40, 2, 4))
    rows = [
        {"s": " ".join(one), "t": " ".join(other), "y": int((one == other).sum())} for one, other in words
    ]
    samples = opened(tmp_path, {"columns": ["s", "t"], "pair": "apart"}, rows=rows)
    before, after = encoder(tmp_path, 0.0), encoder(tmp_path, 0.3)
    for labelled, metrics in (
        (samples, ["spearman", "recall_at_1", "agreement"]),
        (replace(samples, targets=None), ["agreement"]),
    ):
        evaluation = Evaluation.model_validate({"task": "embedding", "also": metrics[1:]})
        entries, _, _ = measure_quality(
            before, after, labelled, evaluation, held_out=True, seed=0, tick=lambda _: None
        )
        assert [entry.metric for entry in entries] == metrics
        assert {entry.samples for entry in entries} == {40}
        assert 0.3 < entries[-1].after < 1


def test_requirements_name_metrics_and_agreement_and_are_judged_on_the_worse_bound(tmp_path: Path) -> None:
    arrays, labels = {"x": floats(5)}, np.arange(N) % 5
    entries = measured(tmp_path, arrays, labels, 0.6, metric="top1", also=["f1", "ece", "agreement"])
    agreement = entries[-1]
    assert 0 < agreement.after_interval[0] < agreement.after < 1
    size = Pair(before=2, after=1, ratio=0.5)

    def results(**require: Any) -> dict[str, bool]:
        made = judge(
            Requirements.model_validate(require), quality=entries, latency=[], parity=[], size_bytes=size
        )
        return {entry.name: entry.met for entry in made}

    low = agreement.after_interval[0]
    assert results(min_agreement=low) == {"min_agreement": True}
    assert results(min_agreement=low + 1e-6) == {"min_agreement": False}
    assert results(
        metrics={"f1": {"min": 0.0, "max_drop": 0.0}, "ece": {"max": 1.0}, "map": {"min": 0.1}}
    ) == {
        "metrics.f1.max_drop": False,
        "metrics.f1.min": True,
        "metrics.ece.max": True,
        "metrics.map.min": False,
    }
    alone = verdict(latency=[], quality=[agreement], parity=[], size_bytes=size)
    assert alone.recommend == "keep_original"
    assert "agree" in alone.because


MASKS = RNG.integers(0, 4, (N, 8, 8))
REFUSALS: dict[str, tuple[Callable[[], dict[str, Array]], Any, dict[str, Any], str, str]] = {
    "a class beyond": (
        lambda: {"x": floats(5)},
        np.arange(N),
        {"metric": "f1"},
        "labels_do_not_fit",
        "row 5",
    ),
    "a box beyond": (
        lambda: {"images": PICTURES, "x": YOLOX},
        rows_of(TRUE, TRUE + np.array([3, 0, 0, 0, 0])),
        {"task": "detection"},
        "labels_do_not_fit",
        "row 1 is of class 6",
    ),
    "a pixel beyond": (
        lambda: {"x": floats(3, 8, 8)},
        MASKS,
        {"task": "segmentation"},
        "labels_do_not_fit",
        "a pixel beyond first in row",
    ),
    "masks of another size": (
        lambda: {"x": floats(5, 4, 4)},
        MASKS,
        {"task": "segmentation"},
        "labels_do_not_fit",
        r"pixels \[24, 4, 4\]",
    ),
    "no labels": (lambda: {"x": floats(5)}, None, {"metric": "top1"}, "missing_data", "agreement"),
    "no alphabet": (
        lambda: {"x": floats(9, 5)},
        rows_of([1]),
        {"metric": "wer"},
        "invalid_request",
        "alphabet",
    ),
    "texts": (lambda: {"x": floats(9, 5)}, rows_of("ab"), {"metric": "cer"}, "labels_do_not_fit", "alphabet"),
    "numbers for anomalies": (
        lambda: {"x": floats(1)},
        np.arange(N),
        {"task": "anomaly"},
        "labels_do_not_fit",
        "0 to 23",
    ),
    "another task than the metric's": (
        lambda: {"x": floats(5)},
        np.arange(N) % 5,
        {"task": "auto", "metric": "map"},
        "labels_do_not_fit",
        "taken to be classification",
    ),
    "an output that is no detector's": (
        lambda: {"x": floats(5)},
        None,
        {"task": "detection"},
        "outputs_do_not_fit",
        "could not be told",
    ),
    "no picture to tell the frame": (
        lambda: {"x": YOLOX},
        None,
        {"task": "detection", "decode": {"kind": "yolox"}},
        "outputs_do_not_fit",
        "evaluation.decode.frame",
    ),
    "tokens beyond": (
        lambda: {"ids": TOKENS, "x": floats(6, 10)},
        TOKENS,
        {"task": "language"},
        "labels_do_not_fit",
        "a token beyond",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_judged_is_refused_before_any_work(case: str, tmp_path: Path) -> None:
    arrays, labels, asked, code, says = REFUSALS[case]
    network = echo(tmp_path, arrays())
    samples = samples_of(tmp_path, network, arrays(), labels)
    evaluation = Evaluation.model_validate(asked)

    def first_checks() -> None:
        check_quality(network, samples, evaluation)
        original_quality(network, samples, evaluation, 0)

    with pytest.raises(Refusal, match=says) as refused:
        first_checks()
    assert refused.value.problem.code == code


@pytest.mark.parametrize(
    ("evaluation", "labelled"),
    [
        (None, False),
        (Evaluation(task="classification"), True),
        (Evaluation(metric="top1"), True),
        (Evaluation(metric="agreement", task="classification"), False),
        (Evaluation(metric="agreement", task="classification", also=["top1"]), True),
    ],
)
def test_metrics_compare_with_labels_where_there_are_some(
    evaluation: Evaluation | None, labelled: bool, tmp_path: Path
) -> None:
    arrays = {"x": RNG.normal(size=(N, 5)).astype(np.float32)}
    samples = samples_of(tmp_path, echo(tmp_path, arrays), arrays, RNG.integers(0, 5, N))
    assert compares_with_labels(evaluation, samples) is labelled
    assert not compares_with_labels(evaluation, replace(samples, targets=None))
