"""Turn texts into numbers of tokens by the dataset's tokenizer, a file that nobody vouches for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
from tokenizers import Encoding, Tokenizer

from winnow.contract import fitting
from winnow.contract.declaration import TextInput
from winnow.contract.errors import Refusal
from winnow.contract.model import TensorSpec
from worker.compression.data.formats.mapped import MappedTexts
from worker.compression.data.inputs.padding import Width, padded
from worker.compression.data.table import Array, Rows, Table, Texts

Part = Literal["input_ids", "attention_mask", "token_type_ids"]
PARTS: Final[tuple[Part, ...]] = ("input_ids", "attention_mask", "token_type_ids")
PAD_TOKENS: Final = ("[PAD]", "<pad>", "<|endoftext|>")


@dataclass
class Encoder:
    """Encodes rows; the last batch is kept, because each part of it is asked for."""

    tokenizer: Tokenizer
    columns: list[Texts]
    how: TextInput
    limit: int | None
    declared_limit: int | None
    pad: int
    at_end: bool
    lengths: dict[int, int] = field(default_factory=dict)
    _last: tuple[list[int], list[Encoding]] = field(default_factory=lambda: ([], []))

    @property
    def rows_per_sample(self) -> int:
        return len(self.columns) if self.how.pair == "apart" else 1

    @cached_property
    def single(self) -> "Encoder":
        """The same for texts one by one: of two that are `apart`, row 2i is the first one of sample i, 2i + 1 the
        other."""
        if self.rows_per_sample == 1:
            return self
        return replace(self, columns=[Alternating(self.columns)], lengths={}, _last=([], []))

    def encodings(self, rows: Rows) -> list[Encoding]:
        """Encode rows, `rows_per_sample` each. Raises `Refusal` `invalid_dataset` for a text that is too long."""
        numbers = [int(row) for row in rows]
        last, encodings = self._last
        if numbers != last:
            encodings = self._encoded(rows)
            self._check(numbers, encodings)
            self._last = numbers, encodings
        return encodings

    def length(self, row: int) -> int:
        """Count the tokens of a row, of the longer one of two."""
        if row not in self.lengths:
            self.lengths[row] = max(len(e) for e in self.encodings(np.array([row], np.int64)))
        return self.lengths[row]

    def _encoded(self, rows: Rows) -> list[Encoding]:
        texts = [column.texts(rows) for column in self.columns]
        pairs: Sequence[Any] = list(zip(*texts, strict=True))
        if len(self.columns) == 1 or self.how.pair == "apart":
            pairs = [text for pair in pairs for text in pair]
        try:
            encodings: list[Encoding] = self.tokenizer.encode_batch(pairs)
        except Exception as error:  # the tokenizer's own file says what can go wrong
            raise Refusal(
                "invalid_dataset", f"The tokenizer cannot encode the texts: {str(error)[:200]}."
            ) from error
        return encodings

    def _check(self, rows: list[int], encodings: list[Encoding]) -> None:
        for number, encoding in enumerate(encodings):
            if self.limit is not None and len(encoding) > self.limit:
                row = rows[number // self.rows_per_sample]
                raise Refusal(
                    "invalid_dataset",
                    f"Row {row} of {self.how.columns[0]!r} has {len(encoding)} tokens, and {self.limit} are taken. "
                    "Declare truncate: true, a larger max_length, or leave the row out.",
                )


@dataclass(frozen=True)
class Alternating:
    """Two columns of texts as one, row by row in turns."""

    columns: list[Texts]

    def __len__(self) -> int:
        return sum(map(len, self.columns))

    def texts(self, rows: Rows) -> list[str]:
        width = len(self.columns)
        return [self.columns[int(row) % width].texts(np.array([int(row) // width]))[0] for row in rows]


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
    def shape(self) -> tuple[int | None, ...]:
        return (self.width.fixed,)

    @property
    def rows_per_sample(self) -> int:
        return self.encoder.rows_per_sample

    def __len__(self) -> int:
        return min(map(len, self.encoder.columns))

    def read(self, rows: Rows) -> Array:
        """Raises `Refusal` `invalid_dataset` naming a row that has no text, or too many tokens."""
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
        """Yield the rows that have no text."""
        for name, texts in zip(self.encoder.how.columns, self.encoder.columns, strict=True):
            if isinstance(texts, MappedTexts):
                yield from ((int(row), f"{name!r} has no value") for row in texts.missing)

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


def open_tokenizer(content: bytes) -> Tokenizer:
    """Parse a `tokenizer.json`. Raises `Refusal` `invalid_dataset`."""
    try:
        return Tokenizer.from_buffer(content)
    except Exception as error:  # the library's own errors have no common base
        raise Refusal(
            "invalid_dataset",
            f"The archive's tokenizer.json is no tokenizer of Hugging Face's tokenizers: {str(error)[:200]}. Save it "
            "with Tokenizer.save.",
        ) from error


def text_reader(name: str, how: TextInput, table: Table, spec: TensorSpec | None) -> TextReader:
    """Make the reader of one part; `spec` is the model's input, where one is known.

    Raises `Refusal` `invalid_declaration`, and `invalid_dataset` for a tokenizer that is none.
    """
    model_length = fixed_length(spec)
    key = f"encoder {model_length} {how.model_copy(update={'part': None}).model_dump_json()}"
    if key not in table.shared:
        table.shared[key] = _encoder(name, how, table, model_length)
    encoder: Encoder = table.shared[key]
    return TextReader(
        encoder,
        how.part or part_named(name),
        _width(name, how, encoder.declared_limit, spec),
        model_length,
    )


def _encoder(name: str, how: TextInput, table: Table, model_length: int | None) -> Encoder:
    if table.tokenizer is None:
        raise _refused(name, "texts need a tokenizer.json beside them: upload an archive of both")
    columns = [_texts(name, key, table) for key in how.columns]
    tokenizer = open_tokenizer(table.tokenizer)
    padding, own = tokenizer.padding or {}, (tokenizer.truncation or {}).get("max_length")
    declared = how.max_length or own
    limits = [length for length in (declared, model_length) if length is not None]
    limit = min(limits, default=None)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if how.truncate and limit is not None:
        specials = tokenizer.num_special_tokens_to_add(len(columns) == 2 and how.pair == "together")
        if limit <= specials:
            raise _refused(
                name,
                f"{limit} tokens leave no room beside the {specials} that the tokenizer adds",
                ".max_length",
            )
        tokenizer.enable_truncation(limit)
    known = (tokenizer.token_to_id(token) for token in PAD_TOKENS)
    pad = padding.get("pad_id", next((number for number in known if number is not None), 0))
    return Encoder(
        tokenizer, columns, how, limit, declared, int(pad), padding.get("direction", "right") == "right"
    )


def _texts(name: str, key: str, table: Table) -> Texts:
    column = table.columns.get(key)
    if not isinstance(column, Texts):
        texts = [other for other, values in table.columns.items() if isinstance(values, Texts)]
        raise _refused(name, f"{key!r} is no column of text; these are: {fitting.listed(texts)}", ".columns")
    return column


def _refused(name: str, why: str, key: str = "") -> Refusal:
    return Refusal("invalid_declaration", f"Input {name!r}: {why}.", field=f"declaration.inputs.{name}{key}")


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
            raise _refused(
                name,
                "it is padded to max_length, and neither the declaration nor the tokenizer has one",
                ".max_length",
            )
        case multiple:
            return Width(multiple=multiple)
