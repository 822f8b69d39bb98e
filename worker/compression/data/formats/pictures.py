"""Read an archive of pictures as a table: `image`, `file`, and what the archive says of each picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from worker.compression.data.formats.annotations.folders import by_folder
from worker.compression.data.formats.archive import Archive
from worker.compression.data.formats.archive_kind import is_picture
from worker.compression.data.table import Column, Rows, Table


@dataclass(frozen=True)
class Members:
    """Members of an archive as a column of files."""

    archive: Archive
    numbers: npt.NDArray[np.int64]
    holds: Literal["image", "audio"] = "image"

    def __len__(self) -> int:
        return len(self.numbers)

    def content(self, row: int, /) -> bytes:
        return self.archive.content(int(self.numbers[row]))

    def place(self, row: int, /) -> str:
        return self.archive.names[int(self.numbers[row])]


@dataclass(frozen=True)
class Names:
    """A column of words that are in memory."""

    words: Sequence[str]

    def __len__(self) -> int:
        return len(self.words)

    def texts(self, rows: Rows, /) -> list[str]:
        return [self.words[int(row)] for row in rows]


def pictures_table(archive: Archive) -> Table:
    """Tell the archive's structure from its names. Raises `Refusal` `invalid_dataset`, `unsafe_archive`."""
    numbers = {name: number for number, name in enumerate(archive.names)}
    names = [name for name in archive.names if is_picture(name)]
    foldered = by_folder(names)
    if foldered is None:
        return Table({"image": Members(archive, np.array([numbers[n] for n in names])), "file": Names(names)})
    image = Members(archive, np.array([numbers[name] for name in foldered.names]))
    columns: dict[str, Column] = {
        "image": image,
        "file": Names(foldered.names),
        "label": np.array(foldered.labels),
    }
    if foldered.splits is not None:
        columns["split"] = Names(foldered.splits)
    return Table(columns, classes=foldered.classes)
