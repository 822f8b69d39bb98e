"""`make bench-weight_only`: weights in 4 and 3 bits on a ResNet and on a sentence encoder, and a 3 GB transformer.

One table; a row says what was asked and what was measured. `python -m benchmarks.weight_only minilm` runs only
that part: resnet, minilm, large.
"""

import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared_data import SHARED, prepare
from benchmarks.speed import speed_told
from benchmarks.table import Row, measure
from tests.support.large import large_transformer
from tests.support.minilm import encoded, minilm
from tests.support.sentences import SENTENCES
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.measure.apart.fresh import PeakMemory
from worker.compression.options import Options
from worker.compression.pipeline import compress

METHODS = ("rtn", "hqq", "awq", "gptq")
CALIBRATION = 512
HELD_OUT = 32
"""Sentences that are judged; the others calibrate."""
WIDTH, BLOCKS = 2048, 16
MB = 1e6


def resnet(folder: Path) -> Iterator[Row]:
    name = "resnet20-cifar10-jpeg.onnx"
    prepared = prepare(name)
    np.savez(folder / "cifar.npz", **prepared.arrays)  # type: ignore[arg-type]
    declared = Declaration.model_validate(prepared.declaration)
    data = Data(
        calibration=Source(folder / "cifar.npz", declared, (0, CALIBRATION)),
        evaluation=Source(folder / "cifar.npz", declared, prepared.evaluation),
    )

    def told(report: Report) -> tuple[float, str]:
        quality, parity = report.quality[0], report.parity[0]
        return (
            quality.drop,
            f"top1 {100 * quality.before:.2f} → {100 * quality.after:.2f} %, {parity.snr_db:.1f} dB",
        )

    yield from _methods("resnet", folder, SHARED / "models" / name, data, told, Evaluation(metric="top1"))


def sentences(folder: Path) -> Iterator[Row]:
    np.savez(folder / "sentences.npz", **encoded(SENTENCES))  # type: ignore[arg-type]
    calibrating = len(SENTENCES) - HELD_OUT
    data = Data(
        calibration=Source(folder / "sentences.npz", slice=(0, calibrating)),
        evaluation=Source(folder / "sentences.npz", slice=(calibrating, len(SENTENCES))),
    )

    def told(report: Report) -> tuple[float, str]:
        (parity,) = report.parity
        assert parity.cosine is not None
        return 1 - parity.cosine, f"cosine {parity.cosine:.4f}, {parity.snr_db:.1f} dB"

    yield from _methods("minilm", folder, minilm(), data, told, None)


def _methods(
    part: str,
    folder: Path,
    model: Path,
    data: Data,
    told: Callable[[Report], tuple[float, str]],
    metric: Evaluation | None,
) -> Iterator[Row]:
    """Loss by round-to-nearest, HQQ, AWQ and GPTQ, at 4 and 3 bits."""
    for bits in (4, 3):
        lost: dict[str, float] = {}
        for method in METHODS:
            report = _run(folder, model, {"bits": bits, "method": method}, data, metric)
            lost[method], text = told(report)
            size = f"{report.size_bytes.before / MB:.2f} → {report.size_bytes.after / MB:.2f} MB"
            seconds = report.steps[0].seconds
            met = "met" if lost[method] < lost["rtn"] else "NOT met"
            yield Row(
                part,
                f"{bits} bits, {method}",
                f"{text}; {size}; {speed_told(report)} the speed; step {seconds:.0f} s",
                f"loses less than rtn: {met}" if method == "gptq" else "",
            )


def large(folder: Path) -> Iterator[Row]:
    """The model as users upload it: a tar of the graph and its external data."""
    path = folder / "large.onnx"
    largest = large_transformer(path, WIDTH, BLOCKS)
    archive = folder / "large.tar"
    with tarfile.open(archive, "w") as tar:
        for file in (path, path.with_name("large.onnx.data")):
            tar.add(file, file.name)
            file.unlink()
    begun = time.monotonic()
    with PeakMemory() as peak:
        report = _run(folder, archive, {}, Data(), None, shapes={"x": [1, 16, WIDTH]})
    wall, limit = time.monotonic() - begun, 1.5 * largest + 200 * MB
    met = "met" if peak.bytes <= limit else "NOT met"
    size = f"{report.size_bytes.before / MB:.0f} → {report.size_bytes.after / MB:.0f} MB"
    seconds = f"{wall:.0f} s, of which the step {report.steps[0].seconds:.0f} s"
    quality = f"{speed_told(report)} the speed; {report.parity[0].snr_db:.1f} dB"
    yield Row("large", f"4 bits, hqq, largest layer {largest / MB:.0f} MB", f"{size}; {seconds}; {quality}")
    yield Row("large", "peak memory", f"{peak.bytes / MB:.0f} MB", f"≤ {limit / MB:.0f} MB: {met}")


def _run(
    folder: Path,
    model: Path,
    settings: dict[str, Any],
    data: Data,
    metric: Evaluation | None,
    shapes: dict[str, list[int]] | None = None,
) -> Report:
    recipe = Recipe.model_validate({"steps": [{"kind": "weight_only", **settings}]})
    options = Options(metric, benchmark=Benchmark(rounds=9, shapes=shapes or {}))
    with tempfile.TemporaryDirectory(dir=folder) as out:
        return compress(model, recipe, data, Path(out), options=options)


PARTS = {"resnet": resnet, "minilm": sentences, "large": large}


def main() -> None:
    measure("weight_only", ("part", "what", "measured", "asked"), PARTS)


if __name__ == "__main__":
    main()
