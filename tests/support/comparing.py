"""A child that has its model compared with itself as large models are: by the worker, in a child more."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from worker.child import __main__ as entry
from worker.child.messages import Messages
from worker.child.spec import Compress, Task
from worker.compression.data.source import Source
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.measure.apart.processes import COMPARISON, Comparing
from worker.compression.onnx_files import model_files


def perform(task: Task, messages: Messages) -> dict[str, Any]:
    assert isinstance(task, Compress)
    rows = task.evaluation_data
    assert rows is not None
    comparing = Comparing(
        task.model,
        task.model,
        inputs_of(model_files.load(task.model)),
        Source(rows.path, rows.declaration, rows.slice, rows.map),
        None,
        False,
        task.evaluation,
        task.benchmark,
        task.seed,
        task.max_unpacked_bytes,
    )
    compared = messages.compare(comparing, Path(), messages)
    assert asdict(compared)
    result: dict[str, Any] = COMPARISON.dump_python(compared, mode="json")
    return result


if __name__ == "__main__":
    entry.main(perform)
