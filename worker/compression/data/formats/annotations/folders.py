"""Classes by folder, as torchvision's `ImageFolder` has them: numbered in the order of the folders' names.

    [wrapping/][train|val|test/]CLASS/…/picture.jpg

Pictures are in `ImageFolder`'s order: by class, then by folder, then by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SPLITS: Final = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


@dataclass(frozen=True)
class Foldered:
    """Names in their order, with class numbers and, where the archive is split, the split of each."""

    names: list[str]
    classes: list[str]
    labels: list[int]
    splits: list[str] | None


def by_folder(names: Sequence[str]) -> Foldered | None:
    """Sort the names by the folders of their classes; None where a picture lies in none, or all in one."""
    depth = _common_depth(names)
    parts = [name.split("/")[depth:] for name in names]
    split = all(len(part) > 2 and part[0].lower() in SPLITS for part in parts)
    at = 1 if split else 0
    if any(len(part) < at + 2 for part in parts):
        return None
    classes = sorted({part[at] for part in parts})
    if len(classes) < 2:
        return None
    order = sorted(
        range(len(names)), key=lambda i: (parts[i][:at], parts[i][at], *_folder_and_name(names[i]))
    )
    number = {name: n for n, name in enumerate(classes)}
    return Foldered(
        [names[i] for i in order],
        classes,
        [number[parts[i][at]] for i in order],
        [parts[i][0] for i in order] if split else None,
    )


def _common_depth(names: Sequence[str]) -> int:
    """How many folders all pictures lie in: a wrapping one, or a split's where there is only one."""
    first, last = min(names).split("/")[:-1], max(names).split("/")[:-1]
    depth = 0
    while depth < min(len(first), len(last)) and first[depth] == last[depth]:
        depth += 1
    return depth


def _folder_and_name(name: str) -> tuple[str, str]:
    folder, _, own = name.rpartition("/")
    return folder, own
