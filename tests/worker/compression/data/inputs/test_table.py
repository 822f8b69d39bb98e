"""Columns of a table become a vector, and labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.refusals import refusal
from winnow.contract.declaration import Declaration
from winnow.contract.model import TensorSpec
from worker.compression.data.inspection.inspect import inspect_dataset
from worker.compression.data.open import open_samples
from worker.compression.data.samples import Samples
from worker.compression.data.source import Source

CSV = "age,city,kind\n30,A,good\n41.5,B,bad\n20,A,bad\n"
HOW: dict[str, Any] = {"from": "table", "columns": ["age", "city"], "categories": {"city": ["B", "A"]}}


def opened(folder: Path, content: str, how: dict[str, Any] = HOW, **declaration: Any) -> Samples:
    (folder / "data.csv").write_text(content)
    declared = Declaration.model_validate({"inputs": {"x": how}, **declaration})
    spec = TensorSpec(name="x", dtype="float32", shape=["N", len(how["columns"])])
    return open_samples(Source(folder / "data.csv", declared), [spec], folder / "scratch")


def test_numbers_stand_as_they_are_and_words_by_their_place(tmp_path: Path) -> None:
    samples = opened(tmp_path, CSV, targets={"from": "column", "column": "kind"})
    (feed,) = samples.batches(9)
    np.testing.assert_array_equal(feed["x"], np.array([[30, 1], [41.5, 0], [20, 1]], np.float32))
    assert samples.labels is not None
    assert samples.labels.tolist() == [1, 0, 0], "words are numbered in their order"


def test_the_vector_is_scaled_column_by_column(tmp_path: Path) -> None:
    samples = opened(tmp_path, CSV, {**HOW, "mean": [30, 0], "std": [10, 2]})
    (feed,) = samples.batches(9)
    np.testing.assert_allclose(feed["x"], [[0, 0.5], [1.15, 0], [-1, 0.5]], rtol=1e-6)


def test_categories_may_be_numbers(tmp_path: Path) -> None:
    content = "code\n3\n1\n3\n"
    samples = opened(
        tmp_path, content, {"from": "table", "columns": ["code"], "categories": {"code": ["1", "3"]}}
    )
    (feed,) = samples.batches(9)
    assert feed["x"].tolist() == [[1], [0], [1]]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (",A,good", "'age' has no value"),
        ("30,C,good", "'city' has no value, or another than one of 'B', 'A'"),
    ],
)
def test_rows_without_a_value_are_named_or_skipped(row: str, says: str, tmp_path: Path) -> None:
    targets = {"from": "column", "column": "kind", "classes": ["good", "bad"]}
    problem = refusal(lambda: opened(tmp_path, f"{CSV}{row}\n", targets=targets))
    assert problem is not None
    assert "1 of 4 rows" in problem.detail
    assert f"row 3: {says}" in problem.detail
    samples = opened(tmp_path, f"{CSV}{row}\n", targets=targets, skip_bad=0.3)
    assert samples.labels is not None
    assert samples.labels.tolist() == [0, 1, 1]
    assert [len(feed["x"]) for feed in samples.batches(9)] == [3]


def test_only_the_first_ten_faults_are_told(tmp_path: Path) -> None:
    problem = refusal(lambda: opened(tmp_path, CSV + "1,C,x\n" * 20))
    assert problem is not None
    assert problem.detail.count("'city'") == 10
    assert "20 of 23 rows" in problem.detail


def test_a_label_that_is_no_class_is_a_fault(tmp_path: Path) -> None:
    targets = {"from": "column", "column": "kind", "classes": ["good"]}
    problem = refusal(lambda: opened(tmp_path, CSV, targets=targets))
    assert problem is not None
    assert "row 1: 'kind' has no value, or another than a class" in problem.detail


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"from": "table", "columns": ["age", "town"]}, "no column 'town'"),
        ({"from": "table", "columns": ["city"]}, "list its categories"),
        ({**HOW, "categories": {"kind": ["a"]}}, "none of its columns"),
        ({**HOW, "mean": [1, 2, 3]}, "mean has 3 numbers"),
    ],
)
def test_what_cannot_be_declared_is_named(how: dict[str, Any], says: str, tmp_path: Path) -> None:
    problem = refusal(lambda: opened(tmp_path, CSV, how))
    assert problem is not None
    assert problem.code == "invalid_declaration"
    assert says in problem.detail


def test_inspection_counts_what_is_skipped_and_names_the_classes(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"{CSV}30,A\n50,B,good\n1,A,odd\n")
    declared = {
        "inputs": {"x": HOW},
        "targets": {"from": "column", "column": "kind", "classes": ["good", "bad"]},
        "skip_bad": 0.4,
    }
    facts = inspect_dataset(
        path,
        Declaration.model_validate_json(json.dumps(declared)),
        tmp_path / "scratch",
        max_unpacked_bytes=2**30,
    )
    assert (facts.samples, facts.skipped, facts.classes) == (4, 2, ["good", "bad"])
    assert facts.inputs["x"].shape == [2]
