"""Two large models beside each other, for the job whose process they would not fit into."""

from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from worker.child.messages import Messages
from worker.child.spec import CompareModels
from worker.child.tasks.judged import source_of
from worker.compression.measure.apart.processes import COMPARISON, Comparing
from worker.compression.measure.compare_apart import open_and_compare


def compare_models(task: CompareModels, messages: Messages) -> dict[str, Any]:
    comparing = Comparing(
        task.baseline,
        task.candidate,
        task.inputs,
        source_of(task.evaluation_data),
        source_of(task.calibration),
        task.overlap,
        task.evaluation,
        task.benchmark,
        task.seed,
        task.max_unpacked_bytes,
        task.extent,
        task.target,
    )
    folder = Path(mkdtemp(prefix="data-"))
    compared: dict[str, Any] = COMPARISON.dump_python(
        open_and_compare(comparing, folder, messages, messages), mode="json"
    )
    return compared
