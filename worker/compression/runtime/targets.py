"""Which class loads a model for which target. Imports nothing of ours that is heavy, as `session`."""

from importlib.util import find_spec
from typing import assert_never

import onnxruntime as ort

from winnow.contract.target import Target
from worker.compression.runtime.executable import Opener, TargetUnavailable
from worker.compression.runtime.on_onnxruntime import CUDA, open_on_cpu, open_on_cuda

RUNTIME_NAMES: dict[Target, str] = {
    "onnxruntime-cpu": "ONNX Runtime",
    "onnxruntime-cuda": "ONNX Runtime on CUDA",
    "openvino-cpu": "OpenVINO",
    "openvino-cpu-bf16": "OpenVINO in bfloat16",
}
"""As sentences have them."""


def opener(target: Target) -> Opener:
    """Import the target's runtime and return what loads models with it. Raises `TargetUnavailable`."""
    if not is_installed(target):
        raise TargetUnavailable(
            f"This worker has no {target}. Ask the operator to install it (docs/operations.md, Runtimes), or ask for "
            "another target."
        )
    match target:
        case "onnxruntime-cpu":
            return open_on_cpu
        case "onnxruntime-cuda":
            return open_on_cuda
        case "openvino-cpu" | "openvino-cpu-bf16":
            from worker.compression.runtime.on_openvino import opener_of

            return opener_of(target)
        case _:
            assert_never(target)


def is_installed(target: Target) -> bool:
    """Whether the libraries are here; a GPU that cannot be used shows only when a model is loaded."""
    match target:
        case "onnxruntime-cpu":
            return True
        case "onnxruntime-cuda":
            return CUDA in ort.get_available_providers()
        case "openvino-cpu" | "openvino-cpu-bf16":
            return find_spec("openvino") is not None
        case _:
            assert_never(target)
