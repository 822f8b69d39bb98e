"""`python -m benchmarks.int8 [part…]`: ways to 8 bits on the models of ../shared, quality on held-out data.

static     int8_static as it is, and with each of its settings on two models
picked     int8, for latency and for quality: what it chose, of what, how long it took
auto       int8_static with exclude auto: what was left in float, and what that gave back
mixed      mixed_precision under each kind of budget
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.shared_data import SHARED, prepare, shared_or_exit
from benchmarks.speed import speed_told
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

SMALL = ["resnet20-cifar10.onnx", "dscnn-kws.onnx"]
MODELS = [
    *SMALL,
    "squeezenet1.1.onnx",
    "ultraface-rfb-320.onnx",
    "vittracker.onnx",
    "ppocrv3-det.onnx",
    "yolox_nano.onnx",
]
SETTINGS: list[dict[str, Any]] = [
    {"calibration": "minmax"},
    {"calibration": "entropy"},
    {"calibration": "mse"},
    {"bias_correction": False},
    {"equalize": True},
    {"adaround": True},
    {"weight_bits": 4},
    {"weight_bits": 4, "adaround": True},
]


@dataclass(frozen=True)
class Row:
    part: str
    model: str
    what: str
    speed: str = ""
    size: str = ""
    quality: str = ""
    seconds: str = ""
    told: str = ""


def static() -> Iterator[Row]:
    for model in MODELS:
        yield _row("static", model, {"kind": "int8_static"}, "as it is")
    for model in SMALL:
        for settings in SETTINGS:
            told = ", ".join(f"{name} {value}" for name, value in settings.items())
            yield _row("static", model, {"kind": "int8_static", **settings}, told)


def picked() -> Iterator[Row]:
    for model in MODELS:
        for prefer in ("latency", "quality"):
            yield _row("picked", model, {"kind": "int8", "prefer": prefer}, prefer)


def auto() -> Iterator[Row]:
    for model in ("yolox_nano.onnx", "ppocrv3-det.onnx"):
        yield _row("auto", model, {"kind": "int8_static", "exclude": "auto"}, "exclude auto")


def mixed() -> Iterator[Row]:
    for budget in ({"max_size_ratio": 0.2}, {"min_speedup": 1.5}, {"min_snr_db": 20}):
        for how in ("measured", "hessian"):
            told = f"{next(iter(budget.items()))} {how}"
            step = {"kind": "mixed_precision", "sensitivity": how, **budget}
            yield _row("mixed", "resnet20-cifar10.onnx", step, told)


def _row(part: str, model: str, step: dict[str, Any], what: str) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = _run(Path(folder), model, step)
        except Refusal as refusal:
            return Row(part, model, what, told=f"{refusal.problem.code}: {refusal.problem.detail}")
    done = report.steps[-1]
    return Row(
        part,
        model,
        what,
        speed_told(report),
        f"{report.size_bytes.ratio:.2f}×",
        _quality(report),
        f"{done.seconds:.1f} s",
        _told(done.details, done.changed, done.candidates),
    )


def _run(folder: Path, model: str, step: dict[str, Any]) -> Report:
    prepared = prepare(model)
    archive = folder / "data.npz"
    np.savez(archive, **prepared.arrays)  # type: ignore[arg-type]
    declaration = Declaration.model_validate(prepared.declaration)
    calibration, evaluation = (
        Source(archive, declaration, rows) for rows in (prepared.calibration, prepared.evaluation)
    )
    metric = Evaluation(metric="top1") if prepared.metric else None
    options = Options(metric, benchmark=Benchmark(shapes=prepared.shapes))
    recipe = Recipe.model_validate({"steps": [step]})
    data = Data(calibration=calibration, evaluation=evaluation)
    return compress(SHARED / "models" / model, recipe, data, folder / "out", options=options)


def _quality(report: Report) -> str:
    worst = min(report.parity, key=lambda p: np.inf if p.snr_db is None else p.snr_db)
    snr = "" if worst.snr_db is None else f"SNR {worst.snr_db:.1f} dB"
    if report.quality:
        found = report.quality[0]
        return f"top1 {100 * found.before:.2f} → {100 * found.after:.2f} %, {snr}"
    return snr


def _told(details: dict[str, Any], changed: int, candidates: int) -> str:
    told = f"{changed} of {candidates} layers"
    if "chosen" in details:
        told = f"{details['chosen']} ({told}) of {len(details['candidates'])}"
    if details.get("exclusions"):
        back = details.get("taken_back", [])
        left = [name for step in details["exclusions"] for name in step["layers"] if name not in back]
        told += f"; float: {', '.join(left[:6])}{', …' if len(left) > 6 else ''}"
    return told


PARTS = {part.__name__: part for part in (static, picked, auto, mixed)}


def main() -> None:
    shared_or_exit()
    rows: list[Row] = []
    for part in sys.argv[1:] or PARTS:
        for row in PARTS[part]():
            rows.append(row)
            print(" | ".join(vars(row).values()), flush=True)
    table = Table(title="8 bits on the models of ../shared, batch 1, one thread")
    for column in ("part", "model", "what", "speed-up", "size", "quality", "step took", "told"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*vars(row).values())
    Console(width=170).print(table)


if __name__ == "__main__":
    main()
