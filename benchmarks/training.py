"""`make bench-training`: the engine beside plain torch, and what fine-tuning, distillation and 4-bit training reach.

One table; a row says what was asked and what was measured. `python -m benchmarks.training speed parity` runs
only these of its parts: speed, parity, finetune, recovery, distillation, quantized.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.shared_data import CIFAR_PIXELS, SHARED, UNIT, prepare
from benchmarks.speed import speed_told
from benchmarks.table import Row, measure
from tests.support.halved import halved
from tests.support.ort import largest_difference, run
from tests.support.plain_resnet import engine_speed
from tests.support.students import student
from winnow.contract.declaration import Declaration
from winnow.contract.errors import Refusal
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.open import open_samples
from worker.compression.data.source import Data, Source
from worker.compression.engine.working import as_module
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.normal_form.normalise import normalise
from worker.compression.onnx_files import model_files
from worker.compression.options import Options
from worker.compression.pipeline import compress

RATES = (0.0003, 0.001, 0.003)
SEEDS = (0, 1, 2)
MODELS = SHARED / "models"


def speed(_: Path) -> Iterator[Row]:
    for name, ratio, low, high, ms in engine_speed(MODELS / "resnet20-cifar10.onnx"):
        met = "met" if ratio <= 1.10 else "NOT met"
        yield Row(
            "speed",
            name,
            f"{ratio:.3f}× ({low:.3f}-{high:.3f}) of plain torch's {ms:.0f} ms",
            f"≤ 1.10×: {met}",
        )


def parity(folder: Path) -> Iterator[Row]:
    import torch

    for path in sorted(MODELS.glob("*.onnx")):
        try:
            model = normalise(model_files.load(path))
            module = as_module(model)
        except Refusal as refusal:
            yield Row("parity", path.name, f"refused: {refusal.problem.detail}", "a reason")
            continue
        prepared = prepare(path.name)
        archive = folder / f"{path.stem}.npz"
        np.savez(archive, **prepared.arrays)  # type: ignore[arg-type]
        source = Source(archive, Declaration.model_validate(prepared.declaration), prepared.evaluation)
        feeds = next(open_samples(source, inputs_of(model), folder).batches(4))
        with torch.no_grad():
            found = module.eval()({name: torch.from_numpy(x) for name, x in feeds.items()})
        error = largest_difference(run(path, feeds), [found[name].numpy() for name in module.wanted])
        operators = len({node.op_type for node in model.graph})
        met = "met" if error <= 1e-4 else "NOT met"
        yield Row("parity", path.name, f"{error:.1e}, all {operators} operators", f"≤ 1e-4: {met}")


def finetune(folder: Path) -> Iterator[Row]:
    data = _cifar(folder, "input")
    ways: list[tuple[str, dict[str, Any]]] = [("defaults, no rate given", {})]
    ways += [
        (f"{way}, rate {rate:g}", {"batchnorm": way, "learning_rate": rate})
        for way in ("folded", "restored")
        for rate in RATES
    ]
    for name, settings in ways:
        asked = 0.865 if not settings else None
        step = {"kind": "finetune", **settings}
        yield _trained("finetune", name, folder, "resnet20-cifar10.onnx", [step], data, asked)


def quantized(folder: Path) -> Iterator[Row]:
    data, model = _cifar(folder, "x"), "resnet20-cifar10-jpeg.onnx"
    four = {"kind": "int8_static", "weight_bits": 4}
    yield _trained("quantized", "4-bit weights alone", folder, model, [four], data, None)
    steps = [four, {"kind": "quantization_aware_training"}]
    yield _trained(
        "quantized", "and 3 epochs of training with distillation", folder, model, steps, data, 0.876
    )


def distillation(folder: Path) -> Iterator[Row]:
    """A quarter of LeNet-5, 5 epochs of 2,000 images: soft labels against true ones."""
    archive = folder / "mnist.npz"
    with np.load(SHARED / "data" / "mnist.npz") as mnist:
        x = np.concatenate([mnist["x_train"][:2000], mnist["x_test"]])
        np.savez(archive, x=x, y=np.concatenate([mnist["y_train"][:2000], mnist["y_test"]]))
    declared = {"inputs": {"image": {"array": "x", "add_axis": 1, **UNIT}}, "targets": {"array": "y"}}
    declaration = Declaration.model_validate(declared)
    data = Data(
        training=Source(archive, declaration, (0, 2000)),
        evaluation=Source(archive, declaration, (2000, 12000)),
    )
    teacher, common = MODELS / "lenet5-mnist.onnx", {"epochs": 5, "batch_size": 16}
    soft, true = [], []
    for seed in SEEDS:
        path = student(teacher, folder / f"student-{seed}.onnx", seed)
        learned = {"kind": "distillation", "student": "student", **common}
        soft.append(_run(folder, teacher, [learned], data, seed, {"student": path}).quality[0].after)
        true.append(_run(folder, path, [{"kind": "finetune", **common}], data, seed).quality[0].after)
    error = float(np.std(soft, ddof=1) / np.sqrt(len(SEEDS)))
    better = float(np.mean(soft) - np.mean(true))
    for name, values in (("soft labels", soft), ("true labels", true)):
        listed = ", ".join(f"{100 * value:.2f}" for value in values)
        yield Row("distillation", f"{name}, seeds {SEEDS}", f"mean {100 * np.mean(values):.2f} % ({listed})")
    met = "met" if better > error else "NOT met"
    yield Row(
        "distillation",
        "soft above true labels",
        f"{100 * better:+.2f} points",
        f"> standard error {100 * error:.2f}: {met}",
    )


def recovery(folder: Path) -> Iterator[Row]:
    """What decides the default of `batchnorm`: half of the inner filters cut, then 3 epochs from the original."""
    data = _cifar(folder, "x")
    original = MODELS / "resnet20-cifar10-jpeg.onnx"
    student = halved(original, folder / "halved.onnx")
    ways: list[tuple[str, float | None]] = [(way, None) for way in ("folded", "restored")]
    ways += [(way, rate) for way in ("folded", "restored") for rate in RATES]
    for way, rate in ways:
        step = {"kind": "distillation", "student": "student", "batchnorm": way, "learning_rate": rate}
        report = _run(folder, original, [step], data, 0, {"student": student})
        last = report.steps[0]
        found = "" if rate else ", found"
        told = f"top1 {100 * report.quality[0].after:.2f} %, {last.seconds:.0f} s"
        yield Row(
            "recovery", f"halved inside, {way}", f"{told}, rate {last.details['learning_rate']:.2g}{found}"
        )


def _trained(
    part: str,
    name: str,
    folder: Path,
    model: str,
    steps: list[dict[str, Any]],
    data: Data,
    asked: float | None,
) -> Row:
    try:
        report = _run(folder, MODELS / model, steps, data, 0)
    except Refusal as refusal:
        return Row(part, name, f"{refusal.problem.code}: {refusal.problem.detail}")
    quality, last = report.quality[0], report.steps[-1]
    rate = last.details.get("learning_rate")
    told = f"top1 {100 * quality.before:.2f} → {100 * quality.after:.2f} %, {last.seconds:.0f} s"
    told += f", rate {rate:.2g}" if rate else ""
    if part == "quantized":
        told += f", size {report.size_bytes.ratio:.2f}×, speed {speed_told(report)}"
    met = "" if asked is None else f"≥ {100 * asked:.1f} %: {'met' if quality.after >= asked else 'NOT met'}"
    return Row(part, name, told, met)


def _run(
    folder: Path,
    model: Path,
    steps: list[dict[str, Any]],
    data: Data,
    seed: int,
    models: dict[str, Path] | None = None,
) -> Report:
    options = Options(
        Evaluation(metric="top1"), benchmark=Benchmark(rounds=9), seed=seed, models=models or {}
    )
    recipe = Recipe.model_validate({"steps": steps})
    return compress(model, recipe, data, Path(tempfile.mkdtemp(dir=folder)), options=options)


def _cifar(folder: Path, name: str) -> Data:
    with np.load(SHARED / "data" / "cifar10_subset.npz") as cifar:
        for part in ("train", "test"):
            np.savez(folder / f"{part}.npz", x=cifar[f"x_{part}"], y=cifar[f"y_{part}"])
    declaration = Declaration.model_validate({"inputs": {name: CIFAR_PIXELS}, "targets": {"array": "y"}})
    training, test = (Source(folder / f"{part}.npz", declaration) for part in ("train", "test"))
    calibration = Source(folder / "train.npz", declaration, (0, 512))
    return Data(calibration=calibration, training=training, evaluation=test)


PARTS = {part.__name__: part for part in (speed, parity, finetune, recovery, distillation, quantized)}


def main() -> None:
    columns = ("part", "what", "measured", "asked")
    measure("training on the graph, data of ../shared, 2 threads", columns, PARTS)


if __name__ == "__main__":
    main()
