"""Tell what an archive holds from the names in it."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final, Literal

PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})

ArchiveKind = Literal["arrays", "pictures", "tables"]


def archive_kind(names: Iterable[str]) -> ArchiveKind:
    """`arrays` is an `.npz`; where one picture lies in it, it is of pictures; else of tables, texts or sounds."""
    suffixes = {PurePosixPath(name).suffix.lower() for name in names}
    if suffixes <= {".npy"}:
        return "arrays"
    return "pictures" if suffixes & PICTURES else "tables"


def is_picture(name: str) -> bool:
    """Whether a name ends as those of pictures do."""
    return PurePosixPath(name).suffix.lower() in PICTURES
