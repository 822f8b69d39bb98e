"""Encode texts by the dataset's tokenizer, a file that nobody vouches for."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
from tokenizers import Encoding, Tokenizer

from winnow.contract import fitting
from winnow.contract.declaration import TextInput
from winnow.contract.errors import Refusal
from worker.compression.data.formats.tables.mapped import MappedTexts
from worker.compression.data.table import Rows, Table, Texts

PAD_TOKENS: Final = ("[PAD]", "<pad>", "<|endoftext|>")
LONGER: Final = "declare truncate: true, or a larger max_length"
AT_A_TIME: Final = 1024
"""Rows that are counted together."""


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
    def unknown(self) -> int | None:
        """The number of the token that stands for words that the vocabulary lacks, as [UNK]; None where there is
        none."""
        model = json.loads(self.tokenizer.to_str())["model"]
        named, number = model.get("unk_token"), model.get("unk_id")
        return self.tokenizer.token_to_id(named) if named is not None else number

    @cached_property
    def single(self) -> "Encoder":
        """The same for texts one by one: of two that are `apart`, row 2i is the first one of sample i, 2i + 1 the
        other."""
        if self.rows_per_sample == 1:
            return self
        return replace(self, columns=[Alternating(self.columns)], lengths={}, _last=([], []))

    def encodings(self, rows: Rows) -> list[Encoding]:
        """Encode rows, `rows_per_sample` each. Raises `Refusal` `invalid_dataset`."""
        numbers = [int(row) for row in rows]
        last, encodings = self._last
        if numbers != last:
            encodings = self._encoded(rows)
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
        except BaseException as error:  # the library's panics are no `Exception`
            _check_own(error)
            raise Refusal(
                "invalid_dataset", f"The tokenizer cannot encode the texts: {str(error)[:200]}."
            ) from error
        return encodings

    @cached_property
    def too_long(self) -> list[tuple[int, str]]:
        """The rows with more tokens than are taken, and why; none where the rest is cut off. Reads all texts."""
        if self.limit is None or self.how.truncate:
            return []
        missing = [column.missing for column in self.columns if isinstance(column, MappedTexts)]
        rows = np.setdiff1d(np.arange(min(map(len, self.columns))), np.concatenate([*missing, [-1]]))
        batches = (rows[start : start + AT_A_TIME] for start in range(0, len(rows), AT_A_TIME))
        return [fault for batch in batches for fault in self._longer(batch, self.limit)]

    def _longer(self, rows: Rows, limit: int) -> Iterator[tuple[int, str]]:
        names = ", ".join(map(repr, self.how.columns))
        longest = (
            np.array([len(encoding) for encoding in self._encoded(rows)]).reshape(len(rows), -1).max(axis=1)
        )
        for row, length in zip(rows, longest, strict=True):
            if length > limit:
                yield int(row), f"{names} has {length} tokens, and {limit} are taken ({LONGER})"


@dataclass(frozen=True)
class Alternating:
    """Two columns of texts as one, row by row in turns."""

    columns: list[Texts]

    def __len__(self) -> int:
        return sum(map(len, self.columns))

    def texts(self, rows: Rows) -> list[str]:
        width = len(self.columns)
        return [self.columns[int(row) % width].texts(np.array([int(row) // width]))[0] for row in rows]


def text_encoder(name: str, how: TextInput, table: Table, model_length: int | None) -> Encoder:
    """Make what encodes the texts of an input; `model_length` is the length that the model fixes.

    Raises `Refusal` `invalid_declaration`, and `invalid_dataset` for a tokenizer that is none.
    """
    if table.tokenizer is None:
        raise refused(name, "texts need a tokenizer.json beside them: upload an archive of both")
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
            raise refused(
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
        raise refused(name, f"{key!r} is no column of text; these are: {fitting.listed(texts)}", ".columns")
    return column


def refused(name: str, why: str, key: str = "") -> Refusal:
    """Say why an input cannot be made of texts."""
    return Refusal("invalid_declaration", f"Input {name!r}: {why}.", field=f"declaration.inputs.{name}{key}")


def _check_own(error: BaseException) -> None:
    """Pass on what does not come of the tokenizer."""
    if isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
        raise error


def open_tokenizer(content: bytes) -> Tokenizer:
    """Parse a `tokenizer.json`. Raises `Refusal` `invalid_dataset`."""
    try:
        return Tokenizer.from_buffer(content)
    except BaseException as error:  # the library's panics are no `Exception`
        _check_own(error)
        raise Refusal(
            "invalid_dataset",
            f"The archive's tokenizer.json is no tokenizer of Hugging Face's tokenizers: {str(error)[:200]}. Save it "
            "with Tokenizer.save.",
        ) from error
