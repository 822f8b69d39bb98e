"""The same pictures as arrays, as an archive of PNGs and in Parquet are the same data: the same result, to the bit."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support import graphs
from tests.support.in_process import InProcess
from tests.support.pictures import encoded, zip_of
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

N, CLASSES, SIDE = 60, 3, 8
PREPARED = {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (N, SIDE, SIDE, 3), np.uint8)
LABELS = np.repeat(np.arange(CLASSES), N // CLASSES)  # an archive's rows are ordered by folder
DECLARATIONS: dict[str, dict[str, Any]] = {
    "npz": {"inputs": {"x": {"array": "x", "layout": "NHWC->NCHW", **PREPARED}}, "targets": {"array": "y"}},
    "zip": {"inputs": {"x": {"from": "image", **PREPARED}}, "targets": {"from": "folder"}},
    "parquet": {
        "inputs": {"x": {"from": "image", **PREPARED}},
        "targets": {"from": "column", "column": "label"},
    },
}


def written(folder: Path, kind: str) -> Path:
    path, pngs = folder / f"data.{kind}", [encoded(pixels) for pixels in PIXELS]
    match kind:
        case "npz":
            np.savez(path, x=PIXELS, y=LABELS)
        case "zip":
            zip_of(path, {f"{LABELS[i]}/{i:03}.png": png for i, png in enumerate(pngs)})
        case "parquet":
            images = [{"bytes": png, "path": f"{i}.png"} for i, png in enumerate(pngs)]
            pq.write_table(pa.table({"image": images, "label": pa.array(LABELS)}), path)
    return path


def network(folder: Path) -> Path:
    rng = np.random.default_rng(1)
    weights = {
        "w": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "v": rng.normal(size=(8, CLASSES)).astype(np.float32),
    }
    model = graphs.parse(
        f"""(float[N,3,{SIDE},{SIDE}] x) => (float[N,{CLASSES}] y) {{
            [conv] a = Conv <pads = [1, 1, 1, 1]> (x, w)
            b = Relu (a)
            c = GlobalAveragePool (b)
            d = Flatten (c)
            [last] y = MatMul (d, v)
        }}""",
        weights,
    )
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def compressed(folder: Path, kind: str) -> Report:
    def rows(start: int, stop: int) -> Source:
        return Source(path, declaration, (start, stop))

    path, declaration = written(folder, kind), Declaration.model_validate(DECLARATIONS[kind])
    return compress(
        network(folder),
        Recipe.model_validate({"steps": [{"kind": "int8_static", "samples": 16}]}),
        Data(calibration=rows(0, N // 2), evaluation=rows(N // 2, N)),
        folder / f"out-{kind}",
        options=Options(
            Evaluation(metric="top1", also=["f1"]), benchmark=Benchmark(rounds=9), processes=InProcess()
        ),
    )


@pytest.fixture(scope="module")
def as_arrays(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return compressed(tmp_path_factory.mktemp("npz"), "npz")


@pytest.mark.parametrize("kind", ["zip", "parquet"])
def test_pictures_give_the_report_that_their_pixels_give(
    kind: str, as_arrays: Report, tmp_path: Path
) -> None:
    report = compressed(tmp_path, kind)
    assert as_arrays.steps[0].changed > 0
    assert as_arrays.parity[0].snr_db is not None
    assert report.graph_sha256 == as_arrays.graph_sha256
    assert report.quality == as_arrays.quality
    assert report.parity == as_arrays.parity
    assert report.layers == as_arrays.layers
    assert report.size_bytes == as_arrays.size_bytes
