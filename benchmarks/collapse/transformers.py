"""Transformers that are trained here.

vit        a vision transformer (Dosovitskiy et al. 2021) on CIFAR's images. Then a few channels of what its
           normalisations answer are 512 times as large and the weights that read them as much smaller: exact, and what
           large ones come to by training (Sun et al. 2024, arXiv:2402.17762)
decoder    a language model of letters with a causal mask, on the sentences of SST-2: the letter that comes next
"""

import csv
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.collapse.trained import CLASSES, cifar_loss, train
from benchmarks.shared_data import SHARED
from tests.support.onnx_export import export_onnx

WIDTH, HEADS, DEPTH, PATCH = 96, 4, 4, 8
OUTLIERS, TIMES = 3, 512.0
LETTERS: Final = " abcdefghijklmnopqrstuvwxyz'.,-"
CONTEXT: Final = 48


class Layer(nn.Module):
    """Attention and a network of two layers, each behind a normalisation."""

    def __init__(self, causal: bool = False) -> None:
        super().__init__()
        self.before_attention, self.before_inner = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.mixed, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.causal = causal

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        mixed = self.mixed(self.before_attention(x)).view(batch, length, 3, HEADS, WIDTH // HEADS)
        query, key, value = mixed.permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / (WIDTH // HEADS) ** 0.5
        if self.causal:
            hidden = torch.full((CONTEXT, CONTEXT), torch.finfo(torch.float32).min).triu(1)
            scores = scores + hidden
        made = (scores.softmax(-1) @ value).transpose(1, 2).reshape(batch, length, WIDTH)
        x = x + self.out(made)
        inner: Tensor = self.down(functional.gelu(self.up(self.before_inner(x))))
        return x + inner


class Vit(nn.Module):
    """x float32 [N, 3, 64, 64] → logits float32 [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, PATCH, PATCH)
        self.places = nn.Parameter(torch.randn(1, (64 // PATCH) ** 2, WIDTH) * 0.02)
        self.layers = nn.ModuleList(Layer() for _ in range(DEPTH))
        self.last, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        stream = self.patches(x).flatten(2).transpose(1, 2) + self.places
        for layer in self.layers:
            stream = layer(stream)
        logits: Tensor = self.head(self.last(stream).mean(1))
        return logits

    @torch.no_grad()
    def with_outliers(self) -> None:
        for layer in self.layers:
            assert isinstance(layer, Layer)
            for norm, reader in ((layer.before_attention, layer.mixed), (layer.before_inner, layer.up)):
                channels = torch.randperm(WIDTH)[:OUTLIERS]
                norm.weight[channels] *= TIMES
                norm.bias[channels] *= TIMES
                reader.weight[:, channels] /= TIMES


def vit(path: Path, epochs: int = 8) -> None:
    torch.manual_seed(0)
    network = Vit()
    train(network, *cifar_loss(network, epochs))
    network.with_outliers()
    onnx.save(export_onnx(network, [torch.zeros(2, 3, 64, 64)], "dynamo", output="logits"), path)


class Decoder(nn.Module):
    """letters int64 [N, 48] → logits float32 [N, letters] of the one that comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), WIDTH)
        self.places = nn.Parameter(torch.randn(1, CONTEXT, WIDTH) * 0.02)
        self.layers = nn.ModuleList(Layer(causal=True) for _ in range(DEPTH // 2))
        self.last, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(LETTERS))

    def everywhere(self, letters: Tensor) -> Tensor:
        stream = self.letters(letters) + self.places
        for layer in self.layers:
            stream = layer(stream)
        logits: Tensor = self.head(self.last(stream))
        return logits

    def forward(self, letters: Tensor) -> Tensor:
        return self.everywhere(letters)[:, -1]


def decoder(path: Path, epochs: int = 3) -> None:
    """Trained on the sentences of `train`."""
    torch.manual_seed(0)
    network = Decoder()
    text = torch.from_numpy(_text("train"))
    starts = torch.arange(0, len(text) - CONTEXT - 1, CONTEXT // 2)

    def loss(rows: Tensor) -> Tensor:
        seen = text[starts[rows][:, None] + torch.arange(CONTEXT + 1)]
        logits = network.everywhere(seen[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), seen[:, 1:].flatten())

    train(network, len(starts), epochs, loss)
    example = text[: 2 * CONTEXT].view(2, CONTEXT)
    onnx.save(export_onnx(network, [example], "dynamo", output="logits"), path)


def next_letters(part: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """int64 [n, 48] from anywhere in the sentences of that part, and int64 [n] the letter behind them."""
    text = _text(part)
    starts = np.random.default_rng(0).integers(0, len(text) - CONTEXT, count)
    return text[starts[:, None] + np.arange(CONTEXT)], text[starts + CONTEXT]


def _text(part: str) -> np.ndarray:
    """All its sentences, one after the other, int64."""
    with (SHARED / "data" / "sst2.csv").open() as file:
        sentences = [row["sentence"].lower() for row in csv.DictReader(file) if row["split"] == part]
    return np.array([LETTERS.index(letter) for letter in " ".join(sentences) if letter in LETTERS], np.int64)
