"""A small encoder-decoder transformer with a cache, exported as Hugging Face's exporter lays it out: three graphs.

encoder.onnx             input_ids, attention_mask → last_hidden_state
decoder.onnx             input_ids, encoder_hidden_states, encoder_attention_mask → logits, present.*
decoder_with_past.onnx   input_ids [batch, 1], encoder_attention_mask, past_key_values.* → logits, present.*.decoder.*
"""

import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

WORDS, WIDTH, HEADS, LAYERS = 40, 64, 4, 2
START, END = 1, 2
Cache = tuple[Tensor, ...]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def split(self, x: Tensor) -> Tensor:
        return x.reshape(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)

    def keys(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.split(self.key(x)), self.split(self.value(x))

    def forward(self, x: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        scores = self.split(self.query(x)) @ key.transpose(2, 3) * (WIDTH // HEADS) ** -0.5
        scores = scores if mask is None else scores + mask
        mixed = (scores.softmax(-1) @ value).transpose(1, 2)
        return self.out(mixed.reshape(x.shape[0], x.shape[1], WIDTH))


class Layer(nn.Module):
    def __init__(self, crosses: bool) -> None:
        super().__init__()
        self.attention, self.cross = Attention(), Attention() if crosses else None
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(3))
        self.feed = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, WIDTH))


def masked(attention_mask: Tensor) -> Tensor:
    return (1.0 - attention_mask[:, None, None, :].to(torch.float32)) * -1e9


class Encoder(nn.Module):
    def __init__(self, words: nn.Embedding) -> None:
        super().__init__()
        self.words, self.places = words, nn.Embedding(64, WIDTH)
        self.layers = nn.ModuleList(Layer(False) for _ in range(LAYERS))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        x = self.words(input_ids) + self.places(torch.arange(input_ids.shape[1]))
        for layer in self.layers:
            y = layer.norms[0](x)
            x = x + layer.attention(y, *layer.attention.keys(y), masked(attention_mask))
            x = x + layer.feed(layer.norms[1](x))
        return x


class Decoder(nn.Module):
    """`position` of the first token is the length of the cache."""

    def __init__(self, words: nn.Embedding) -> None:
        super().__init__()
        self.words, self.places = words, nn.Embedding(64, WIDTH)
        self.layers = nn.ModuleList(Layer(True) for _ in range(LAYERS))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS, bias=False)
        self.head.weight = words.weight

    def first(self, input_ids: Tensor, encoded: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        """All tokens at once, each seeing those before it."""
        length = input_ids.shape[1]
        x = self.words(input_ids) + self.places(torch.arange(length))
        later = torch.triu(torch.ones(length, length), 1)[None, None] * -1e9
        caches: list[Tensor] = []
        for layer in self.layers:
            y = layer.norms[0](x)
            own, cross = layer.attention.keys(y), layer.cross.keys(encoded)
            x = x + layer.attention(y, *own, later)
            x = x + layer.cross(layer.norms[2](x), *cross, masked(attention_mask))
            x = x + layer.feed(layer.norms[1](x))
            caches += [*own, *cross]
        return self.head(self.norm(x)), *caches

    def then(self, input_ids: Tensor, attention_mask: Tensor, past: Cache) -> tuple[Tensor, ...]:
        """One token more."""
        x = self.words(input_ids) + self.places(torch.arange(1) + past[0].shape[2])
        caches: list[Tensor] = []
        for index, layer in enumerate(self.layers):
            key, value, cross_key, cross_value = past[4 * index : 4 * index + 4]
            y = layer.norms[0](x)
            new = layer.attention.keys(y)
            own = torch.cat([key, new[0]], 2), torch.cat([value, new[1]], 2)
            x = x + layer.attention(y, *own, None)
            x = x + layer.cross(layer.norms[2](x), cross_key, cross_value, masked(attention_mask))
            x = x + layer.feed(layer.norms[1](x))
            caches += own
        return self.head(self.norm(x)), *caches


class First(nn.Module):
    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, input_ids: Tensor, encoder_hidden_states: Tensor, encoder_attention_mask: Tensor
    ) -> Any:
        return self.decoder.first(input_ids, encoder_hidden_states, encoder_attention_mask)


class Then(nn.Module):
    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, input_ids: Tensor, encoder_attention_mask: Tensor, past: list[Tensor]) -> Any:
        return self.decoder.then(input_ids, encoder_attention_mask, tuple(past))


def made(seed: int = 0) -> tuple[Encoder, Decoder]:
    torch.manual_seed(seed)
    words = nn.Embedding(WORDS, WIDTH)
    nn.init.normal_(words.weight, std=WIDTH**-0.5)
    return Encoder(words).eval(), Decoder(words).eval()


LETTERS, LONGEST = (3, WORDS), 7


def reversals(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Sources [count, 7] of letters, and targets [count, 8]: the letters backwards, then END."""
    sources = torch.randint(*LETTERS, (count, LONGEST), generator=torch.Generator().manual_seed(seed))
    return sources, torch.cat([sources.flip(1), torch.full((count, 1), END)], 1)


@cache
def trained(steps: int = 300) -> tuple[Encoder, Decoder]:
    """Trained to say what it reads backwards."""
    encoder, decoder = made()
    parts = nn.ModuleList([encoder, decoder]).train()
    optimizer = torch.optim.Adam(parts.parameters(), 3e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 50) * (1 - step / steps)
        sources, targets = reversals(64, step)
        mask = torch.ones_like(sources)
        given = torch.cat([torch.full((len(targets), 1), START), targets[:, :-1]], 1)
        logits = decoder.first(given, encoder(sources, mask), mask)[0]
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
    parts.eval()
    return encoder, decoder


def cached(kind: str) -> list[str]:
    """Names of the cache, as Hugging Face has them."""
    return [
        f"{kind}.{i}.{who}.{what}"
        for i in range(LAYERS)
        for who in ("decoder", "encoder")
        for what in ("key", "value")
    ]


def export(encoder: Encoder, decoder: Decoder, folder: Path, *, dynamo: bool = False) -> list[Path]:
    """The three files, in a folder that is there."""
    ids, mask = torch.ones(2, 7, dtype=torch.int64), torch.ones(2, 7, dtype=torch.int64)
    encoded = encoder(ids, mask)
    start = torch.ones(2, 3, dtype=torch.int64)
    past = list(decoder.first(start, encoded, mask)[1:])
    source = {0: "batch_size", 1: "encoder_sequence_length"}
    target = {0: "batch_size", 1: "decoder_sequence_length"}
    own, cross = (
        {0: "batch_size", 2: "past_decoder_sequence_length"},
        {0: "batch_size", 2: "encoder_sequence_length"},
    )
    pasts = {n: own if ".decoder." in n else cross for n in cached("past_key_values")}
    grown = [n for n in cached("present") if ".decoder." in n]
    paths = [folder / f"{name}.onnx" for name in ("encoder", "decoder", "decoder_with_past")]
    _export(encoder, (ids, mask), paths[0], ["input_ids", "attention_mask"], ["last_hidden_state"],
            {"input_ids": source, "attention_mask": source}, dynamo)  # fmt: skip
    _export(First(decoder), (start, encoded, mask), paths[1],
            ["input_ids", "encoder_hidden_states", "encoder_attention_mask"], ["logits", *cached("present")],
            {"input_ids": target, "encoder_hidden_states": source, "encoder_attention_mask": source},
            dynamo)  # fmt: skip
    _export(Then(decoder), (start[:, :1], mask, past), paths[2],
            ["input_ids", "encoder_attention_mask", *pasts], ["logits", *grown],
            {"input_ids": {0: "batch_size"}, "encoder_attention_mask": source, **pasts}, dynamo)  # fmt: skip
    return paths


def _export(
    module: nn.Module, arguments: tuple[Any, ...], path: Path, inputs: Sequence[str], outputs: Sequence[str],
    axes: dict[str, dict[int, str]], dynamo: bool,
) -> None:  # fmt: skip
    names: dict[str, Any] = {"input_names": list(inputs), "output_names": list(outputs)}
    if dynamo:
        flat = iter(axes.values())
        shapes = tuple([next(flat) for _ in a] if isinstance(a, list) else next(flat) for a in arguments)
        torch.onnx.export(module, arguments, str(path), dynamo=True, external_data=False, verbose=False,
                          dynamic_shapes=_dims(shapes), **names)  # fmt: skip
    else:
        torch.onnx.export(
            module, arguments, str(path), dynamo=False, opset_version=17, dynamic_axes=axes, **names
        )


def _dims(shapes: Any) -> Any:
    if isinstance(shapes, dict):
        return dict.fromkeys(shapes, torch.export.Dim.DYNAMIC)
    return type(shapes)(map(_dims, shapes))


@cache
def _exported(dynamo: bool) -> tuple[tuple[str, bytes], ...]:
    with tempfile.TemporaryDirectory() as folder:
        paths = export(*trained(), Path(folder), dynamo=dynamo)
        return tuple((path.name, path.read_bytes()) for path in paths)


def files(*, dynamo: bool = False) -> dict[str, onnx.ModelProto]:
    """The three graphs, by the names of their files."""
    return {name: onnx.ModelProto.FromString(content) for name, content in _exported(dynamo)}


def greedy(files: dict[str, Path], sources: np.ndarray, most: int = 10) -> list[list[int]]:
    """What the three files answer to each source in ONNX Runtime, a token at a time, END included."""
    sessions = {
        n: ort.InferenceSession(str(files[f"{n}.onnx"])) for n in ("encoder", "decoder", "decoder_with_past")
    }
    return [_greedy(sessions, source[None], most) for source in sources]


def _greedy(sessions: dict[str, ort.InferenceSession], ids: np.ndarray, most: int) -> list[int]:
    mask = np.ones_like(ids)
    (encoded,) = sessions["encoder"].run(None, {"input_ids": ids, "attention_mask": mask})
    start = {
        "input_ids": np.array([[START]]),
        "encoder_hidden_states": encoded,
        "encoder_attention_mask": mask,
    }
    logits, *presents = sessions["decoder"].run(None, start)
    past = dict(zip(cached("past_key_values"), presents, strict=True))
    tokens = [int(logits[0, -1].argmax())]
    while tokens[-1] != END and len(tokens) < most:
        feed = {"input_ids": np.array([tokens[-1:]]), "encoder_attention_mask": mask, **past}
        logits, *presents = sessions["decoder_with_past"].run(None, feed)
        past |= dict(zip((n for n in past if ".decoder." in n), presents, strict=True))
        tokens.append(int(logits[0, -1].argmax()))
    return tokens


def encoded(file: Path, sources: np.ndarray) -> np.ndarray:
    """What the encoder's file answers."""
    feed = {"input_ids": sources, "attention_mask": np.ones_like(sources)}
    return ort.InferenceSession(str(file)).run(None, feed)[0]
