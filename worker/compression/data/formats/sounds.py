"""Sound files as a column of sounds: a single one, or those of an archive."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

import numpy as np

from winnow.contract.errors import Refusal
from worker.compression.data.table import Column, Table, Words

SOUND: Final = "audio"
MAX_FILE_BYTES: Final = 2**30
"""Of one sound: it is decoded from memory."""


@dataclass(frozen=True)
class SoundFiles:
    """`names` are those in the archive."""

    names: list[str]
    paths: list[Path]
    holds: Literal["audio"] = "audio"

    def __len__(self) -> int:
        return len(self.paths)

    def content(self, row: int) -> bytes:
        if self.paths[row].stat().st_size > MAX_FILE_BYTES:
            raise Refusal("invalid_dataset", f"{self.place(row)} has more than {MAX_FILE_BYTES} bytes.")
        return self.paths[row].read_bytes()

    def place(self, row: int) -> str:
        return self.names[row][-80:]


def single_sound(path: Path) -> Table:
    return Table({SOUND: SoundFiles(["the file"], [path])})


def sounds(names: list[str], paths: list[Path]) -> Table:
    """Make a table of files: `audio`, `file`, and where all of them lie in folders `label`, the folder's number."""
    folders = [PurePosixPath(name).parent.name for name in names]
    classes = sorted(set(folders))
    columns: dict[str, Column] = {SOUND: SoundFiles(names, paths), "file": Words(names)}
    if len(classes) < 2:
        return Table(columns)
    columns["label"] = np.array([classes.index(folder) for folder in folders], np.int64)
    return Table(columns, classes)
