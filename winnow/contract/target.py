"""Where a model is to run: what candidates are timed and judged on, and what they are checked against."""

from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, cast, get_args

Target = Literal["onnxruntime-cpu", "onnxruntime-cuda", "openvino-cpu", "openvino-cpu-bf16"]
"""A runtime that measures; called as workers call it among theirs, with the type of its floats behind where a job asks
for another than the file's."""

CheckedTarget = Literal["tensorrt", "qnn", "coreml", "webgpu", "nnapi"]
"""A runtime that no worker has: rules say what it takes (`target_rules`). `tensorrt` is TensorRT's own ONNX parser, the
others are ONNX Runtime's execution providers of these names."""

JobTarget = Literal["onnxruntime-cpu", "onnxruntime-cuda", "openvino-cpu", CheckedTarget]
"""What a job may ask for."""

Precision = Literal["f32", "bf16"]
"""What a target computes floats in."""

X86Feature = Literal["avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16"]
ArmFeature = Literal["asimd", "asimddp", "i8mm", "sve", "bf16"]
CpuFeature = Literal[X86Feature, ArmFeature]
"""What int8 and half-precision kernels choose by, as /proc/cpuinfo calls it."""

DEFAULT_TARGET: Final = "onnxruntime-cpu"

OPENVINO_ARITHMETIC: Final[dict[Target, dict[str, Any]]] = {
    "openvino-cpu": {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0},
    "openvino-cpu-bf16": {"INFERENCE_PRECISION_HINT": "bf16", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0},
}
"""That of the file, and with its floats in bfloat16, as OpenVINO takes them by itself on CPUs with AMX; by itself it
also takes 8-bit activations before compressed weights."""

CHECKED: Final[tuple[CheckedTarget, ...]] = get_args(CheckedTarget)
JOB_TARGETS: Final[tuple[JobTarget, ...]] = get_args(JobTarget)
CPU_FEATURES: Final[tuple[CpuFeature, ...]] = (*get_args(X86Feature), *get_args(ArmFeature))
BFLOAT16: Final[frozenset[str]] = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Features that multiply bfloat16."""


def measured_on(target: JobTarget, precision: Precision = "f32") -> Target:
    """The runtime that times and judges for a target: itself, or the default where it is checked by rules."""
    if target == "openvino-cpu" and precision == "bf16":
        return "openvino-cpu-bf16"
    return DEFAULT_TARGET if target in CHECKED else cast(Target, target)


def checked_by_rules(target: JobTarget) -> CheckedTarget | None:
    """The target where rules say what it takes; None where it is measured itself."""
    return next((name for name in CHECKED if name == target), None)


def why_no_such_target(
    target: JobTarget, precision: Precision, features: Collection[CpuFeature] | None
) -> str | None:
    """Say what does not go together, with what to do; None where all does."""
    if precision != "f32" and target != "openvino-cpu":
        return (
            f"precision {precision} is OpenVINO's way to compute: {target} computes what the file says. Leave it out, "
            "ask for the target openvino-cpu, or store floats in other types by the steps bfloat16 and float16"
        )
    if features is None:
        return None
    if not target.endswith("-cpu"):
        return f"target_features are of a CPU, and {target} is none: leave them out"
    if {*features} & {*get_args(X86Feature)} and {*features} & {*get_args(ArmFeature)}:
        return f"no CPU has features of x86 and of Arm: {', '.join(sorted(features))}"
    if precision == "bf16" and BFLOAT16.isdisjoint(features):
        return f"precision bf16 needs one of {', '.join(sorted(BFLOAT16))} among target_features"
    return None


def settings_of_target(request: Mapping[str, Any]) -> dict[str, Any]:
    """What a request says of its target, where it says something."""
    return {name: request[name] for name in ("target", "precision") if name in request}
