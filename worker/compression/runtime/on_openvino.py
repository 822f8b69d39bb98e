"""A model loaded by OpenVINO, on the CPU. Imported where OpenVINO is the target and nowhere else: it is an extra."""

import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from winnow.contract.target import OPENVINO_ARITHMETIC
from worker.compression.runtime.executable import CannotConvert

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing OpenVINO would report to Intel

import openvino as ov  # noqa: E402

CPU: Final = "CPU"
SETTINGS: Final[dict[str, Any]] = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
    **OPENVINO_ARITHMETIC,
    "ENABLE_CPU_PINNING": False,  # models take turns: two on the same core, or one on a busy one
}

UNCONVERTED: Final = re.compile(
    r"-- (?:Conversion is failed for|No conversion rule found for operations): (.+)"
)
OPSET: Final = re.compile(r"-\d+$")
"""Behind the name of an operator: `QLinearConv-12`."""
OF_ITS_OWN: Final = re.compile(r"Exception from |Check '")


def _core() -> ov.Core:
    core = ov.Core()
    core.set_property({"ENABLE_MMAP": False})  # files of candidates are written anew while models live
    core.get_versions(CPU)  # loads the plugin now: loading a model is timed and weighed without it
    return core


CORE: Final = _core()


class OpenvinoModel:
    provider: Final = "OpenVINO CPU"

    def __init__(self, model: Path, threads: int, **settings: Any) -> None:
        """Raises `CannotConvert`, and `RuntimeError` for the rest."""
        every = SETTINGS | {"INFERENCE_NUM_THREADS": threads} | settings
        try:
            self.compiled = CORE.compile_model(CORE.read_model(model), CPU, every)
        except RuntimeError as error:
            raise _readable(str(error)) from error
        self.request = self.compiled.create_infer_request()

    def run(self, outputs: Sequence[str] | None, feed: Mapping[str, np.ndarray]) -> list[Any]:
        results = self.request.infer(feed, share_inputs=True)
        return [*results.values()] if outputs is None else [results[name] for name in outputs]


def _readable(message: str) -> Exception:
    """The same without OpenVINO's own files and lines."""
    operators = {
        OPSET.sub("", name.strip()) for names in UNCONVERTED.findall(message) for name in names.split(",")
    }
    if operators:
        return CannotConvert(sorted(operators), f"it cannot convert {', '.join(sorted(operators))}")
    lines = [line for line in message.splitlines() if line.strip() and not OF_ITS_OWN.match(line)]
    return RuntimeError(" ".join(lines))
