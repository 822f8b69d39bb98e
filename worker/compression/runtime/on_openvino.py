"""A model loaded by OpenVINO, on the CPU. Imported where OpenVINO is the target and nowhere else: it is an extra."""

import re
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from winnow.contract.target import OPENVINO_ARITHMETIC, Target
from worker.compression.runtime.executable import CannotConvert, Opener, TargetUnavailable

sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing OpenVINO would report to Intel

import openvino as ov  # noqa: E402

CPU: Final = "CPU"
SETTINGS: Final[dict[str, Any]] = {
    "PERFORMANCE_HINT": "LATENCY",
    "NUM_STREAMS": 1,
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


PROVIDERS: Final[dict[Target, str]] = {
    "openvino-cpu": "OpenVINO CPU",
    "openvino-cpu-bf16": "OpenVINO CPU, bfloat16",
}


def opener_of(target: Target) -> Opener:
    """What loads models for it. Raises `TargetUnavailable` where this CPU does not multiply bfloat16."""
    if target == "openvino-cpu-bf16" and "BF16" not in CORE.get_property(CPU, "OPTIMIZATION_CAPABILITIES"):
        raise TargetUnavailable(
            "This worker's CPU does not multiply bfloat16, so OpenVINO would go on in float32. Leave precision out, or "
            "ask the operator for a worker with AMX or AVX-512 BF16."
        )
    return partial(OpenvinoModel, target=target)


class OpenvinoModel:
    def __init__(self, model: Path, threads: int, target: Target = "openvino-cpu", **settings: Any) -> None:
        """Raises `CannotConvert`, and `RuntimeError` for the rest."""
        every = SETTINGS | OPENVINO_ARITHMETIC[target] | {"INFERENCE_NUM_THREADS": threads} | settings
        self.provider: Final = PROVIDERS[target]
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
