"""A real network, trained in seconds: scikit-learn's handwritten digits, enlarged from 8×8 to 32×32 pixels.

Images are uint8 [N, 32, 32, 1], labels int64 [N]. The rows are shuffled once and cut in three: the network
trains on the first part; the calibration and evaluation parts are never trained on.
"""

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

TRAINING, CALIBRATION = 1000, 197
EPOCHS, BATCH, RATE = 3, 40, 2e-3
THREADS = 2


@dataclass(frozen=True)
class Digits:
    images: np.ndarray
    labels: np.ndarray

    def rows(self, start: int, stop: int | None) -> "Digits":
        return Digits(self.images[start:stop], self.labels[start:stop])


def digits(seed: int = 0) -> Digits:
    """All 1,797 of them."""
    bunch = load_digits()
    order = np.random.default_rng(seed).permutation(len(bunch.target))
    large = np.kron(bunch.images[order], np.ones((4, 4)))
    return Digits(
        (large * (255 / 16)).astype(np.uint8)[..., np.newaxis], bunch.target[order].astype(np.int64)
    )


def network() -> nn.Sequential:
    """Six convolutions, 1.1 million parameters: wide enough that int8 has something to win."""
    return nn.Sequential(
        *_block(1, 32, stride=2),
        *_block(32, 64, stride=1),
        *_block(64, 128, stride=2),
        *_block(128, 128, stride=1),
        *_block(128, 256, stride=2),
        *_block(256, 256, stride=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


def train(data: Digits, seed: int = 0) -> nn.Sequential:
    torch.set_num_threads(THREADS)
    torch.manual_seed(seed)
    model, images, labels = network(), as_input(data.images), torch.from_numpy(data.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=EPOCHS * (len(labels) // BATCH)
    )
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels)).split(BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def accuracy(model: nn.Module, data: Digits) -> float:
    """Top-1, a fraction of 1."""
    with torch.inference_mode():
        return float((model(as_input(data.images)).argmax(1).numpy() == data.labels).mean())


def export(model: nn.Module, path: Path) -> None:
    """As ONNX, with an open batch size. The exporter's remarks on itself are not for the reader."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            model,
            (torch.zeros(2, 1, 32, 32),),
            path,
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes=({0: "batch"},),
            external_data=False,
            verbose=False,
        )


def as_input(images: np.ndarray) -> torch.Tensor:
    """uint8 NHWC → float32 NCHW in 0..1: what the dataset's declaration tells Winnow to do."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def _block(before: int, after: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
