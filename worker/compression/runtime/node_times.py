"""Time the nodes of a model by the runtime's own profile, on one thread."""

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from winnow.contract.target import OPENVINO_ARITHMETIC, Target
from worker.compression.runtime.session import open_cpu_session

RUNS: Final = 15
KERNEL: Final = "_kernel_time"

NodeTimes = dict[str, list[float]]
"""Milliseconds of each run, by the name that the runtime gives the node after its optimizations."""


def node_times(model: Path, feed: Mapping[str, np.ndarray], target: Target) -> NodeTimes:
    """Run the model some times and return how long each node took. CUDA's nodes are timed on the CPU."""
    return (
        _by_openvino(model, feed, target) if target in OPENVINO_ARITHMETIC else _by_onnxruntime(model, feed)
    )


def _by_onnxruntime(model: Path, feed: Mapping[str, np.ndarray]) -> NodeTimes:
    session = open_cpu_session(model, profile_prefix=model.with_name("profile"))
    for _ in range(RUNS):
        session.run(None, feed)
    times: NodeTimes = defaultdict(list)
    for event in json.loads(Path(session.end_profiling()).read_text()):
        if event.get("cat") == "Node" and event["name"].endswith(KERNEL):
            times[event["name"].removesuffix(KERNEL)].append(event["dur"] / 1000)
    return times


def _by_openvino(model: Path, feed: Mapping[str, np.ndarray], target: Target) -> NodeTimes:
    from worker.compression.runtime.on_openvino import OpenvinoModel

    loaded = OpenvinoModel(model, 1, target, PERF_COUNT=True)
    times: NodeTimes = defaultdict(list)
    for _ in range(RUNS):
        loaded.run(None, feed)
        for node in loaded.request.get_profiling_info():
            times[node.node_name].append(node.real_time.total_seconds() * 1000)
    return times
