"""A worker's record says what it really has."""

import json
from importlib.metadata import version

import onnxruntime

from app.machine import usable_cores
from app.storage.memory import MemoryRecords
from worker.child.layers import available_layers
from worker.presence import Presence
from worker.runtimes import installed_runtimes


def test_runtimes_are_those_that_are_installed() -> None:
    found = installed_runtimes()
    assert found["onnxruntime-cpu"] == onnxruntime.__version__
    assert found["torch"] == version("torch")
    assert ("onnxruntime-cuda" in found) == ("CUDAExecutionProvider" in onnxruntime.get_available_providers())


def test_a_worker_is_put_once_in_a_while_with_its_layers_and_runtimes() -> None:
    records, presence = MemoryRecords(), Presence("wrk_1", ["cpu", "work"], threads=2)
    presence.put(records)
    (worker,) = records.workers(0.0)
    assert (worker.id, worker.capabilities, worker.version) == ("wrk_1", ("cpu",), version("winnow-service"))
    assert (worker.threads, worker.cores) == (2, usable_cores())
    assert worker.memory_bytes > 0
    assert worker.device
    assert worker.layers == available_layers()
    assert worker.runtimes == installed_runtimes()
    assert "/" not in json.dumps([worker.layers, worker.runtimes, worker.device]), (
        "no paths: this is shown to everybody"
    )
    presence.put(records)
    assert records.workers(0.0) == [worker], "not written again at once"
