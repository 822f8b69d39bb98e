"""Models with external data, as a tar: compressed layer by layer, measured in a process of their own."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.in_process import InProcess
from tests.support.large import large_transformer
from winnow.contract.errors import Refusal
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

WIDTH = 128
BENCHMARK = Benchmark(rounds=9, shapes={"x": [1, 8, WIDTH]})

Made = tuple[Path, Report]
"""The folder of the artifact, and what was measured."""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return upload(tmp_path_factory.mktemp("large"), WIDTH, blocks=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    file, rng = tmp_path_factory.mktemp("data") / "x.npz", np.random.default_rng(0)
    x = rng.standard_normal((48, 8, 16)) @ rng.standard_normal((16, WIDTH))
    np.savez(file, x=x.astype(np.float32))
    return Data(Source(file, slice=(0, 32)), evaluation=Source(file, slice=(32, 48)))


@pytest.fixture(scope="module")
def rounded(archive: Path, data: Data, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """By rounding, measured in this process."""
    return quantized(archive, tmp_path_factory.mktemp("rounded"), data, method="rtn")


def upload(folder: Path, width: int, blocks: int) -> Path:
    path = folder / "large.onnx"
    large_transformer(path, width, blocks)
    with tarfile.open(folder / "large.tar", "w") as tar:
        for file in (path, path.with_name("large.onnx.data")):
            tar.add(file, file.name)
    return folder / "large.tar"


def quantized(archive: Path, out: Path, data: Data, **step: object) -> Made:
    recipe = Recipe.model_validate({"steps": [{"kind": "weight_only", **step}]})
    options = Options(benchmark=BENCHMARK, processes=InProcess())
    return out, compress(archive, recipe, data, out, options=options)


def test_one_file_comes_out_and_gptq_loses_less_than_rounding(
    archive: Path, data: Data, rounded: Made, tmp_path: Path
) -> None:
    snr = {}
    solved = quantized(archive, tmp_path, data, method="gptq")
    for method, (out, report) in {"rtn": rounded, "gptq": solved}.items():
        snr[method] = report.parity[0].snr_db or 0.0
        artifact = out / "artifact.onnx"
        onnx.checker.check_model(str(artifact), full_check=True)
        assert report.size_bytes.after == artifact.stat().st_size < 0.2 * report.size_bytes.before
        assert report.steps[0].changed == 12
        assert {layer.after_dtype for layer in report.layers} == {"uint4"}
        assert not list(out.glob("scratch-*"))
    assert snr["gptq"] > snr["rtn"] + 3


def test_measuring_apart_finds_the_same(
    archive: Path, data: Data, rounded: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.compression.upload.upload.LARGE_BYTES", 0)
    (_, here), (_, apart) = rounded, quantized(archive, tmp_path, data, method="rtn")
    assert apart.parity == here.parity
    assert apart.latency[0].rounds == here.latency[0].rounds
    assert apart.artifact_sha256 != ""


def test_what_is_refused_apart_is_refused_here(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.compression.upload.upload.LARGE_BYTES", 0)
    recipe = Recipe.model_validate({"steps": [{"kind": "weight_only", "method": "rtn"}]})
    with pytest.raises(Refusal, match="shape_needed"):
        compress(archive, recipe, Data(), tmp_path / "out", options=Options(benchmark=Benchmark(rounds=9)))


@pytest.mark.parametrize(
    "step",
    [
        {"kind": "weight_only", "method": "rtn"},
        {"kind": "int8_dynamic"},
        {"kind": "float16"},
        {"kind": "bfloat16"},
        {"kind": "palette", "colors": 4},
        {"kind": "sparsity", "criterion": "magnitude", "sparsity": 0.5},
        {"kind": "simplify"},
    ],
    ids=lambda step: "-".join(str(value) for value in step.values()),
)
def test_a_layer_at_a_time_is_in_memory(step: dict[str, object], tmp_path: Path) -> None:
    """201 MB of weights, taken for a large model, the largest 17 MB: at most 1.5 times that and 100 MB more than after
    the imports. Nothing is timed."""
    archive = upload(tmp_path, 1024, blocks=4)
    code = (
        "import json, sys; from pathlib import Path\n"
        "from winnow.contract.job import Benchmark; from winnow.contract.recipe import Recipe\n"
        "from worker.compression.data.source import Data\n"
        "from worker.compression.measure.apart.fresh import PeakMemory\n"
        "from worker.compression.measure.extent import Extent\n"
        "from worker.compression.options import Options; from worker.compression.pipeline import compress\n"
        "from worker.compression.upload import upload\n"
        "upload.LARGE_BYTES = 2**27\n"
        "from worker.compression.half_precision import float16; float16.MAX_HELD_BYTES = 2**27\n"
        "from worker.compression.simplify import simplify; simplify.MAX_COMPARED_BYTES = 2**27\n"
        f"recipe = Recipe.model_validate({{'steps': [{step!r}]}})\n"
        "benchmark = Benchmark(rounds=9, shapes={'x': [1, 4, 1024]})\n"
        "asked = Options(benchmark=benchmark, extent=Extent(times=False, weighs=False))\n"
        "with PeakMemory() as peak:\n"
        "    compress(Path(sys.argv[1]), recipe, Data(), Path(sys.argv[2]), options=asked)\n"
        "print(json.dumps(peak.bytes))\n"
    )
    command = [sys.executable, "-c", code, str(archive), str(tmp_path / "out")]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout.splitlines()[-1]) < 1.5 * 16 * 1024**2 + 100e6
