"""A column of texts is the labels of a model of sequences."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from tests.support import graphs
from tests.support.refusals import refusal
from tests.support.tokenizer import lines
from winnow.contract.dataset import DatasetFacts
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.report import Quality
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.source import Source
from worker.compression.measure.network import Network
from worker.compression.measure.quality.quality import measure_quality

ALPHABET = ["-", " ", "a", "b", "c"]
ROWS = [
    {"x": [2, 2, 3, 0, 1, 4], "text": "ab c"},  # spells "ab c"
    {
        "x": [2, 0, 2, 1, 3, 3],
        "text": "ab b",
    },  # spells "aa b": one symbol and one word of four and two are wrong
    {"x": [0, 0, 0, 0, 4, 4], "text": "cc"},  # spells "c"
]


def dataset(folder: Path, rows: list[dict[str, Any]]) -> Path:
    (folder / "data.jsonl").write_text(lines(rows))
    return folder / "data.jsonl"


def declared(**more: Any) -> Declaration:
    return Declaration.model_validate({"inputs": {"x": {"array": "x"}}, "targets": {"array": "text"}, **more})


def inspected(path: Path, declaration: Declaration) -> DatasetFacts:
    return inspect_dataset(path, declaration, path.parent / "scratch", max_unpacked_bytes=2**30)


def measured(folder: Path, **decode: Any) -> list[Quality]:
    model = graphs.parse("(int64[N,6] x) => (int64[N,6] y) { y = Identity (x) }")
    onnx.save(model, folder / "model.onnx")
    network = Network(folder / "model.onnx", 1, "the model")
    samples = open_samples(Source(dataset(folder, ROWS), declared()), network.inputs, folder / "scratch")
    evaluation = Evaluation.model_validate(
        {
            "task": "sequence",
            "metric": "cer",
            "also": ["wer", "exact_match"],
            "decode": {"kind": "ctc", **decode},
        }
    )
    entries, _, _ = measure_quality(
        network, network, samples, evaluation, held_out=True, seed=0, tick=lambda _: None
    )
    return entries


def test_errors_are_counted_against_the_texts_by_the_alphabet(tmp_path: Path) -> None:
    values = {entry.metric: entry.after for entry in measured(tmp_path, alphabet=ALPHABET)}
    assert values == pytest.approx({"cer": 2 / 10, "wer": 2 / 5, "exact_match": 1 / 3}, abs=1e-12)


def test_texts_without_an_alphabet_are_refused(tmp_path: Path) -> None:
    problem = refusal(lambda: measured(tmp_path))
    assert problem is not None
    assert "alphabet" in problem.detail


def test_inspection_says_that_the_labels_are_texts(tmp_path: Path) -> None:
    facts = inspected(dataset(tmp_path, ROWS), declared())
    assert (facts.target, facts.arrays["text"].dtype, facts.classes) == ("text", "text", None)


def test_rows_without_a_text_are_faults(tmp_path: Path) -> None:
    path = dataset(tmp_path, [*ROWS, {"x": [2] * 6, "text": None}])
    problem = refusal(lambda: inspected(path, declared()))
    assert problem is not None
    assert "row 3: 'text' has no value" in problem.detail
    assert inspected(path, declared(skip_bad=0.25)).samples == len(ROWS)


def test_texts_are_taken_row_by_row_or_in_slices(tmp_path: Path) -> None:
    spec = Network(_saved(tmp_path), 1, "the model").inputs
    samples = open_samples(Source(dataset(tmp_path, ROWS), declared()), spec, tmp_path / "scratch")
    assert samples.targets is not None
    assert samples.targets[1:].tolist() == ["ab b", "cc"]
    assert samples.targets[np.array([2, 0])].tolist() == ["cc", "ab c"]
    assert samples.labels is not None
    assert samples.labels.tolist() == [row["text"] for row in ROWS]


def _saved(folder: Path) -> Path:
    onnx.save(graphs.parse("(int64[N,6] x) => (int64[N,6] y) { y = Identity (x) }"), folder / "model.onnx")
    return folder / "model.onnx"
