"""A detector at half its multiply-accumulates by channels and depth, distilled on photographs without labels.

The photographs are those that come with scikit-image and scikit-learn, two of three for training, the others for
testing, all in random crops: no crop of a photograph that is tested was trained on. What is measured is how far the
boxes of the student agree with the upload's (average precision at an overlap of 0.5, the upload's boxes of a score from
0.3 on as the truth), right behind the cut and after the distillation. Settings were chosen on the photographs for
training. scikit-image comes with the extra `bench`.

`WINNOW_BENCH_STEPS` (250) of distillation, each of 8 crops.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.parts import Row
from benchmarks.shared_data import SHARED
from benchmarks.speed import speed_told
from benchmarks.students.photographs import crops, photographs
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.options import Options
from worker.compression.pipeline import compress

UPLOAD, SIDE = SHARED / "models" / "yolox_nano.onnx", 416
STEPS: Final = int(os.environ.get("WINNOW_BENCH_STEPS", "250"))
TRAINED, CALIBRATED, TESTED = 50, 2, 20
"""Crops of each photograph."""
MOST_MACS: Final = 0.5
CUT: Final[dict[str, Any]] = {
    "kind": "student", "depth": 0.71, "target": "macs", "amount": 0.5, "samples": 24,
}  # fmt: skip
"""Two of seven blocks, then channels."""
DISTIL: Final[dict[str, Any]] = {
    "kind": "distillation",
    "head": "detection",
    "steps": STEPS,
    "batch_size": 8,
    "learning_rate": 0.001,
    "validation": 0,
}
DECLARED: Final = Declaration.model_validate({"inputs": {"images": {"array": "x", "layout": "NHWC->NCHW"}}})


def rows(folder: Path) -> Iterator[Row]:
    training, testing = photographs()
    if len(training) < 2 * len(testing) - 1 or not any("skimage" in str(path) for path in training):
        why = "not measured: scikit-image is missing (pip install -e '.[bench]' -c constraints.txt)"
        yield Row("boxes", "photographs", "those of scikit-image", why, False)
        return
    data = _data(training, testing, folder)
    out = folder / "student"
    before, after = (_compressed(steps, data, out) for steps in ([CUT], [CUT, DISTIL]))
    yield _macs(after)
    yield _agreement(before, after, f"{len(training)} photographs train, {len(testing)} others test")


def _data(training: list[Path], testing: list[Path], folder: Path) -> Data:
    def source(name: str, paths: list[Path], each: int, seed: int) -> Source:
        np.savez(archive := folder / f"{name}.npz", x=crops(paths, each, SIDE, seed))
        return Source(archive, DECLARED)

    return Data(
        source("calibration", training, CALIBRATED, 0),
        source("training", training, TRAINED, 1),
        source("evaluation", testing, TESTED, 2),
    )


def _compressed(steps: list[dict[str, Any]], data: Data, out: Path) -> Report:
    """The second time it goes on behind the cut, which is kept in the folder."""
    options = Options(Evaluation(task="detection"), extent=Extent(weighs=False))
    return compress(UPLOAD, Recipe.model_validate({"steps": steps}), data, out, options=options)


def _macs(report: Report) -> Row:
    assert report.macs is not None
    ratio = report.macs.ratio or 1.0
    details = report.steps[0].details
    measured = (
        f"{ratio:.3f} ({report.macs.before:,.0f} → {report.macs.after:,.0f}), {len(details['removed_blocks'])} blocks "
        f"gone, {report.parameters.ratio:.3f} of the parameters, {speed_told(report)} as fast on one thread"
    )
    return Row("boxes", "multiply-accumulates", f"≤ {MOST_MACS:g}", measured, ratio <= MOST_MACS)


def _agreement(before: Report, after: Report, data: str) -> Row:
    (cut,), (trained,) = before.quality, after.quality
    low, high = trained.after_interval
    measured = (
        f"{cut.after:.3f} → {trained.after:.3f} [{low:.3f}, {high:.3f}], on {trained.samples} crops; {data}"
    )
    return Row(
        "boxes", "agreement of boxes", "more than before training", measured, trained.after > cut.after
    )
