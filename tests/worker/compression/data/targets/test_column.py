"""Labels in a column: whose classes they are, and by whose order they are numbered."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from winnow.contract.declaration import ColumnTarget
from worker.compression.data.declared import class_names
from worker.compression.data.formats.opening import open_table
from worker.compression.data.table import Table
from worker.compression.data.targets.column import column_labels


def animals(folder: Path, column: str, numbers: list[int | None]) -> Table:
    """As Hugging Face writes it, with another column of numbers beside."""
    features = {column: {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    content = pa.table({column: numbers, "ward": [1] * len(numbers)}).replace_schema_metadata(metadata)
    pq.write_table(content, folder / "a.parquet")
    return open_table(folder / "a.parquet", folder / "scratch", max_unpacked_bytes=2**30)


def target(column: str, classes: list[str] | None = None) -> ColumnTarget:
    return ColumnTarget.model_validate({"from": "column", "column": column, "classes": classes})


@pytest.mark.parametrize("column", ["label", "kind"])
def test_classes_are_numbered_by_the_declaration_whatever_their_column_is_called(
    column: str, tmp_path: Path
) -> None:
    table = animals(tmp_path, column, [0, 1, 1])
    assert np.asarray(column_labels(target(column), table).numbers).tolist() == [0, 1, 1]
    declared = target(column, ["dog", "fox", "cat"])
    assert column_labels(declared, table).numbers.tolist() == [2, 0, 0]
    assert class_names(declared, table) == ["dog", "fox", "cat"]


def test_another_column_has_none_of_these_names(tmp_path: Path) -> None:
    assert class_names(target("ward"), animals(tmp_path, "label", [0, 1])) is None


def test_a_row_without_a_class_that_is_known_is_no_label(tmp_path: Path) -> None:
    """-1 is how Hugging Face writes that there is none."""
    table = animals(tmp_path, "label", [1, -1, None, 7])
    labels = column_labels(target("label", ["dog", "cat"]), table)
    assert labels.numbers[0] == 0
    assert [row for row, _ in labels.faults()] == [1, 2, 3]
