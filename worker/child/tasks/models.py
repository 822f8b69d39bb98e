"""An upload that is a model."""

from typing import Any

from worker.child.spec import InspectModel
from worker.compression.upload import inspection


def inspect_model(task: InspectModel) -> dict[str, Any]:
    inspected = inspection.inspect_model(
        task.path,
        task.format,
        task.declared,
        task.scratch,
        allow_torchscript=task.allow_torchscript,
        max_unpacked_bytes=task.max_unpacked_bytes,
    )
    converted = str(inspected.converted) if inspected.converted else None
    return {
        "facts": inspected.facts.model_dump(mode="json"),
        "converted": converted,
        "unpacked_bytes": inspected.unpacked_bytes,
    }
