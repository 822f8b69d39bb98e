"""The one place that makes ONNX Runtime sessions. Imports nothing of ours: `fresh` measures its memory."""

import os
from pathlib import Path
from typing import Final

import onnxruntime as ort

FATAL_ONLY = 4
PROVIDERS: Final = {"CUDAExecutionProvider": "onnxruntime-cuda", "CPUExecutionProvider": "onnxruntime-cpu"}
"""Execution providers, the first that is there goes first; and what a worker calls them among its runtimes."""


def open_session(model: Path, threads: int) -> ort.InferenceSession:
    """A session on CUDA where this ONNX Runtime has it, else on the CPU. Raises what ONNX Runtime raises.

    Worker threads stop spinning when a run ends: two sessions take turns in one process, and the idle one's
    threads would otherwise burn the cores that the other is timed on.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.log_severity_level = FATAL_ONLY
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(str(model), options, providers=providers())


def providers() -> list[str]:
    """CUDA first where there is one; the CPU takes what CUDA cannot."""
    return [name for name in PROVIDERS if name in ort.get_available_providers()]


def usable_threads() -> int:
    """The cores that this process may use, at most 16: what is not timed may use them all."""
    return min(16, len(os.sched_getaffinity(0)))
