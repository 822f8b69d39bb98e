"""A package through the whole pipeline: what its report and its zip say of the same files."""

from pathlib import Path

from tests.support import packages as nets
from tests.support.in_process import InProcess
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Benchmark
from winnow.contract.package_shapes import USUAL
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data, Source
from worker.compression.onnx_files.sizes import compressed_bytes_of
from worker.compression.options import Options
from worker.compression.pipeline import ARTIFACT, compress
from worker.compression.result.packaged import sized
from worker.compression.upload.upload import open_upload

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


def test_sizes_are_the_usual_ones_unless_data_that_is_measured_on_has_some(tmp_path: Path) -> None:
    upload = open_upload(nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path, max_unpacked_bytes=2**30)
    source = Source(tmp_path / "rows.npz")
    for data in (Data(), Data(training=source)):
        assert sized(Options(), upload, data).benchmark.shapes["encoder:x"] == [1, USUAL, nets.WIDTH]
    for data in (Data(evaluation=source), Data(calibration=source), Data(whole=source)):
        assert sized(Options(), upload, data).benchmark.shapes == {}
