"""The report and the page of a package."""

from pathlib import Path

import pytest

from tests.support import packages as nets
from tests.support.in_process import InProcess
from winnow.contract.graph_hash import graph_sha256
from winnow.contract.job import Benchmark
from winnow.contract.package_shapes import USUAL
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.names import Names
from worker.compression.onnx_files.sizes import compressed_bytes_of
from worker.compression.options import Options
from worker.compression.pipeline import compress
from worker.compression.progress import Silent
from worker.compression.result.packaged import sized
from worker.compression.tasks.page_again import JobFiles, page_again
from worker.compression.upload.upload import open_upload

RECIPE = Recipe.model_validate({"steps": [{"kind": "int8_dynamic"}]})
WEIGHTS = Recipe.model_validate({"steps": [{"kind": "weight_only"}]})
OPTIONS = Options(benchmark=Benchmark(rounds=9), page=True, processes=InProcess())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    folder = tmp_path_factory.mktemp("packaged")
    source = nets.zipped(folder / "p.zip", nets.pair())
    return compress(source, RECIPE, Data(), folder / "out", options=OPTIONS), folder


def test_sizes_are_those_of_the_files_as_they_came_and_as_they_go(made: tuple[Report, Path]) -> None:
    report, folder = made
    files = nets.unpacked(folder / "out" / "artifact.onnx", folder / "there")
    assert report.size_bytes.before == sum(len(model.SerializeToString()) for model in nets.pair().values())
    assert report.size_bytes.after == sum(file.stat().st_size for file in files.values())
    assert report.package is not None
    assert report.package.shared_bytes.after == files["shared.weights"].stat().st_size
    for graph in report.package.graphs:
        own = files[graph.file].stat().st_size + files["shared.weights"].stat().st_size
        assert graph.size_bytes.after == own
        assert [entry.batch_size for entry in graph.latency] == [1]
    outputs = {graph.name: [entry.output for entry in graph.parity] for graph in report.package.graphs}
    assert outputs == {"decoder": ["y", "m"], "encoder": ["h"]}


def test_the_page_has_the_graphs_and_is_made_again_of_the_archive(made: tuple[Report, Path]) -> None:
    _, folder = made
    first = (folder / "out" / "page.html").read_text()
    (again := folder / "again").mkdir()
    job = JobFiles(folder / "p.zip", Data(), OPTIONS)
    out = folder / "out"
    page_again(out / "report.json", out / "artifact.onnx", RECIPE, job, again, Silent(), Names())
    for page in (first, (again / "page.html").read_text()):
        section = page[page.index('<section id="graphs"') :]
        section = section[: section.index("</section>")]
        assert "encoder" in section
        assert "decoder" in section
        assert 'id="running"' not in page


def test_a_package_that_no_step_changed_comes_back_as_it_was(tmp_path: Path) -> None:
    source = nets.zipped(tmp_path / "p.zip", nets.pair())
    report = compress(
        source, Recipe.model_validate({"steps": [{"kind": "no_op", "seconds": 0}]}), Data(), tmp_path / "o"
    )
    assert report.size_bytes.after <= report.size_bytes.before
    files = nets.unpacked(tmp_path / "o" / "artifact.onnx", tmp_path / "there")
    assert files["shared.weights"].read_bytes() == nets.SHARED.tobytes()


def test_a_graph_counts_of_the_weights_that_lie_once_those_that_it_reads(tmp_path: Path) -> None:
    """Two weights are shared, each by two graphs; all of it counts once for the package."""
    others = {f"{name}.onnx": nets.encoder(nets.SHARED + 1) for name in ("a", "b")}
    source = nets.zipped(tmp_path / "p.zip", nets.pair() | others)
    recipe = Recipe.model_validate({"steps": [{"kind": "no_op", "seconds": 0}]})
    options = Options(extent=Extent(times=False, weighs=False))
    report = compress(source, recipe, Data(), tmp_path / "o", options=options)
    files = nets.unpacked(tmp_path / "o" / "artifact.onnx", tmp_path / "there")
    assert files["shared.weights"].stat().st_size == 2 * nets.SHARED.nbytes
    assert report.package is not None
    for graph in report.package.graphs:
        assert graph.size_bytes.after == files[graph.file].stat().st_size + nets.SHARED.nbytes
    assert report.size_bytes.after == sum(file.stat().st_size for file in files.values())


def test_the_report_is_of_the_files_handed_over_and_a_second_attempt_makes_them_again(tmp_path: Path) -> None:
    path, out = nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path / "out"
    report = compress(path, WEIGHTS, Data(), out, options=OPTIONS)
    files = nets.unpacked(out / "artifact.onnx", tmp_path / "after")
    graphs = [files["decoder.onnx"], files["encoder.onnx"]]
    assert report.compressed_bytes.after == compressed_bytes_of(*graphs)
    uploaded = nets.unpacked(path, tmp_path / "before")
    assert report.compressed_bytes.before == compressed_bytes_of(*uploaded.values())
    assert report.size_bytes.after == sum(file.stat().st_size for file in files.values())
    again = compress(path, WEIGHTS, Data(), out, options=OPTIONS)
    assert again.graph_sha256 == report.graph_sha256 == graph_sha256(out / "artifact.onnx")


def test_sizes_are_the_usual_ones_unless_data_that_is_measured_on_has_some(tmp_path: Path) -> None:
    upload = open_upload(nets.zipped(tmp_path / "p.zip", nets.pair()), tmp_path, max_unpacked_bytes=2**30)
    source = Source(tmp_path / "rows.npz")
    for data in (Data(), Data(training=source)):
        assert sized(Options(), upload, data).benchmark.shapes["encoder:x"] == [1, USUAL, nets.WIDTH]
    for data in (Data(evaluation=source), Data(calibration=source), Data(whole=source)):
        assert sized(Options(), upload, data).benchmark.shapes == {}
