"""Classes by folder, as torchvision's `ImageFolder` has them: numbered in the order of the folders' names.

    [wrapping/][train|val|test/]CLASS/…/picture.jpg

Pictures are in `ImageFolder`'s order: by class, then by folder, then by name.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from worker.compression.data.formats.annotations.annotated import Annotated
from worker.compression.data.table import Column, Words

SPLITS: Final = frozenset({"train", "training", "val", "valid", "validation", "test", "testing"})


def by_folder(names: Sequence[str]) -> Annotated | None:
    """Sort the names by the folders of their classes; None where a picture lies in none, or all in one."""
    if not names:
        return None
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
    columns: dict[str, Column] = {"label": np.array([number[parts[i][at]] for i in order], np.int64)}
    if split:
        columns["split"] = Words([parts[i][0] for i in order])
    return Annotated("folder", [names[i] for i in order], columns, classes)


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
