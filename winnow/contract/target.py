"""Where a model is to run: what candidates are timed and judged on, and what they are checked against."""

from typing import Final, Literal, cast, get_args

Target = Literal["onnxruntime-cpu", "onnxruntime-cuda", "openvino-cpu"]
"""A runtime that measures; called as workers call it among theirs."""

CheckedTarget = Literal["tensorrt", "qnn", "coreml", "webgpu", "nnapi"]
"""A runtime that no worker has: rules say what it takes (`target_rules`). `tensorrt` is TensorRT's own ONNX parser, the
others are ONNX Runtime's execution providers of these names."""

JobTarget = Literal[Target, CheckedTarget]
"""What a job may ask for."""

DEFAULT_TARGET: Final = "onnxruntime-cpu"

OPENVINO_ARITHMETIC: Final = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
"""That of the file. By itself OpenVINO takes bfloat16 on CPUs with AMX, and 8-bit activations before compressed
weights."""

CHECKED: Final[tuple[CheckedTarget, ...]] = get_args(CheckedTarget)
JOB_TARGETS: Final[tuple[JobTarget, ...]] = get_args(JobTarget)


def measured_on(target: JobTarget) -> Target:
    """The runtime that times and judges for a target: itself, or the default where it is checked by rules."""
    return DEFAULT_TARGET if target in CHECKED else cast(Target, target)


def checked_by_rules(target: JobTarget) -> CheckedTarget | None:
    """The target where rules say what it takes; None where it is measured itself."""
    return next((name for name in CHECKED if name == target), None)
