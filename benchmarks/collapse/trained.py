"""Networks of kinds that no file is at hand of, trained here on what is, with seed 0, kept in the folder.

mobilenetv3   torchvision's MobileNetV3-small at half width (hard swish, squeeze and excitation) on CIFAR's images,
              twice as large
detr          a decoder whose queries look for digits: four of MNIST on a canvas, each query answers with ten
              scores and a box in pixels in one output, as DETR's (Carion et al. 2020) are exported
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.shared_data import IMAGENET, SHARED
from tests.support.onnx_export import export_onnx

CANVAS, QUERIES, CLASSES = 64, 4, 10
BATCH: Final = 64
BLOCKS: Final = (
    (16, 16, 3, 2, True, False), (72, 24, 3, 2, False, False), (88, 24, 3, 1, False, False),
    (96, 40, 5, 2, True, True), (240, 40, 5, 1, True, True), (240, 40, 5, 1, True, True),
    (120, 48, 5, 1, True, True), (144, 48, 5, 1, True, True), (288, 96, 5, 2, True, True),
    (576, 96, 5, 1, True, True), (576, 96, 5, 1, True, True),
)  # fmt: skip
"""Of MobileNetV3-small: inner channels, channels, kernel, stride, squeeze and excitation, hard swish."""


class Bottleneck(nn.Module):
    """An inverted residual with squeeze and excitation."""

    def __init__(
        self, into: int, inner: int, out: int, kernel: int, stride: int, excited: bool, swish: bool
    ) -> None:
        super().__init__()
        self.passes = stride == 1 and into == out
        active = nn.Hardswish if swish else nn.ReLU
        self.wide = nn.Sequential(
            nn.Conv2d(into, inner, 1, bias=False), nn.BatchNorm2d(inner), active(),
            nn.Conv2d(inner, inner, kernel, stride, kernel // 2, groups=inner, bias=False), nn.BatchNorm2d(inner),
            active(),
        )  # fmt: skip
        squeezed = max(8, inner // 4)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(inner, squeezed, 1), nn.ReLU(), nn.Conv2d(squeezed, inner, 1),
            nn.Hardsigmoid(),
        ) if excited else None  # fmt: skip
        self.narrow = nn.Sequential(nn.Conv2d(inner, out, 1, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        made = self.wide(x)
        made = self.narrow(made if self.gate is None else made * self.gate(made))
        return x + made if self.passes else made


def mobilenetv3(path: Path, epochs: int = 8) -> None:
    """x float32 [N, 3, 64, 64] → logits float32 [N, 10]; trained on CIFAR's 10,000 training images, mirrored."""
    torch.manual_seed(0)
    blocks, into = [], 8
    for inner, out, *rest in BLOCKS:
        blocks.append(Bottleneck(into, inner // 2, out // 2, *rest))
        into = out // 2
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish(), *blocks,
        nn.Conv2d(into, 288, 1, bias=False), nn.BatchNorm2d(288), nn.Hardswish(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(288, 512), nn.Hardswish(), nn.Linear(512, CLASSES),
    )  # fmt: skip
    train(network, *cifar_loss(network, epochs))
    onnx.save(export_onnx(network, [torch.zeros(2, 3, 64, 64)], "dynamo", output="logits"), path)


def cifar_loss(network: nn.Module, epochs: int) -> tuple[int, int, Callable[[Tensor], Tensor]]:
    """What `train` takes besides: CIFAR's 10,000 training images, every other one mirrored."""
    with np.load(SHARED / "data" / "cifar10_subset.npz") as archive:
        images, labels = cifar_pixels(archive["x_train"]), torch.from_numpy(archive["y_train"]).long()

    def loss(rows: Tensor) -> Tensor:
        x = images[rows]
        x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
        return functional.cross_entropy(network(x), labels[rows])

    return len(images), epochs, loss


def cifar_pixels(images: np.ndarray) -> Tensor:
    """uint8 [n, 32, 32, 3] → float32 [n, 3, 64, 64] as the network takes it."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(IMAGENET[name]).view(3, 1, 1) for name in ("mean", "std"))
    return functional.interpolate((x - mean) / std, scale_factor=2.0, mode="nearest")


class Detr(nn.Module):
    """image float32 [N, 1, 64, 64] → found float32 [N, 4, 14]: ten scores, then left, top, right, bottom in pixels."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        channels = (1, 32, 48, width)
        self.backbone = nn.Sequential(
            *(
                layer
                for into, out in pairwise(channels)
                for layer in (nn.Conv2d(into, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
            )
        )
        self.places = nn.Parameter(torch.randn(1, (CANVAS // 8) ** 2, width) * 0.1)
        self.queries = nn.Parameter(torch.randn(1, QUERIES, width) * 0.1)
        self.layers = nn.ModuleList(
            nn.TransformerDecoderLayer(width, 4, 2 * width, 0.0, batch_first=True) for _ in range(2)
        )
        self.scores, self.boxes = nn.Linear(width, CLASSES), nn.Linear(width, 4)

    def forward(self, image: Tensor) -> Tensor:
        memory = self.backbone(image).flatten(2).transpose(1, 2) + self.places
        found = self.queries.expand(image.shape[0], -1, -1)
        for layer in self.layers:
            found = layer(found, memory)
        return torch.cat([self.scores(found).softmax(-1), CANVAS * self.boxes(found).sigmoid()], -1)


def detr(path: Path, epochs: int = 8) -> None:
    """Trained on canvases made of MNIST's training images."""
    torch.manual_seed(0)
    network = Detr()
    images, digits, boxes = map(torch.from_numpy, canvases("train", 6000))

    def loss(rows: Tensor) -> Tensor:
        found = network(images[rows].float() / 255)
        scores = functional.nll_loss(
            torch.log(found[..., :CLASSES] + 1e-6).flatten(0, 1), digits[rows].flatten()
        )
        return scores + functional.l1_loss(found[..., CLASSES:], boxes[rows]) / 4

    train(network, len(images), epochs, loss)
    onnx.save(export_onnx(network, [torch.zeros(2, 1, CANVAS, CANVAS)], "dynamo", output="found"), path)


def canvases(part: str, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint8 [n, 1, 64, 64] with a digit in each quarter, int64 [n, 4] the digits, float32 [n, 4, 4] their boxes."""
    random = np.random.default_rng(0)
    with np.load(SHARED / "data" / "mnist.npz") as archive:
        drawn, labels = archive[f"x_{part}"].reshape(-1, 28, 28), archive[f"y_{part}"]
    images, half = np.zeros((count, 1, CANVAS, CANVAS), np.uint8), CANVAS // 2
    chosen = random.integers(0, len(drawn), (count, QUERIES))
    boxes = np.zeros((count, QUERIES, 4), np.float32)
    for row, query in np.ndindex(count, QUERIES):
        size = int(random.integers(14, 29))
        top, left = half * np.array(divmod(query, 2)) + random.integers(0, half - size + 1, 2)
        places = (np.arange(size) * 28) // size
        images[row, 0, top : top + size, left : left + size] = drawn[chosen[row, query]][
            np.ix_(places, places)
        ]
        boxes[row, query] = left, top, left + size, top + size
    return images, labels[chosen].astype(np.int64), boxes


def train(network: nn.Module, count: int, epochs: int, loss: Callable[[Tensor], Tensor]) -> None:
    """AdamW under one cycle of the rate; leaves the network in its mode for inference."""
    network.train()
    steps = epochs * (count // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, steps)
    for rows in _batches(count, epochs):
        optimizer.zero_grad()
        loss(rows).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    network.eval()


def _batches(count: int, epochs: int) -> Iterator[Tensor]:
    for _ in range(epochs):
        yield from torch.randperm(count)[: BATCH * (count // BATCH)].split(BATCH)
