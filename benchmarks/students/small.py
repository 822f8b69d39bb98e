"""A network like MobileNetV2 with a quarter of ResNet-20's multiply-accumulates, new weights, that learns from it.

Beside values inside both networks (`features: auto`) soft labels alone, with the same seeds. Settings were
chosen on 1,000 of the training images.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import onnx
import torch
from torch import Tensor, nn

from benchmarks.embedded import service
from benchmarks.parts import Row
from benchmarks.students.images import MODEL, cifar
from benchmarks.students.jobs import SEEDS, listed, longer, mean_drop, reported
from tests.support.onnx_export import export_onnx

TRAINED: Final = {
    "kind": "distillation",
    "epochs": longer(15),
    "batchnorm": "restored",
    "channels_last": True,
    "batch_size": 64,
}
WIDTHS: Final = ((16, 1), (16, 1), (24, 2), (24, 1), (24, 1), (40, 2), (40, 1))
"""Channels and stride of each block."""
EXPANSION: Final = 3


def rows(folder: Path) -> Iterator[Row]:
    ways = {"soft labels alone": {}, "features: auto": {"features": "auto"}}
    means = []
    with service(folder / "var") as winnow:
        dataset, parts = cifar(winnow, folder)
        teacher = winnow.upload_model(MODEL).id
        students = [winnow.upload_model(mobile(folder / f"mobile-{seed}.onnx", seed)).id for seed in SEEDS]
        for name, more in ways.items():
            reports = [
                reported(
                    winnow, teacher, [{**TRAINED, **more, "student": student}], dataset, parts, seed=seed
                )
                for seed, student in zip(SEEDS, students, strict=True)
            ]
            lost, error = mean_drop(reports)
            means.append(lost)
            macs = reports[0].macs
            share = float("nan") if macs is None or macs.ratio is None else macs.ratio
            yield Row(
                "small",
                name,
                "a quarter of the MACs",
                f"{share:.3f} of the MACs, top-1 {listed(reports)} % ({100 * lost:.2f} points lost, "
                f"standard error {100 * error:.2f})",
                share <= 0.25,
            )
    yield Row(
        "small",
        "features: auto against soft labels",
        "at least as good",
        f"{100 * (means[0] - means[1]):+.2f} points",
        means[1] <= means[0],
    )


class Block(nn.Module):
    """An inverted residual (Sandler et al. 2018)."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        inner = EXPANSION * into
        self.passes = stride == 1 and into == out
        self.layers = nn.Sequential(
            nn.Conv2d(into, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU6(),
            nn.Conv2d(inner, inner, 3, stride, 1, groups=inner, bias=False), nn.BatchNorm2d(inner), nn.ReLU6(),
            nn.Conv2d(inner, out, 1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.layers(x)
        return x + made if self.passes else made


def mobile(path: Path, seed: int) -> Path:
    """x float32 [N, 3, 32, 32] → logits float32 [N, 10], named as ResNet-20 names them."""
    torch.manual_seed(seed)
    blocks, width = [], 16
    for channels, stride in WIDTHS:
        blocks.append(Block(width, channels, stride))
        width = channels
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(), *blocks,
        nn.Conv2d(width, 96, 1, bias=False), nn.BatchNorm2d(96), nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(96, 10),
    )  # fmt: skip
    onnx.save(export_onnx(network.eval(), [torch.zeros(2, 3, 32, 32)], "dynamo", output="logits"), path)
    return path
