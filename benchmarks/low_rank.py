"""`make bench-low_rank`: half the MACs of the layers that low_rank can factorise, fitted to the weights and on data.

One table. `python -m benchmarks.low_rank lenet` runs only that part: lenet (accuracy on MNIST's test set),
squeezenet (output SNR on enlarged CIFAR images), products (MatMul and Gemm of vittracker and dtln, output SNR).
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared_data import SHARED, UNIT, Prepared, prepare
from benchmarks.speed import speed_told
from benchmarks.table import measure
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

MODELS = SHARED / "models"
CONVOLUTIONS = ("channel", "spatial", "tucker", "auto")
HALF: dict[str, Any] = {"kind": "low_rank", "amount": 0.5}


@dataclass(frozen=True)
class Row:
    model: str
    split: str
    fitted: str
    quality: str
    able: str
    whole: str
    speedup: str
    seconds: str
    asked: str = ""


def lenet(folder: Path) -> Iterator[Row]:
    """512 images calibrate, the whole test set judges."""
    archive = folder / "mnist.npz"
    with np.load(SHARED / "data" / "mnist.npz") as mnist:
        x = np.concatenate([mnist["x_train"][:512], mnist["x_test"]])
        np.savez(archive, x=x, y=np.concatenate([mnist["y_train"][:512], mnist["y_test"]]))
    declared = {"inputs": {"image": {"array": "x", "add_axis": 1, **UNIT}}, "targets": {"array": "y"}}
    yield from _pairs("lenet5-mnist.onnx", _data(archive, declared, (0, 512), (512, 10512)), folder)


def squeezenet(folder: Path) -> Iterator[Row]:
    yield from _pairs("squeezenet1.1.onnx", _prepared("squeezenet1.1.onnx", folder), folder)


def products(folder: Path) -> Iterator[Row]:
    for name in ("vittracker.onnx", "dtln-1.onnx"):
        yield from _pairs(name, _prepared(name, folder), folder, ("auto",))


def _pairs(
    name: str, data: Data, folder: Path, convolutions: tuple[str, ...] = CONVOLUTIONS
) -> Iterator[Row]:
    for split in convolutions:
        plain, aware = (
            _run(name, {**HALF, "convolution": split, "data_aware": data_aware}, data, folder)
            for data_aware in (False, True)
        )
        yield _row(name, split, "weights", plain, None)
        yield _row(name, split, "outputs", aware, plain)


def _row(name: str, split: str, fitted: str, found: Report | Refusal, plain: Report | Refusal | None) -> Row:
    if isinstance(found, Refusal):
        return Row(name, split, fitted, found.problem.detail, "", "", "", "")
    step, able = found.steps[0], found.steps[0].details["able"]
    macs, parameters = (
        "" if able[kind] is None else f"{able[kind][1] / able[kind][0]:.3f}×"
        for kind in ("macs", "parameters")
    )
    whole = "" if found.macs is None else f"{found.macs.ratio:.3f}×"
    asked = ""
    if isinstance(plain, Report):
        asked = f"less lost than by weights: {'met' if _lost(found) < _lost(plain) else 'NOT met'}"
    return Row(
        name,
        split,
        fitted,
        _told(found),
        f"{step.changed} of {able['layers']}: {macs}, {parameters}",
        f"{whole}, {found.parameters.ratio:.3f}×",
        speed_told(found),
        f"{step.seconds:.0f}",
        asked,
    )


def _told(report: Report) -> str:
    if report.quality:
        quality = report.quality[0]
        return f"top1 {100 * quality.before:.2f} → {100 * quality.after:.2f} %"
    return f"SNR {-_lost(report):.1f} dB"


def _lost(report: Report) -> float:
    """Of accuracy; else of the worst output's signal-to-noise ratio."""
    if report.quality:
        return report.quality[0].drop
    return -min(np.inf if parity.snr_db is None else parity.snr_db for parity in report.parity)


def _run(name: str, step: dict[str, Any], data: Data, folder: Path) -> Report | Refusal:
    metric = Evaluation(metric="top1") if name.startswith("lenet") else None
    options = Options(metric, benchmark=Benchmark(rounds=15))
    recipe = Recipe.model_validate({"steps": [step]})
    try:
        return compress(MODELS / name, recipe, data, Path(tempfile.mkdtemp(dir=folder)), options=options)
    except Refusal as refusal:
        return refusal


def _prepared(name: str, folder: Path) -> Data:
    prepared: Prepared = prepare(name)
    archive = folder / f"{name}.npz"
    np.savez(archive, **prepared.arrays)  # type: ignore[arg-type]
    return _data(archive, prepared.declaration, prepared.calibration, prepared.evaluation)


def _data(
    archive: Path, declared: dict[str, Any], calibration: tuple[int, int], evaluation: tuple[int, int]
) -> Data:
    declaration = Declaration.model_validate(declared)
    return Data(
        calibration=Source(archive, declaration, calibration),
        evaluation=Source(archive, declaration, evaluation),
    )


PARTS = {part.__name__: part for part in (lenet, squeezenet, products)}


def main() -> None:
    columns = (
        "model",
        "convolutions",
        "fitted to",
        "quality",
        "able layers: MACs, weights",
        "model: MACs, weights",
        "speed-up",
        "s",
        "asked",
    )
    title = "low_rank at half the MACs of the layers it can factorise, batch 1, one thread"
    measure(title, columns, PARTS)


if __name__ == "__main__":
    main()
