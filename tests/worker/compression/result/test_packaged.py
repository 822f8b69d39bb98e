"""A package through the whole pipeline: what its report and its zip say of the same files."""

from pathlib import Path

from tests.support import packages as nets
from tests.support.in_process import InProcess
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data
from worker.compression.onnx_files.sizes import compressed_bytes_of
from worker.compression.options import Options
from worker.compression.pipeline import ARTIFACT, compress

RECIPE = Recipe.model_validate({"steps": [{"kind": "weight_only"}]})


def test_the_report_is_of_the_files_handed_over_and_a_second_attempt_makes_them_again(tmp_path: Path) -> None:
    path, out = nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path / "out"
    options = Options(benchmark=Benchmark(rounds=9), processes=InProcess())
    report = compress(path, RECIPE, Data(), out, options=options)
    files = nets.unpacked(out / ARTIFACT, tmp_path / "after")
    graphs = [files["decoder.onnx"], files["encoder.onnx"]]
    assert report.compressed_bytes.after == compressed_bytes_of(*graphs)
    uploaded = nets.unpacked(path, tmp_path / "before")
    assert report.compressed_bytes.before == compressed_bytes_of(*uploaded.values())
    assert report.size_bytes.after == sum(file.stat().st_size for file in files.values())
    again = compress(path, RECIPE, Data(), out, options=options)
    assert again.graph_sha256 == report.graph_sha256 == graph_sha256(out / ARTIFACT)
