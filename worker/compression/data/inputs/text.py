"""Turn texts into numbers of tokens by the dataset's tokenizer, a file that nobody vouches for."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import numpy as np
from tokenizers import Encoding

from winnow.contract.declaration import TextInput
from winnow.contract.model import TensorSpec
from worker.compression.data.formats.tables.mapped import MappedTexts
from worker.compression.data.inputs.padding import Width, padded
from worker.compression.data.inputs.text_encoder import Encoder, refused, text_encoder
from worker.compression.data.table import Rows, Table
from worker.compression.ir.arrays import Array

Part = Literal["input_ids", "attention_mask", "token_type_ids"]
PARTS: Final[tuple[Part, ...]] = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class TextReader:
    """One part of the tokenizer's answer. `width` is what it is padded to."""

    encoder: Encoder
    part: Part
    width: Width
    model_length: int | None
    by_true_shape: bool = False
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.int64))
    unscaled: None = None

    @property
    def column(self) -> str:
        return self.encoder.how.columns[0]

    @property
    def unknown(self) -> int | None:
        """The number of the unknown token among those that it reads; None where there is none."""
        return self.encoder.unknown if self.part == "input_ids" else None

    @property
    def shape(self) -> tuple[int | None, ...]:
        return (self.width.fixed,)

    @property
    def rows_per_sample(self) -> int:
        return self.encoder.rows_per_sample

    def __len__(self) -> int:
        return min(map(len, self.encoder.columns))

    def read(self, rows: Rows) -> Array:
        """Raises `Refusal` `invalid_dataset` naming a row that has no text."""
        encodings = self.encoder.encodings(rows)
        values = [np.array(_part(encoding, self.part), np.int64) for encoding in encodings]
        length = self.width.of(max(map(len, values), default=1))
        pad = self.encoder.pad if self.part == "input_ids" else 0
        if self.encoder.at_end:
            return padded(values, [length], self.dtype, value=pad)
        flipped = padded([row[::-1] for row in values], [length], self.dtype, value=pad)
        return np.ascontiguousarray(flipped[:, ::-1])

    def row_shape(self, row: int) -> tuple[int, ...] | None:
        return self.true_shape(row) if self.by_true_shape else None

    def true_shape(self, row: int) -> tuple[int, ...]:
        return (self.encoder.length(row),)

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yield the rows that have no text, or more tokens than are taken where nothing may be cut off."""
        for name, texts in zip(self.encoder.how.columns, self.encoder.columns, strict=True):
            if isinstance(texts, MappedTexts):
                yield from ((int(row), f"{name!r} has no value") for row in texts.missing)
        yield from self.encoder.too_long

    def unpadded(self) -> "TextReader":
        width = self.width if self.model_length is not None else Width()
        return replace(self, encoder=self.encoder.single, by_true_shape=True, width=width)


def _part(encoding: Encoding, part: Part) -> list[int]:
    match part:
        case "input_ids":
            return encoding.ids
        case "attention_mask":
            return encoding.attention_mask
        case "token_type_ids":
            return encoding.type_ids


def text_reader(name: str, how: TextInput, table: Table, spec: TensorSpec | None) -> TextReader:
    """Make the reader of one part; `spec` is the model's input, where one is known.

    Raises `Refusal` `invalid_declaration`, and `invalid_dataset` for a tokenizer that is none.
    """
    model_length = fixed_length(spec)
    key = f"encoder {model_length} {how.model_copy(update={'part': None}).model_dump_json()}"
    if key not in table.shared:
        table.shared[key] = text_encoder(name, how, table, model_length)
    encoder: Encoder = table.shared[key]
    return TextReader(
        encoder,
        how.part or part_named(name),
        _width(name, how, encoder.declared_limit, spec),
        model_length,
    )


def part_named(name: str) -> Part:
    """The part that an input's name says, else `input_ids`."""
    return next((part for part in PARTS if part == name), "input_ids")


def fixed_length(spec: TensorSpec | None) -> int | None:
    """The number of tokens that a model's input fixes."""
    if spec is None or len(spec.shape) != 2:
        return None
    size = spec.shape[1 - (spec.batch_axis or 0)]
    return size if isinstance(size, int) else None


def _width(name: str, how: TextInput, limit: int | None, spec: TensorSpec | None) -> Width:
    """Say what rows are padded to; without a model that may be for the model to say."""
    model_length = fixed_length(spec)
    if how.pad_to == "max_length" and limit is not None:
        return Width(fixed=limit)
    if model_length is not None:
        return Width(fixed=model_length)
    match how.pad_to:
        case "longest":
            return Width()
        case "max_length" if spec is None:
            return Width()
        case "max_length":
            raise refused(
                name,
                "it is padded to max_length, and neither the declaration nor the tokenizer has one",
                ".max_length",
            )
        case multiple:
            return Width(multiple=multiple)
