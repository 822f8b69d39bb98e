"""Make ONNX Runtime sessions; nothing else does. Imports nothing of ours: `fresh` measures its memory."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import onnxruntime as ort

FATAL_ONLY = 4
PROVIDERS: Final = {"onnxruntime-cuda": "CUDAExecutionProvider", "onnxruntime-cpu": "CPUExecutionProvider"}
"""Targets that are execution providers of ONNX Runtime."""
CPU: Final = PROVIDERS["onnxruntime-cpu"]


def open_session(
    model: Path,
    threads: int,
    providers: Sequence[str],
    profile_prefix: Path | None = None,
    optimized: Path | None = None,
) -> ort.InferenceSession:
    """Make a session to be timed, on the first of the providers that can be started; elsewhere one like it, which is
    profiled and writes down its optimized graph. Raises what it raises.

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
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return ort.InferenceSession(str(model), options, providers=list(providers))


def open_cpu_session(
    model: Path | bytes,
    *,
    threads: int = 1,
    optimize: bool = True,
    arena: bool = True,
    without_optimizers: Sequence[str] = (),
    entries: Mapping[str, str] | None = None,
    profile_prefix: Path | None = None,
) -> ort.InferenceSession:
    """Make a session that nobody times, on the CPU. Raises what ONNX Runtime raises; its types have no common base.

    `threads` 0: as many as ONNX Runtime likes. `entries` are those of its session configuration.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = FATAL_ONLY
    options.enable_cpu_mem_arena = arena
    if not optimize:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in (entries or {}).items():
        options.add_session_config_entry(name, value)
    if profile_prefix is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile_prefix)
    source = model if isinstance(model, bytes) else str(model)
    disabled = list(without_optimizers)
    return ort.InferenceSession(source, options, [CPU], disabled_optimizers=disabled)
