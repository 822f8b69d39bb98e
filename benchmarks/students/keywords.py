"""The keyword spotter at half the latency, distilled without labels: five folds of its 1,000 samples, three seeds.

Four folds calibrate and train, their labels not even declared, and mixtures of their samples in pairs besides (mixup,
Zhang et al. 2018); the fifth judges. With b and a whether the upload and a student name sample i's word, over seeds s,

    loss = 1/1000 Σᵢ (bᵢ − 1/3 Σₛ aᵢₛ)

and its 95 % interval by drawing the samples, upload and students together. Latency is the median over the runs of what
their reports tell, upload and student timed in turns on one thread. Settings were chosen by how often students agree
with the upload on a fifth of the first four folds that they were not trained on: no label was looked at.

20 epochs of distillation behind the last cut, and 8 behind the first.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.parts import Row
from benchmarks.shared_data import SHARED
from benchmarks.students.jobs import SEEDS, longer
from tests.support.ort import run
from winnow.contract.declaration import Declaration
from winnow.contract.evaluation import Evaluation
from winnow.contract.job import Benchmark
from winnow.contract.recipe import Recipe
from winnow.contract.report import Report
from worker.compression.data.source import ChosenRows, Data, Source
from worker.compression.measure.extent import Extent
from worker.compression.measure.quality.bootstrap import Array, single_interval
from worker.compression.options import Options
from worker.compression.pipeline import compress

UPLOAD, DATA = SHARED / "models" / "dscnn-kws.onnx", SHARED / "data" / "kws01_test.npz"
FOLDS: Final = 5
MOST_LOST, MOST_LATENCY = 0.01, 0.5
MIXTURES, BETA = 3, 0.4
"""So many for each sample, by shares drawn from Beta(0.4, 0.4)."""


def _cut(amount: float) -> dict[str, Any]:
    """Channels in multiples of 16, of which ONNX Runtime computes as many at once on AVX-512."""
    return {"kind": "channel_pruning", "target": "channels", "amount": amount, "round_to": 16}


FEATURES: Final = [{"teacher": name, "student": name} for name in ("relu_2", "relu_4", "relu_6", "relu_8")]
"""What the four separable blocks end with."""


def _distil(number: int) -> dict[str, Any]:
    settings = {"batch_size": 32, "learning_rate": 0.003, "batchnorm": "restored", "validation": 0}
    settings["features"] = FEATURES
    return {"kind": "distillation", "epochs": longer(number), **settings}


STEPS: Final = [_cut(0.25), _distil(8), _cut(0.33), _distil(20)]
"""From 64 channels to 48, then to 32."""
UNLABELLED: Final = Declaration.model_validate(
    {"inputs": {"mfcc": {"array": "x"}}, "augment": ["padded_crop"]}
)
LABELLED: Final = Declaration.model_validate({"inputs": {"mfcc": {"array": "x"}}, "targets": {"array": "y"}})


def rows(folder: Path) -> Iterator[Row]:
    with np.load(DATA) as archive:
        x, y = archive["x"], archive["y"]
    fold_of = np.random.default_rng(0).permutation(len(x)) % FOLDS
    reports, right = list[Report](), np.zeros((len(SEEDS), len(x)))
    for place, seed in enumerate(SEEDS):
        for fold in range(FOLDS):
            judged, out = fold_of == fold, folder / f"{seed}-{fold}"
            report = _distilled(x, ~judged, judged, seed, out)
            right[place, judged] = _names_right(out / "artifact.onnx", x[judged], y[judged])
            reports.append(report)
            print(
                f"seed {seed}, fold {fold}: {right[place, judged].mean():.3f}, {_ratio(report)}", flush=True
            )
    before = _names_right(UPLOAD, x, y)
    yield _lost(before, right)
    yield _latency(reports)


def _distilled(x: Array, training: Array, judged: Array, seed: int, out: Path) -> Report:
    out.mkdir()
    np.savez(mixed := out / "mixed.npz", x=np.concatenate([x[training], _mixtures(x[training], seed)]))
    data = Data(
        Source(DATA, UNLABELLED, chosen=ChosenRows.where(training)),
        Source(mixed, UNLABELLED),
        Source(DATA, LABELLED, chosen=ChosenRows.where(judged)),
    )
    options = Options(
        Evaluation(metric="top1"), benchmark=Benchmark(rounds=25), seed=seed, extent=Extent(weighs=False)
    )
    return compress(UPLOAD, Recipe.model_validate({"steps": STEPS}), data, out, options=options)


def _mixtures(x: Array, seed: int) -> Array:
    random, count = np.random.default_rng(seed), MIXTURES * len(x)
    first, second = random.integers(0, len(x), (2, count))
    share = random.beta(BETA, BETA, (count, 1, 1, 1))
    mixed: Array = (share * x[first] + (1 - share) * x[second]).astype(np.float32)
    return mixed


def _names_right(model: Path, x: Array, y: Array) -> Array:
    """By ONNX Runtime alone; 1 or 0 for each sample."""
    (logits,) = run(model, {"mfcc": x})
    right: Array = (logits.argmax(1) == y).astype(np.float64)
    return right


def _lost(before: Array, right: Array) -> Row:
    lost = before - right.mean(0)
    low, high = single_interval(lost[:, None], _mean, float(lost.mean()), 0, len(lost))
    by_seed = ", ".join(f"{100 * (before - of_seed).mean():.1f}" for of_seed in right)
    return Row(
        "keywords",
        f"points of top-1 lost, {FOLDS} folds, seeds {SEEDS}",
        f"≤ {100 * MOST_LOST:g} in the mean",
        f"{100 * lost.mean():.2f} [{100 * low:.2f}, {100 * high:.2f}], by seed {by_seed}; "
        f"{100 * before.mean():.1f} → {100 * right.mean():.2f} %",
        lost.mean() <= MOST_LOST,
    )


def _mean(values: Array, weights: Array) -> Array:
    """Of each draw: values [n, 1], how often each counts [draws, n]."""
    drawn: Array = weights @ values[:, 0] / weights.sum(1)
    return drawn


def _latency(reports: list[Report]) -> Row:
    ratios = [ratio for report in reports if (ratio := _ratio(report)) is not None]
    macs = {report.macs.ratio for report in reports if report.macs is not None}
    sizes = [report.size_bytes.ratio or np.nan for report in reports]
    measured = f"not told in {len(reports) - len(ratios)} of {len(reports)} runs"
    if ratios:
        measured = f"{np.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f}), {measured}"
    return Row(
        "keywords",
        "latency beside the upload's, one thread, batch 1",
        f"≤ {MOST_LATENCY:g} in the median",
        f"{measured}; {_spread(sorted(filter(None, macs)))} of the MACs, {_spread(sorted(sizes))} of the bytes",
        bool(ratios) and float(np.median(ratios)) <= MOST_LATENCY,
    )


def _ratio(report: Report) -> float | None:
    speedup = report.latency[0].speedup
    return None if speedup is None else 1 / speedup


def _spread(ordered: list[float]) -> str:
    return " to ".join(dict.fromkeys((f"{ordered[0]:.3f}", f"{ordered[-1]:.3f}")))
