"""Models measured by themselves, as `winnow gate` does."""

from pathlib import Path

import pytest

from tests.support import packages as nets
from winnow.contract.errors import Refusal
from winnow.contract.measured import MeasureRequest
from worker.compression.measured import measure_pair


def test_a_package_is_measured_without_data_and_its_size_is_that_of_its_files(tmp_path: Path) -> None:
    path = nets.zipped(tmp_path / "p.zip", nets.pair(), config__json=b"{}")
    measured = measure_pair(MeasureRequest(original=path, candidate=path), tmp_path)
    total = sum(len(model.SerializeToString()) for model in nets.pair().values())
    assert (measured.size_bytes.before, measured.size_bytes.after) == (total, total)


def test_a_package_beside_one_of_its_graphs_is_refused(tmp_path: Path) -> None:
    path, graph = nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path / "encoder.onnx"
    graph.write_bytes(nets.encoder().SerializeToString())
    with pytest.raises(Refusal):
        measure_pair(MeasureRequest(original=path, candidate=graph), tmp_path)
