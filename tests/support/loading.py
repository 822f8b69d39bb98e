"""A child in which torch's own loader opens attacks on `.pt2`, as if the strict reader were not there.

The upload is a zip of archives, `0.pt2`, `1.pt2`, … What each attack ended with is logged under its name.
"""

import zipfile
from pathlib import Path
from typing import Any

from tests.support.child import FACTS
from worker.child import __main__ as entry
from worker.child.messages import Messages
from worker.child.spec import InspectDataset, Task


def perform(task: Task, messages: Messages) -> dict[str, Any]:
    assert isinstance(task, InspectDataset)
    with zipfile.ZipFile(task.path) as archive:
        archive.extractall(task.scratch)
    messages.log("loaded", **{file.name: _loaded(file) for file in sorted(task.scratch.glob("*.pt2"))})
    return {"facts": FACTS}


def _loaded(file: Path) -> str:
    import torch

    try:
        with file.open("rb") as archive:
            torch.export.load(archive)
    except BaseException as error:
        return _whole(error)
    return "loaded"


def _whole(error: BaseException | None) -> str:
    """The error with all that led to it."""
    reasons = []
    while error is not None and len(reasons) < 10:
        reasons.append(repr(error))
        error = error.__cause__ or error.__context__
    return " < ".join(reasons)


if __name__ == "__main__":
    entry.main(perform)
