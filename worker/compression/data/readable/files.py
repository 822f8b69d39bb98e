"""See which pictures and sounds can be read before any is needed: each is decoded once."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import numpy as np

from winnow.contract.errors import Refusal
from worker.compression.data.pictures.decode import BadPicture, check_picture, stored_size
from worker.compression.data.pictures.masks import decoded_mask
from worker.compression.data.scratch import Scratch
from worker.compression.data.sounds.decode import BadSound, check_sound, read_header
from worker.compression.data.table import Files, Table
from worker.compression.machine.threads import in_threads

CHECK_SECONDS: Final = 120
"""After these the rest of the pictures is checked by their headers; unless bad ones are to be skipped, for then which
ones are must not depend on the machine."""
AT_A_TIME: Final = 1024
MASK: Final = "mask"

Size = tuple[int, int]


@dataclass
class Checked:
    """What was seen of the pictures: why rows are bad, heights and widths by column (two of them where they differ),
    and how many pictures were checked by their headers alone."""

    bad: dict[int, str] = field(default_factory=dict)
    sizes: dict[str, set[Size]] = field(default_factory=dict)
    by_header: int = 0

    @property
    def notes(self) -> list[str]:
        """What was not looked at."""
        if not self.by_header:
            return []
        seconds, pictures = CHECK_SECONDS, self.by_header
        return [
            f"After {seconds} s, {pictures} pictures were left that were checked by their headers, not decoded."
        ]

    def faults(self) -> Iterator[tuple[int, str]]:
        """Yield the bad rows."""
        yield from self.bad.items()


def check_files(table: Table, *, all_decoded: bool) -> Checked:
    """Decode every picture; unless `all_decoded`, as many as there is time for."""
    checked = Checked()
    deadline = None if all_decoded else time.monotonic() + CHECK_SECONDS
    for name, files in _encoded(table).items():
        _check_column(name, files, checked, deadline)
    return checked


def known_bad(table: Table, skip_bad: float, scratch: Scratch) -> Checked:
    """Return the rows that inspection left out. Nothing is decoded where none was to be skipped; else all is, once for
    all that is opened in this scratch."""
    if not skip_bad or not _encoded(table):
        return Checked()
    known = scratch.file("bad pictures", "npy")
    if not known.exists():
        scratch.folder.mkdir(parents=True, exist_ok=True)
        np.save(known, np.array(sorted(check_files(table, all_decoded=True).bad), np.int64))
    return Checked({int(row): "its picture cannot be used" for row in np.load(known)})


def _encoded(table: Table) -> dict[str, Files]:
    return {name: column for name, column in table.columns.items() if isinstance(column, Files)}


def _check_column(name: str, files: Files, checked: Checked, deadline: float | None) -> None:
    decoding, by_header = _checks(name, files)
    sizes = checked.sizes.setdefault(name, set())
    for start in range(0, len(files), AT_A_TIME):
        rows = range(start, min(start + AT_A_TIME, len(files)))
        late = deadline is not None and time.monotonic() > deadline
        checked.by_header += len(rows) if late else 0
        check = partial(_checked, files, by_header if late else decoding)
        for row, size in zip(rows, in_threads(check, rows), strict=True):
            if isinstance(size, str):
                checked.bad.setdefault(row, f"{files.place(row)}: {size}")
            elif len(sizes) < 2:
                sizes.add(size)


def _checks(name: str, files: Files) -> tuple[Callable[[bytes], Size], Callable[[bytes], Size]]:
    """Return what decodes a file as a whole, and what reads its header."""
    if files.holds == "audio":
        return _sound_size, lambda content: (read_header(content).channels, read_header(content).rate)
    return (_mask_size if name == MASK else check_picture), stored_size


def _checked(files: Files, check: Callable[[bytes], Size], row: int) -> Size | str:
    """Height and width, or channels and rate of a sound; or why the file is bad."""
    try:
        return check(files.content(row))
    except (BadPicture, BadSound) as error:
        return str(error)
    except Refusal as refusal:  # a row without a file
        return refusal.problem.detail


def _sound_size(content: bytes) -> Size:
    header = check_sound(content)
    return header.channels, header.rate


def _mask_size(content: bytes) -> Size:
    mask = decoded_mask(content)
    return mask.height, mask.width
