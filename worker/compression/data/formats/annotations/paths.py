"""Find the file that belongs to a picture: of its stem, in a folder beside that of the pictures."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Final

IMAGE_FOLDERS: Final = ("images", "image", "imgs", "img", "JPEGImages")


def counterparts(name: str, folders: Sequence[str], suffix: str) -> list[str]:
    """Return where a file of this picture may lie: a folder of pictures in its path replaced, or a folder beside it."""
    path = PurePosixPath(name).with_suffix(suffix)
    parts = path.parts
    at = [i for i, part in enumerate(parts[:-1]) if part in IMAGE_FOLDERS]
    places = [
        PurePosixPath(*parts[:i], folder, *parts[i + 1 :]) for i in reversed(at) for folder in folders
    ] or [PurePosixPath(*parts[:-1], folder, parts[-1]) for folder in folders]
    return [str(place) for place in places]


def by_any_name(names: Iterable[str]) -> dict[str, str | None]:
    """Map paths, and bare names where they are of one file only, to the names; None where they are of several."""
    known: dict[str, str | None] = {}
    for name in names:
        parts = name.split("/")
        for start in range(len(parts)):
            end = "/".join(parts[start:])
            known[end] = name if end not in known else None
    return known
