"""Turn sounds into a model's input: one channel, one rate, cut or padded to one length, or cut into windows."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from winnow.contract.declaration import AudioInput
from winnow.contract.errors import Refusal
from worker.compression.data.inputs.array import check_channels, scaled
from worker.compression.data.scratch import Scratch
from worker.compression.data.sounds.decode import BadSound, decode_sound, read_header
from worker.compression.data.table import Files, Rows
from worker.compression.ir.arrays import Array


@dataclass(frozen=True)
class AudioReader:
    """Windows of sounds, row by row; `ends` says behind which row each file ends."""

    files: Files
    column: str
    how: AudioInput
    shape: tuple[int | None, ...]
    ends: Array
    decoded: "Decoded"
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(np.float32))
    rows_per_sample: int = 1
    unscaled: None = None

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    @property
    def sources(self) -> Array:
        """Of each row the number of its file."""
        return np.repeat(np.arange(len(self.ends)), np.diff(self.ends, prepend=0))

    def read(self, rows: Rows) -> Array:
        """Raises `Refusal` `invalid_dataset` naming the file that cannot be decoded."""
        x = np.zeros((len(rows), self.how.length), np.float32)
        for window, row in zip(x, rows, strict=True):
            file = int(np.searchsorted(self.ends, row, side="right"))
            number = int(row) - (int(self.ends[file - 1]) if file else 0)
            start = number * (self.how.hop or self.how.length)
            part = self.decoded.sound(file)[start : start + self.how.length]
            window[: len(part)] = part
        x = scaled(x, self.how)
        return x if self.how.add_axis is None else np.expand_dims(x, self.how.add_axis)

    def row_shape(self, row: int) -> tuple[int, ...] | None:
        return None


class Decoded:
    """Decodes files; the last ones are kept, because windows of one file are read one behind the other."""

    def __init__(self, files: Files, how: AudioInput) -> None:
        self._files, self._how = files, how
        self.sound = lru_cache(2)(self._sound)

    def _sound(self, file: int) -> Array:
        try:
            frames = None if self._how.hop else self._how.length
            return decode_sound(self._files.content(file), self._how.rate, frames)
        except BadSound as error:
            raise Refusal("invalid_dataset", f"Sound {self._files.place(file)}: {error}.") from error

    def windows(self, file: int) -> int:
        """Count the windows of a file, the last one padded; of one that cannot be read there is one, which is bad."""
        assert self._how.hop is not None
        try:
            frames = read_header(self._files.content(file)).frames_at(self._how.rate)
        except (BadSound, Refusal):
            return 1
        return 1 + max(0, -(-(frames - self._how.length) // self._how.hop))


def audio_reader(
    name: str, files: Files, column: str, how: AudioInput, scratch: Scratch | None
) -> AudioReader:
    """Make the reader of one declared input; how many windows each file has is kept in `scratch`.

    Raises `Refusal` `invalid_declaration`.
    """
    shape: tuple[int, ...] = (1, how.length)
    if how.add_axis is not None:
        if how.add_axis % 3 == 0 or not -3 <= how.add_axis < 3:
            raise Refusal(
                "invalid_declaration",
                f"Input {name!r}: add_axis {how.add_axis} must lie behind the batch axis of [sounds, {how.length}].",
                field=f"declaration.inputs.{name}.add_axis",
            )
        shape = np.expand_dims(np.broadcast_to(np.float32(0), shape), how.add_axis).shape
    check_channels(name, how, (1, how.length))
    decoded = Decoded(files, how)
    return AudioReader(files, column, how, shape[1:], _ends(files, column, how, decoded, scratch), decoded)


def _ends(files: Files, column: str, how: AudioInput, decoded: Decoded, scratch: Scratch | None) -> Array:
    """Add up the windows of the files; their headers are read once for all that is opened in this scratch."""
    if how.hop is None:
        return np.arange(1, len(files) + 1)
    known = None if scratch is None else scratch.file(f"windows {column} {how.model_dump_json()}", "npy")
    if known is not None and known.exists():
        return np.asarray(np.load(known))
    ends = np.cumsum([decoded.windows(file) for file in range(len(files))], dtype=np.int64)
    if known is not None:
        known.parent.mkdir(parents=True, exist_ok=True)
        np.save(known, ends)
    return ends
