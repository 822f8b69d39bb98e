"""Where a model is to run: what candidates are timed and judged on."""

from typing import Final, Literal

Target = Literal["onnxruntime-cpu", "onnxruntime-cuda", "openvino-cpu"]
"""Called as workers call it among their runtimes."""

DEFAULT_TARGET: Final = "onnxruntime-cpu"
