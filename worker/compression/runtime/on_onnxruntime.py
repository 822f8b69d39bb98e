"""A model loaded by ONNX Runtime, on the CPU or on CUDA."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from worker.compression.runtime.executable import TargetUnavailable
from worker.compression.runtime.session import CPU, PROVIDERS, open_session

CUDA: Final = PROVIDERS["onnxruntime-cuda"]


class OnnxRuntimeModel:
    def __init__(self, model: Path, threads: int, *providers: str) -> None:
        """The first provider is the one that has to be there. Raises `TargetUnavailable`."""
        self._session = open_session(model, threads, providers)
        self.provider: Final = str(self._session.get_providers()[0])
        if self.provider != providers[0]:
            raise TargetUnavailable(
                f"ONNX Runtime cannot use {providers[0]} on this worker, and would go on with {self.provider}. Ask the "
                "operator for a worker whose GPU it can use, or ask for another target."
            )

    def run(self, outputs: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[Any]:
        results: list[Any] = self._session.run(outputs, feed)
        return results


def open_on_cpu(model: Path, threads: int) -> OnnxRuntimeModel:
    return OnnxRuntimeModel(model, threads, CPU)


def open_on_cuda(model: Path, threads: int) -> OnnxRuntimeModel:
    """What CUDA has no kernel for runs on the CPU, node by node: shapes, for example.

    CUDA's libraries are packages of Python, which the system's loader does not find.
    """
    with redirect_stdout(sys.stderr):  # it prints what it cannot load
        ort.preload_dlls()
    return OnnxRuntimeModel(model, threads, CUDA, CPU)
