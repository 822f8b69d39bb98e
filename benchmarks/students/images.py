"""ResNet-20 on CIFAR-10's JPEG images: blocks and channels together beside channels alone, 10 epochs of distillation.

Settings are chosen on 1,500 of the 4,000 test images, and the rows report on the other 2,500: the upload has seen the
training images, so that a part of these chooses badly (86.3 % there was 84.7 % on the test images).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.embedded import service, uploaded
from benchmarks.parts import Row
from benchmarks.pruning import INNER
from benchmarks.shared_data import CIFAR_PIXELS, SHARED
from benchmarks.students.jobs import (
    CHOOSING,
    SEEDS,
    Rows,
    Steps,
    listed,
    longer,
    mean_drop,
    reported,
    speed,
)
from winnow.client import Client
from winnow.contract.report import Report

MODEL: Final = SHARED / "models" / "resnet20-cifar10-jpeg.onnx"
LEAST_TOP1, MOST_LATENCY, MOST_MACS = 0.865, 0.65, 0.5
ALONE, TOGETHER = "channels", "blocks and channels"
TRAINED: Final = {
    "kind": "distillation",
    "epochs": longer(10),
    "batchnorm": "restored",
    "channels_last": True,
    "batch_size": 64,
    "learning_rate": 0.002,
    "validation": 0.02,
    "features": "auto",
}


def _blocks(share: float) -> dict[str, Any]:
    return {"kind": "depth_pruning", "target": "blocks", "amount": share}


def _channels(macs: float, round_to: int = 8) -> dict[str, Any]:
    return {"kind": "channel_pruning", "target": "macs", "amount": macs, "round_to": round_to}


EQUAL: Final[dict[float, Steps]] = {
    0.5: [_blocks(3 / 7), _channels(0.2, round_to=16)],
    0.35: [_blocks(3 / 7), _channels(0.7)],
}
"""Blocks and channels by the share of the latency that is left, as measured beforehand: towards a target of latency,
each seed may get another network."""
LEAST, MOST, HALVINGS = 0.5, 0.85, 4
"""Amounts of channels alone: with 0.85 of the multiply-accumulates gone 8 are left in each group."""
STAGES: Final = {"relu_6": "relu_6", "relu_12": "relu_10", "relu_18": "relu_18"}
"""What the three stages end with, by the teacher's name the student's: the last block of the second is out."""
STAYING: Final = ["node_Conv_380", "node_Conv_384", "node_Conv_393", "node_Conv_406", "node_Conv_410"]
"""A layer of each block that stays, so that both others go: by leave_one_out each seed may choose others, and `STAGES`
names what is there."""
HALF: Final[Steps] = [
    {**_blocks(0.99), "exclude": STAYING},
    {"kind": "channel_pruning", "target": "macs", "amount": 0.39, "exclude": INNER},
    {
        **TRAINED,
        "features": [{"teacher": one, "student": other, "weight": 10} for one, other in STAGES.items()],
    },
]


def rows(folder: Path) -> Iterator[Row]:
    measured = dict[tuple[float, str], list[Report]]()
    with service(folder / "var") as winnow:
        dataset, parts = cifar(winnow, folder)
        model = winnow.upload_model(MODEL).id

        def run(steps: Steps, seed: int = 0) -> Report:
            return reported(winnow, model, steps, dataset, parts, seed=seed)

        for share, together in EQUAL.items():
            measured[share, TOGETHER] = [run([*together, TRAINED], seed) for seed in SEEDS]
            alone = _channels(_as_fast(run, 1 / speed(measured[share, TOGETHER])))
            measured[share, ALONE] = [run([alone, TRAINED], seed) for seed in SEEDS]
            for name in (ALONE, TOGETHER):
                yield Row("images", f"{name}, latency {share}", "", _measured(measured[share, name]), True)
        yield _half([run(HALF, seed) for seed in SEEDS])
    drops = {key: mean_drop(reports)[0] for key, reports in measured.items()}
    better = sum(drops[share, TOGETHER] <= drops[share, ALONE] for share in EQUAL)
    yield Row("images", f"{TOGETHER} at least as good", "at one of both", f"at {better}", better > 0)


def _as_fast(run: Callable[[Steps], Report], latency: float) -> float:
    """The amount of channels alone that leaves at least this share of the latency, by untrained cuts."""
    low, high = LEAST, MOST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if 1 / speed([run([_channels(middle)])]) > latency:
            low = middle
        else:
            high = middle
    return low


def _half(reports: list[Report]) -> Row:
    top1, latency = np.mean([report.quality[0].after for report in reports]), 1 / speed(reports)
    macs = max(report.macs.ratio or 1.0 for report in reports if report.macs is not None)
    return Row(
        "images",
        f"{TOGETHER}, half the MACs",
        f"≥ {100 * LEAST_TOP1} % at {MOST_LATENCY} of the latency",
        f"{100 * top1:.2f} % ({listed(reports)}) at {latency:.3f}, {macs:.3f} of the MACs",
        bool(top1 >= LEAST_TOP1 and latency <= MOST_LATENCY and macs <= MOST_MACS),
    )


def cifar(winnow: Client, folder: Path) -> tuple[str, Rows]:
    """The dataset of 14,000 images, and its rows by role."""
    with np.load(SHARED / "data" / "cifar10_subset.npz") as archive:
        arrays = {name: np.concatenate([archive[f"{name}_train"], archive[f"{name}_test"]]) for name in "xy"}
    declared = {
        "inputs": {"x": CIFAR_PIXELS},
        "targets": {"array": "y"},
        "augment": ["horizontal_flip", "padded_crop"],
    }
    judged = (10_000, 11_500) if CHOOSING else (11_500, 14_000)
    parts = {"training": (0, 10_000), "evaluation": judged}
    return uploaded(winnow, folder, arrays, declared), {"calibration": (0, 512), **parts}


def _measured(reports: list[Report]) -> str:
    lost, error = mean_drop(reports)
    macs = [report.macs.ratio for report in reports if report.macs is not None and report.macs.ratio]
    return (
        f"{1 / speed(reports):.3f} of the latency, {float(np.median(macs)):.3f} of the MACs, top-1 {listed(reports)} % "
        f"({100 * lost:.2f} points lost, standard error {100 * error:.2f})"
    )
