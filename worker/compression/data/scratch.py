"""Where what was unpacked or decoded of a dataset lies, and how much of it may."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Scratch:
    """`dataset` tells the datasets in one folder apart; `max_bytes` is for each kind of file in it."""

    folder: Path
    dataset: str
    max_bytes: int

    def file(self, what: str, suffix: str) -> Path:
        """Return the file for what is kept of the dataset under this name."""
        key = hashlib.sha256(f"{self.dataset}|{what}".encode()).hexdigest()[:32]
        return self.folder / f"{key}.{suffix}"


def scratch_of(path: Path, folder: Path, max_bytes: int) -> Scratch:
    """The place in `folder` for what comes of the dataset at `path`."""
    return Scratch(folder, identity(path), max_bytes)


def identity(path: Path) -> str:
    """Tell files apart by place, size and time of change."""
    facts = path.stat()
    key = f"{path.resolve()}|{facts.st_size}|{facts.st_mtime_ns}"
    return hashlib.sha256(key.encode()).hexdigest()[:32]
