"""`make bench-pruning`: what channel_pruning cuts from the models of ../shared, and what it costs them.

One table; a row says what was asked and what was measured. `python -m benchmarks.pruning models lenet` runs only
these of its parts: models, criteria, recovery, lenet.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.shared_data import CIFAR_PIXELS, SHARED, UNIT, prepare
from benchmarks.speed import speed_told
from benchmarks.table import Row, measure
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Pair, Report
from worker.compression.data.source import Data, Source
from worker.compression.options import Options
from worker.compression.pipeline import compress

MODELS = SHARED / "models"
RESNET, LENET = MODELS / "resnet20-cifar10-jpeg.onnx", MODELS / "lenet5-mnist.onnx"
SEEDS = (0, 1, 2)
CRITERIA = ("l1", "l2", "fpgm", "random", "activation", "taylor", "fisher")
BEST = ("taylor", "fisher", "activation")
INNER = ["node_Conv_374", "node_Conv_390", "node_Conv_403"]
"""One layer of each residual stream: with these kept, only channels inside the blocks go."""
HALF: dict[str, Any] = {"kind": "channel_pruning", "target": "macs", "amount": 0.5, "exclude": INNER}
STAGES = [{"teacher": name, "student": name, "weight": 10} for name in ("relu_6", "relu_12", "relu_18")]
"""What the three stages of the network end with: as wide after the cut as before."""
DISTIL: dict[str, Any] = {
    "kind": "distillation",
    "epochs": 10,
    "batchnorm": "restored",
    "batch_size": 64,
    "learning_rate": 0.002,
    "validation": 0.02,
    "features": STAGES,
}


def models(folder: Path) -> Iterator[Row]:
    """30 % of the channels that can be cut, on every model, with the repair."""
    done, step = 0, {"kind": "channel_pruning", "target": "channels", "amount": 0.3, "samples": 64}
    for path in sorted(MODELS.glob("*.onnx")):
        if "int8" in path.name:
            continue
        prepared = prepare(path.name)
        archive = folder / f"{path.stem}.npz"
        np.savez(archive, **prepared.arrays)  # type: ignore[arg-type]
        declaration = Declaration.model_validate(prepared.declaration)
        data = Data(calibration=Source(archive, declaration, prepared.calibration))
        options = Options(benchmark=Benchmark(rounds=15, shapes=prepared.shapes))
        try:
            recipe = Recipe.model_validate({"steps": [step]})
            report = compress(path, recipe, data, folder / path.stem, options=options)
        except Refusal as refusal:
            yield Row("models", path.name, f"{refusal.problem.code}: {refusal.problem.detail}", "a reason")
            continue
        onnx.checker.check_model(str(folder / path.stem / "artifact.onnx"), full_check=True)
        done += 1
        yield Row("models", path.name, _costs(report), "30 % of the channels: " + _met(not _unmet(report)))
    yield Row("models", "cut and run", str(done), f"at least 9: {_met(done >= 9)}")


def criteria(folder: Path) -> Iterator[Row]:
    """Half the MACs, before any recovery, without and with the repair."""
    for name, model, data, step in (
        ("resnet20", RESNET, _cifar(folder), HALF),
        ("lenet5", LENET, _mnist(folder), {**HALF, "exclude": []}),
    ):
        for criterion in CRITERIA:
            found = [
                _run(folder, model, [{**step, "criterion": criterion, "repair": repair}], data, 0)
                for repair in (False, True)
            ]
            without, mended = (100 * report.quality[0].after for report in found)
            yield Row(
                "criteria",
                f"{name}, {criterion}",
                f"{without:.2f} % without, {mended:.2f} % with repair; {found[1].steps[0].seconds:.0f} s",
            )


def recovery(folder: Path) -> Iterator[Row]:
    """Half the MACs of resnet20, then 10 epochs of distillation from the original."""
    data = _cifar(folder)
    for criterion in BEST:
        after, ratios = [], []
        for seed in SEEDS:
            report = _run(folder, RESNET, [{**HALF, "criterion": criterion}, DISTIL], data, seed)
            after.append(100 * report.quality[0].after)
            ratios.append(1 / (report.latency[0].speedup or np.nan))
            print(criterion, seed, after[-1], ratios[-1], _costs(report), flush=True)
        listed = ", ".join(f"{value:.2f}" for value in after)
        mean, ratio = float(np.mean(after)), float(np.median(ratios))
        yield Row(
            "recovery",
            f"resnet20, {criterion}, seeds {SEEDS}",
            f"mean {mean:.2f} % ({listed}), latency {ratio:.3f} of the original",
            f"≥ 85.5 %: {_met(mean >= 85.5)}; ≤ 0.75: {_met(ratio <= 0.75)}",
        )


def lenet(folder: Path) -> Iterator[Row]:
    data = _mnist(folder)
    prune = {"kind": "channel_pruning", "target": "parameters", "amount": 0.741}
    prune |= {"criterion": "taylor", "scope": "global", "round_to": 1}
    report = _run(folder, LENET, [prune, {"kind": "distillation", "epochs": 10}], data, 0)
    left, top1 = report.parameters.after, report.quality[0].after
    yield Row(
        "lenet",
        "26 % of the parameters (taylor, global), 10 epochs of distillation",
        f"{left} parameters, {100 * top1:.2f} % (before {100 * report.quality[0].before:.2f} %)",
        f"≤ 16,000 and ≥ 99.2 %: {_met(left <= 16000 and top1 >= 0.992)}",
    )


def _costs(report: Report) -> str:
    latency = report.latency[0]
    return (
        f"parameters {_pair(report.parameters)}, MACs {_pair(report.macs)}, p50 {latency.baseline_ms.p50:.3f} → "
        f"{latency.candidate_ms.p50:.3f} ms, {speed_told(report)}"
    )


def _pair(pair: Pair | None) -> str:
    return "unknown" if pair is None else f"{pair.before:,} → {pair.after:,}"


def _unmet(report: Report) -> list[str]:
    return [str(entry.why) for entry in report.requirements if not entry.met]


def _met(met: bool) -> str:
    return "met" if met else "NOT met"


def _run(folder: Path, model: Path, steps: list[dict[str, Any]], data: Data, seed: int) -> Report:
    options = Options(Evaluation(metric="top1"), benchmark=Benchmark(rounds=25), seed=seed)
    with tempfile.TemporaryDirectory(dir=folder) as out:
        return compress(model, Recipe.model_validate({"steps": steps}), data, Path(out), options=options)


def _cifar(folder: Path) -> Data:
    augment = ["horizontal_flip", "padded_crop"]
    declared = {"inputs": {"x": CIFAR_PIXELS}, "targets": {"array": "y"}, "augment": augment}
    return _data(folder, "cifar10_subset", declared, 10_000)


def _mnist(folder: Path) -> Data:
    declared = {"inputs": {"image": {"array": "x", "add_axis": 1, **UNIT}}, "targets": {"array": "y"}}
    return _data(folder, "mnist", declared, 60_000)


def _data(folder: Path, name: str, declared: dict[str, Any], rows: int) -> Data:
    """The first rows of the training part train, 512 of them calibrate; the test part judges."""
    declaration = Declaration.model_validate(declared)
    with np.load(SHARED / "data" / f"{name}.npz") as archive:
        for part in ("train", "test"):
            np.savez(folder / f"{name}-{part}.npz", x=archive[f"x_{part}"], y=archive[f"y_{part}"])
    training, test = (folder / f"{name}-{part}.npz" for part in ("train", "test"))
    return Data(
        calibration=Source(training, declaration, (0, 512)),
        training=Source(training, declaration, (0, rows)),
        evaluation=Source(test, declaration),
    )


PARTS = {part.__name__: part for part in (models, criteria, recovery, lenet)}


def main() -> None:
    columns = ("part", "what", "measured", "asked")
    measure("channel pruning, models and data of ../shared", columns, PARTS)


if __name__ == "__main__":
    main()
