"""Where a model is to run: what candidates are timed and judged on."""

from typing import Final, Literal

Target = Literal["onnxruntime-cpu", "onnxruntime-cuda", "openvino-cpu"]
"""Called as workers call it among their runtimes."""

DEFAULT_TARGET: Final = "onnxruntime-cpu"

OPENVINO_ARITHMETIC: Final = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0}
"""That of the file. By itself OpenVINO takes bfloat16 on CPUs with AMX, and 8-bit activations before compressed
weights."""
