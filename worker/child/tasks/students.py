"""A student as a model of its own."""

from typing import Any

from worker.child.spec import MakeStudent
from worker.compression.tasks.student_model import make_student_model


def make_student(task: MakeStudent) -> dict[str, Any]:
    cap = task.max_unpacked_bytes
    made = make_student_model(task.path, task.settings, task.seed, task.scratch, max_unpacked_bytes=cap)
    size = made.path.stat().st_size
    return {
        "facts": made.facts.model_dump(mode="json"),
        "converted": str(made.path),
        "unpacked_bytes": size,
    }
