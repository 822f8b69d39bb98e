"""`make bench-sparsity`: what the criteria of `sparsity` lose at 50 %, 2:4 and 75 % without training, and the sizes.

One table, a row for each model, level and criterion; Hessian-based has to lose less than magnitude. `python -m
benchmarks.sparsity jpeg` runs only one of its parts: jpeg, clean, spread.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared_data import CIFAR_PIXELS, SHARED
from benchmarks.speed import speed_told
from benchmarks.table import measure
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

MODELS = SHARED / "models"
CRITERIA = ("magnitude", "wanda", "taylor", "hessian")
LEVELS: dict[str, dict[str, Any]] = {
    "50 %": {"sparsity": 0.5},
    "2:4": {"structure": "2:4"},
    "75 %": {"sparsity": 0.75},
}


@dataclass(frozen=True)
class Row:
    model: str
    level: str
    criterion: str
    top1: str
    dense: str
    stored: str
    speed: str
    seconds: str
    asked: str = ""


def jpeg(folder: Path) -> Iterator[Row]:
    yield from _levels(folder, "resnet20-cifar10-jpeg.onnx", "x")


def clean(folder: Path) -> Iterator[Row]:
    yield from _levels(folder, "resnet20-cifar10.onnx", "input")


def spread(folder: Path) -> Iterator[Row]:
    """How the zeros are spread over the layers, at 75 %."""
    model, data = "resnet20-cifar10-jpeg.onnx", _cifar(folder, "x")
    for criterion in ("magnitude", "hessian"):
        for distribution in ("uniform", "erdos_renyi", "sensitivity"):
            step = {"sparsity": 0.75, "criterion": criterion, "distribution": distribution}
            yield _row(model, f"75 %, {distribution}", criterion, _run(folder, model, step, data))


def _levels(folder: Path, model: str, name: str) -> Iterator[Row]:
    data = _cifar(folder, name)
    for level, settings in LEVELS.items():
        lost: dict[str, float] = {}
        for criterion in CRITERIA:
            report = _run(folder, model, {"criterion": criterion, **settings}, data)
            lost[criterion] = report.quality[0].drop
            asked = ""
            if criterion == "hessian":
                met = "met" if lost["hessian"] < lost["magnitude"] else "NOT met"
                asked = f"loses less than magnitude: {met}"
            yield _row(model, level, criterion, report, asked)


def _row(model: str, level: str, criterion: str, report: Report, asked: str = "") -> Row:
    quality, step = report.quality[0], report.steps[0]
    stored = step.details["storage"]
    return Row(
        model,
        level,
        criterion,
        f"{100 * quality.before:.2f} → {100 * quality.after:.2f} %",
        str(stored["dense_bytes"]),
        str(stored["stored_bytes"]),
        speed_told(report),
        f"{step.seconds:.0f}",
        asked,
    )


def _run(folder: Path, model: str, step: dict[str, Any], data: Data) -> Report:
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9))
    recipe = Recipe.model_validate({"steps": [{"kind": "sparsity", **step}]})
    return compress(MODELS / model, recipe, data, Path(tempfile.mkdtemp(dir=folder)), options=options)


def _cifar(folder: Path, name: str) -> Data:
    """512 images of the training part calibrate, the 4,000 of the test part judge."""
    with np.load(SHARED / "data" / "cifar10_subset.npz") as cifar:
        for part, rows in (("train", 512), ("test", 4000)):
            np.savez(folder / f"{part}.npz", x=cifar[f"x_{part}"][:rows], y=cifar[f"y_{part}"][:rows])
    declaration = Declaration.model_validate({"inputs": {name: CIFAR_PIXELS}, "targets": {"array": "y"}})
    return Data(
        calibration=Source(folder / "train.npz", declaration),
        evaluation=Source(folder / "test.npz", declaration),
    )


PARTS = {part.__name__: part for part in (jpeg, clean, spread)}


def main() -> None:
    columns = ("model", "level", "criterion", "top1", "dense", "stored", "speed", "seconds", "asked")
    measure("zeros without training, CIFAR-10 subset: 512 images calibrate, 4,000 judge", columns, PARTS)


if __name__ == "__main__":
    main()
