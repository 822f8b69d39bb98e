"""Find the file that belongs to a picture: of its stem, in a folder beside that of the pictures."""

from collections.abc import Iterable, Sequence
from functools import cached_property
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


class Pictures:
    """Pictures of an archive by what a file beside them may call them."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def name(self, file: str, called: str) -> str | None:
        """Return the picture that `file` calls so: by a path from its own folder, by any end of a path, or either
        without the picture's ending. None where there is none, or several."""
        own = str(PurePosixPath(file).parent / called)
        for known in (self._whole, self._ends):
            for path in (own, called):
                if name := known.get(path):
                    return name
        return self._stems.get(own) or self._stems.get(called) or self._stem_ends.get(called)

    @cached_property
    def _whole(self) -> dict[str, str | None]:
        return {name: name for name in self._names}

    @cached_property
    def _ends(self) -> dict[str, str | None]:
        return _by_end((name, name) for name in self._names)

    @cached_property
    def _stems(self) -> dict[str, str | None]:
        known: dict[str, str | None] = {}
        for name in self._names:
            _add(known, _stem(name), name)
        return known

    @cached_property
    def _stem_ends(self) -> dict[str, str | None]:
        return _by_end((_stem(name), name) for name in self._names)


def _by_end(paths: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    """Map every end of the paths to the names; None where it is an end of several."""
    known: dict[str, str | None] = {}
    for path, name in paths:
        parts = path.split("/")
        for start in range(len(parts)):
            _add(known, "/".join(parts[start:]), name)
    return known


def _add(known: dict[str, str | None], key: str, name: str) -> None:
    known[key] = None if key in known else name


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
