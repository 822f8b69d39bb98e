"""Decode WAV and FLAC by libsndfile, within bounds, and make one channel of the rate that is asked for."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import soundfile

from worker.compression.ir.arrays import Array

MAX_NUMBERS: Final = 2**26
"""Of one sound in all of its channels: 35 minutes of two at 16 kHz, 256 MiB decoded. Silence packs a thousandfold."""
BLOCK: Final = 2**16
FORMATS: Final = ("WAV", "WAVEX", "FLAC")
MAX_RATE: Final = 1_000_000
STREAMED: Final = (0, 2**32 - 1)
"""What stands for the size where it was not known when the header was written."""
FILTER_REACH: Final = 16
"""Samples of the slower rate that `resample_poly` looks at to each side are 10."""


class BadSound(ValueError):
    """The file cannot be read; the message is a clause that says why."""


@dataclass(frozen=True)
class SoundHeader:
    """`frames` numbers in each channel, `rate` of them a second."""

    frames: int
    channels: int
    rate: int

    def frames_at(self, rate: int) -> int:
        """How many there are after resampling."""
        return math.ceil(self.frames * rate / self.rate)


def read_header(content: bytes) -> SoundHeader:
    """Read how long a sound is. Raises `BadSound`."""
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            header, kind = SoundHeader(file.frames, file.channels, file.samplerate), file.format
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        raise BadSound(f"it is no WAV or FLAC that can be read ({str(error)[:100]})") from error
    if kind != "FLAC":
        _check_wav(content)
    if kind not in FORMATS:
        raise BadSound(f"it is {kind}; WAV and FLAC are read")
    if header.frames <= 0 or not 0 < header.rate <= MAX_RATE:
        raise BadSound(f"it has {header.frames} samples at {header.rate} a second")
    if header.frames * header.channels > MAX_NUMBERS:
        raise BadSound(f"it has {header.frames * header.channels} samples, more than {MAX_NUMBERS}")
    return header


def _check_wav(content: bytes) -> None:
    """Check that the samples are as many bytes as their chunk says: libsndfile reads what is there without a word."""
    at = 12
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        at += 8
        if name == b"data" and size not in STREAMED and at + size > len(content):
            raise BadSound(
                f"it is cut short: its header says {size} bytes of samples, and {len(content) - at} follow"
            )
        at += size + size % 2


def check_sound(content: bytes) -> SoundHeader:
    """Decode a sound to its end, a block at a time. Raises `BadSound`, also for one that is cut short."""
    header = read_header(content)
    _check_length(header, sum(len(block) for block in _blocks(content)))
    return header


def decode_sound(content: bytes, rate: int, frames: int | None = None) -> Array:
    """Decode a sound as float32, the mean of its channels, resampled to `rate`; its beginning alone with `frames`.

    Raises `BadSound`.
    """
    header = read_header(content)
    wanted = header.frames if frames is None else min(header.frames, _needed(header, rate, frames))
    mono, done = np.empty(wanted, np.float32), 0
    for block in _blocks(content):
        part = block.mean(axis=1)[: wanted - done]
        mono[done : done + len(part)] = part
        done += len(part)
        if done == wanted:
            break
    _check_length(SoundHeader(wanted, header.channels, header.rate), done)
    return _resampled(mono, header.rate, rate)[: header.frames_at(rate) if frames is None else frames]


def _needed(header: SoundHeader, rate: int, frames: int) -> int:
    """Frames of the file for so many after resampling, with those that the filter looks at behind them."""
    return math.ceil(frames * header.rate / rate) + FILTER_REACH * (header.rate // rate + 1)


def _blocks(content: bytes) -> Iterator[Array]:
    """Yield float32 [frames, channels]."""
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                yield block
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise BadSound(f"it cannot be decoded ({str(error)[:100]})") from error


def _check_length(header: SoundHeader, decoded: int) -> None:
    if decoded != header.frames:
        raise BadSound(f"its header says {header.frames} samples, and {decoded} can be decoded")


def _resampled(x: Array, old: int, new: int) -> Array:
    if old == new:
        return x
    from scipy.signal import resample_poly  # takes a second to import

    step = math.gcd(old, new)
    return np.asarray(resample_poly(x, new // step, old // step), np.float32)
