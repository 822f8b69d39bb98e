"""An upload that is a dataset."""

from typing import Any

from winnow.contract.dataset import Rejected
from winnow.contract.errors import Refusal
from worker.child.spec import InspectDataset
from worker.compression.data.formats.opening import archive_index
from worker.compression.data.inspection import inspect


def inspect_dataset(task: InspectDataset) -> dict[str, Any]:
    """What does not fit its declaration is answered with the arrays, so that it can be declared right."""
    cap = task.max_unpacked_bytes
    try:
        facts = inspect.inspect_dataset(task.path, task.declaration, task.scratch, max_unpacked_bytes=cap)
    except Refusal as refusal:
        arrays = inspect.array_facts(task.path, task.scratch, max_unpacked_bytes=cap)
        rejected = Rejected(problem=refusal.problem, arrays=arrays)
        return {"rejected": rejected.model_dump(mode="json")}
    index = archive_index(task.path, task.scratch, max_bytes=cap) if task.indexes else None
    return {"facts": facts.model_dump(mode="json"), "index": index and str(index)}
