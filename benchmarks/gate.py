"""`make bench-gate`: what `winnow gate` lets through, 20 runs each of artifacts that are as good and that are worse.

    paired   beside the original: artifacts of 20 other seeds, and 20 whose last layer was disturbed until 5 points of
             top-1 were gone
    alone    the same without the original, where noise is larger: 10 points gone

Allowed is one point. Asked: every artifact of another seed passes (exit code 0), every disturbed one fails (3).
`python -m benchmarks.gate paired` runs one part.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper
from typer.testing import CliRunner

from benchmarks.table import Row, measure
from tests.support.digits import CALIBRATION, DECLARATION, EVALUATION, Digits, digits
from winnow.cli.commands import commands
from winnow.contract.evaluation import Evaluation
from winnow.contract.recipe import Recipe
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.options import Options
from worker.compression.pipeline import compress

UNTIMED: Final = Extent(brief=True, times=False, weighs=False)
RUNS: Final = 20
ALLOWED: Final = 0.01
RECIPE: Final = Recipe.model_validate({"steps": [{"kind": "int8_static", "samples": 64}]})
PLANTED: Final = {"paired": 0.05, "alone": 0.10}


def paired(folder: Path) -> Iterator[Row]:
    yield from gated("paired", folder, with_original=True)


def alone(folder: Path) -> Iterator[Row]:
    yield from gated("alone", folder, with_original=False)


def gated(part: str, folder: Path, *, with_original: bool) -> Iterator[Row]:
    folder.mkdir(exist_ok=True)
    files = digits(folder)
    (folder / "declaration.json").write_text(DECLARATION.model_dump_json())
    made(files, folder / "first", seed=0)
    more = ["--baseline", str(files.model)] if with_original else []
    seeds = [made(files, folder / f"seed-{seed}", seed) for seed in range(1, RUNS + 1)]
    codes = [gate(artifact, folder, more) for artifact in seeds]
    drops = [lost(artifact, files) for artifact in seeds]
    yield Row(part, f"other seeds, top-1 worse by {spread(drops)}", passed(codes), f"{RUNS} of {RUNS} pass")
    disturbed = [worse(files, folder / f"worse-{seed}.onnx", PLANTED[part], seed) for seed in range(RUNS)]
    codes = [gate(artifact, folder, more) for artifact in disturbed]
    drops = [lost(artifact, files) for artifact in disturbed]
    yield Row(part, f"disturbed, top-1 worse by {spread(drops)}", passed(codes), f"0 of {RUNS} pass")


def made(files: Digits, folder: Path, seed: int) -> Path:
    """The artifact of one seed; its report lies beside it."""
    data = Data(
        calibration=Source(files.data, DECLARATION, CALIBRATION),
        evaluation=Source(files.data, DECLARATION, EVALUATION),
    )
    options = Options(Evaluation(metric="top1"), seed=seed, extent=UNTIMED)
    compress(files.model, RECIPE, data, folder, options=options)
    return folder / "artifact.onnx"


def gate(artifact: Path, folder: Path, more: list[str]) -> int:
    """The exit code of the command."""
    rows = f"{folder / 'data.npz'}:{EVALUATION[0]}:{EVALUATION[1]}"
    asked = ["gate", str(artifact), "--against", str(folder / "first" / "report.json"), "--data", rows]
    asked += ["--declaration", str(folder / "declaration.json"), "--max-metric-drop", str(ALLOWED), *more]
    return CliRunner().invoke(commands, asked).exit_code


def worse(files: Digits, path: Path, points: float, seed: int) -> Path:
    """The network with more and more noise in its last layer, until so much of top-1 is gone."""
    noise, scale = np.random.default_rng(seed), 0.0
    while not path.exists() or lost(path, files) < points:
        scale += 0.1
        model = onnx.load(files.model)
        (weight,) = (each for each in model.graph.initializer if each.name == "w")
        values = numpy_helper.to_array(weight)
        changed = values + scale * values.std() * noise.standard_normal(values.shape)
        weight.CopyFrom(numpy_helper.from_array(changed.astype(np.float32), "w"))
        onnx.save(model, path)
    return path


def lost(artifact: Path, files: Digits) -> float:
    """How much less of the evaluation rows is right than by the original."""
    return top1(files.model, files) - top1(artifact, files)


def top1(model: Path, files: Digits) -> float:
    with np.load(files.data) as arrays:
        images, labels = (arrays[name][slice(*EVALUATION)] for name in ("images", "labels"))
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    (logits,) = session.run(None, {"image": images.astype(np.float32)[:, None] / 16})
    return float((np.asarray(logits).argmax(1) == labels).mean())


def passed(codes: list[int]) -> str:
    others = sorted({code for code in codes if code not in (0, 3)})
    return f"{codes.count(0)} of {len(codes)} pass, {codes.count(3)} fail" + (f"; {others}" if others else "")


def spread(drops: list[float]) -> str:
    return f"{min(drops):.4f} to {max(drops):.4f}"


if __name__ == "__main__":
    measure(
        "What a gate lets through", ("part", "what", "measured", "asked"), {"paired": paired, "alone": alone}
    )
