"""Which column holds the labels."""

import re
from collections.abc import Iterable
from typing import Final

from winnow.contract.declaration import ArrayTarget, ColumnTarget, Declaration, TargetDeclaration
from winnow.contract.inquiry import ProposedPart
from worker.compression.data.declared import completed
from worker.compression.data.table import Table, Texts

LABELS: Final = re.compile(
    r"(labels?|targets?|y|class(es)?|class_?id|category|sentiment|score)(_.*)?", re.IGNORECASE
)
PICTURES: Final = {
    "folder": "each picture lies in the folder of its class",
    "coco": "the archive has annotations of COCO",
    "yolo": "the archive has YOLO's text files",
    "voc": "the archive has Pascal VOC's XML files",
    "masks": "the archive has a mask for each picture",
    "column": "the archive has a table of its pictures",
}


def looks_like_labels(name: str) -> bool:
    """Whether a column is called like labels."""
    return LABELS.fullmatch(name) is not None


def proposed_target(
    table: Table, rows: int, used: Iterable[str]
) -> tuple[TargetDeclaration | None, ProposedPart | None]:
    """Name the labels of data with so many rows; `used` are the columns that inputs are made of."""
    if table.source is not None:
        target = completed(Declaration(), table).targets
        if target is not None:
            return target, ProposedPart(path="targets", sure=True, because=PICTURES[table.source])
    left_over = {
        name: column
        for name, column in table.columns.items()
        if len(column) == rows and name not in {*used, "image", "file", "mask"}
    }
    named = [name for name in left_over if looks_like_labels(name)]
    if not named:
        return None, None
    name = named[0]
    because = f"the only column of {rows} rows that is called like labels"
    part = ProposedPart(
        path="targets",
        sure=len(named) == 1,
        because=because if len(named) == 1 else f"one of {', '.join(named)}, which are called like labels",
    )
    column = left_over[name]
    if not isinstance(column, Texts):
        return ArrayTarget(array=name), part
    return ColumnTarget(source="column", column=name), part
