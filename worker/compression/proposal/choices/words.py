"""Choices for inputs that are made of texts, tables and sounds."""

import io
from typing import Final

import numpy as np
import soundfile

from winnow.contract.declaration import AudioInput, TableInput, TextInput
from winnow.contract.model import ModelFacts, TensorSpec
from worker.compression.data.inputs.array import NUMERIC
from worker.compression.data.table import Files, Table, Texts
from worker.compression.proposal.choices.choice import Choice, Reason
from worker.compression.proposal.targets import looks_like_labels

PARTS: Final = ("input_ids", "attention_mask", "token_type_ids")
TABLE_AXES: Final = 2

USUAL_WINDOW: Final = 512
"""Numbers of a sound: 32 ms at 16 kHz, as speech models take them."""


def text_choices(model: ModelFacts, spec: TensorSpec, table: Table) -> list[Choice]:
    """List how the texts can be the tokens of that input; none without a tokenizer."""
    columns = [
        name
        for name, column in table.columns.items()
        if isinstance(column, Texts) and name != "file" and not looks_like_labels(name)
    ]
    if table.tokenizer is None or not columns or not spec.dtype.startswith("int"):
        return []
    segments = any(other.name == "token_type_ids" for other in model.inputs)
    chosen = columns[:2]
    reasons = [
        Reason("", True, "tokens of the dataset's own tokenizer, which the model takes by these names")
    ]
    if len(columns) > 1:
        how = "one sequence" if segments else "two sequences, whose outputs are compared"
        reasons.append(Reason("columns", False, f"{len(columns)} columns of texts; the first two, as {how}"))
    pair = "together" if segments or len(columns) == 1 else "apart"
    return [Choice(TextInput(source="text", columns=chosen, pair=pair), "tokens", 0, reasons)]


def table_choices(spec: TensorSpec, table: Table) -> list[Choice]:
    """List how columns of numbers side by side can be that input."""
    columns = [
        name
        for name, column in table.arrays.items()
        if column.ndim == 1 and column.dtype.kind in NUMERIC and not looks_like_labels(name)
    ]
    if len(spec.shape) != TABLE_AXES or not spec.dtype.startswith("float") or len(columns) < 2:
        return []
    width = spec.shape[1]
    if isinstance(width, int) and width != len(columns):
        return []
    sure = isinstance(width, int)
    because = f"{len(columns)} columns of numbers besides the labels, in their order"
    how = TableInput(source="table", columns=columns)
    return [Choice(how, "numbers as they are", 0, [Reason("columns", sure, because)])]


def sound_choices(spec: TensorSpec, name: str, files: Files, *, carries: bool) -> list[Choice]:
    """List how sounds can be that input; in windows where the model `carries` a state from one to the next."""
    if not spec.dtype.startswith("float") or len(spec.shape) not in (2, 3) or not len(files):
        return []
    first = soundfile.info(io.BytesIO(files.content(0)))
    last = spec.shape[-1]
    length = last if isinstance(last, int) else USUAL_WINDOW if carries else int(first.frames)
    hop = length if (carries or isinstance(last, int)) and first.frames >= 2 * length else None
    usual = "a usual window of models that carry a state" if carries else "that of the first sound"
    how = AudioInput(
        source="audio",
        column=name,
        rate=int(first.samplerate),
        length=length,
        hop=hop,
        add_axis=1 if len(spec.shape) == 3 else None,
    )
    reasons = [
        Reason("", True, f"the only sounds, and {spec.name!r} takes a row of numbers"),
        Reason(
            "rate", False, f"that of the first sound, {first.samplerate} a second; the model may want another"
        ),
        Reason(
            "length",
            isinstance(last, int),
            "the model's" if isinstance(last, int) else usual,
        ),
    ]
    return [Choice(how, "numbers from -1 to 1", 0, reasons)]


def tokens_beyond(model: ModelFacts, name: str, largest: int) -> str | None:
    """Say so where a token has no row in any table of the model."""
    tables = [layer.weight[0] for layer in model.layers if layer.op == "Gather" and layer.weight]
    if not tables or largest < max(tables):
        return None
    return (
        f"Input {name!r} gets the number {largest}, but the largest table of the model has {max(tables)} rows: the "
        "tokens are those of another vocabulary. Put the model's own tokenizer.json into the dataset."
    )


def largest_of(x: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> int | None:
    """Return the largest of whole numbers; None of others."""
    return int(np.max(x)) if x.size and x.dtype.kind in "iu" else None
