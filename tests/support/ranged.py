"""Datasets of which not all is here, without a store: what is asked for is copied from the whole file, and counted."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from worker.compression.data.formats.opening import archive_index
from worker.compression.data.ranges import ranged
from worker.compression.data.ranges.ranged import CONTENT, INDEX, SUFFIX


@dataclass
class Lender:
    """`fetched` are the ranges that came, by the folder in a file's place."""

    wholes: dict[Path, Path] = field(default_factory=dict)
    fetched: dict[Path, set[tuple[int, int]]] = field(default_factory=dict)

    def lend(self, file: Path, folder: Path) -> Path:
        """Put a folder with holes in the place of the file; with an index where it is an archive."""
        place = folder / f"{hashlib.sha256(file.read_bytes()).hexdigest()}{SUFFIX}"
        place.mkdir(parents=True)
        with (place / CONTENT).open("xb") as content:
            content.truncate(file.stat().st_size)
        if (index := archive_index(file, folder, max_bytes=2**40)) is not None:
            index.rename(place / INDEX)
        self.wholes[place] = file
        return place

    def fetch(self, path: Path, start: int, end: int) -> None:
        with self.wholes[path].open("rb") as whole, (path / CONTENT).open("r+b") as content:
            whole.seek(start)
            content.seek(start)
            content.write(whole.read(end - start))
        self.fetched.setdefault(path, set()).add((start, end))

    def bytes_of(self, path: Path) -> int:
        return sum(end - start for start, end in self.fetched.get(path, ()))


@contextmanager
def lending() -> Iterator[Lender]:
    lender = Lender()
    ranged.ask(lender.fetch)
    try:
        yield lender
    finally:
        ranged._asked.clear()
