"""A worker's record says what it really has."""

import json
from importlib.metadata import version

import onnxruntime

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
    records, presence = MemoryRecords(), Presence(["work"])
    presence.put(records)
    (worker,) = records.workers(0.0)
    assert (worker.queues, worker.version) == (("work",), version("winnow-service"))
    assert worker.layers == available_layers()
    assert worker.runtimes == installed_runtimes()
    assert "/" not in json.dumps([worker.layers, worker.runtimes]), "no paths: this is shown to everybody"
    presence.put(records)
    assert records.workers(0.0) == [worker], "not written again at once"
