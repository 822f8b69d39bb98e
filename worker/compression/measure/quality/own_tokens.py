"""The labels of a language model that has none: the tokens that it reads, each judged where it is the next one.

label[i] = token[i + shift]     where both places hold tokens, else -1, which does not count
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from worker.compression.data.inputs.padding import PaddingReader
from worker.compression.data.inputs.text import TextReader
from worker.compression.data.model_inputs import Column
from worker.compression.data.samples import Samples
from worker.compression.ir.arrays import Array

TOKENS: Final = "input_ids"
MASK: Final = "attention_mask"
BESIDE_TOKENS: Final = frozenset({MASK, "token_type_ids", "position_ids"})
NEXT: Final = 1


@dataclass(frozen=True)
class OwnTokens:
    """Indexed by rows like labels that lie in memory. `mask`: the column that says which places hold tokens."""

    tokens: Column
    mask: Column | None
    shift: int

    def __getitem__(self, rows: Array | slice) -> Array:
        rows = np.arange(rows.start, rows.stop) if isinstance(rows, slice) else rows
        tokens = np.asarray(self.tokens.reader.read(rows), np.int64)
        holds = self._holds(rows, tokens.shape)
        labels = np.full(tokens.shape, -1, np.int64)
        both = holds[:, : -self.shift] & holds[:, self.shift :]
        labels[:, : -self.shift] = np.where(both, tokens[:, self.shift :], -1)
        return labels

    def _holds(self, rows: Array, shape: tuple[int, ...]) -> Array:
        """Whether a place holds a token, and no padding."""
        if self.mask is not None:
            return np.asarray(self.mask.reader.read(rows)) > 0
        reader = self.tokens.reader
        if not isinstance(reader, PaddingReader):
            return np.ones(shape, bool)
        lengths = np.array([[reader.true_shape(int(row))[0]] for row in rows])
        at_end = not isinstance(reader, TextReader) or reader.encoder.at_end
        places: Array = np.arange(shape[1])[None]
        return places < lengths if at_end else places >= shape[1] - lengths


def own_tokens(samples: Samples, shift: int) -> OwnTokens | None:
    """Return the tokens that a model reads as its labels, `shift` places later, or the next one where that is 0; None
    where no input, or more than one, can be the tokens."""
    columns: dict[str, Column] = {column.spec.name: column for column in samples.columns}
    tokens = {name: column for name, column in columns.items() if _are_tokens(column)}
    column = tokens.get(TOKENS) or (next(iter(tokens.values())) if len(tokens) == 1 else None)
    return None if column is None else OwnTokens(column, columns.get(MASK), shift or NEXT)


def _are_tokens(column: Column) -> bool:
    kind: Any = column.reader.dtype.kind
    one_row = column.reader.rows_per_sample == 1 and len(column.reader.shape) == 1
    return kind in "iu" and one_row and not column.whole and column.spec.name not in BESIDE_TOKENS
