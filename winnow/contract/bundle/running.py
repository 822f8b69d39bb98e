"""How an artifact is run: a few lines of Python for its inputs, and for the target, as card and page show them."""

from collections.abc import Mapping, Sequence
from typing import Final

from winnow.contract.bundle.files import ARTIFACT
from winnow.contract.model import TensorSpec
from winnow.contract.report import Latency
from winnow.contract.target import OPENVINO_ARITHMETIC, Target

CPU: Final = "CPUExecutionProvider"
NUMPY: Final = frozenset(
    {
        *("float16", "float32", "float64", "bool"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    }
)


def onnxruntime_lines(feed: str, provider: str = CPU) -> str:
    """By ONNX Runtime, fed with what `feed` is in Python."""
    return "\n".join(
        [
            "import numpy as np",
            "import onnxruntime as ort",
            f"session = ort.InferenceSession({ARTIFACT!r}, providers=[{provider!r}])",
            f"feed = {feed}",
            "outputs = session.run(None, feed)",
        ]
    )


def graphs_lines(files: Mapping[str, str]) -> str:
    """The graphs of a package, by name and file, opened by ONNX Runtime: who runs them knows in which order."""
    return "\n".join(
        [
            "import onnxruntime as ort",
            f"files = {dict(files)!r}",
            f"sessions = {{name: ort.InferenceSession(file, providers=[{CPU!r}]) for name, file in files.items()}}",
        ]
    )


def openvino_lines(feed: str, target: Target) -> str:
    """By OpenVINO, fed with what `feed` is in Python."""
    return "\n".join(
        [
            "import numpy as np",
            "import openvino as ov",
            f"as_measured = {OPENVINO_ARITHMETIC[target]!r}",
            f"model = ov.Core().compile_model({ARTIFACT!r}, 'CPU', as_measured)",
            f"feed = {feed}",
            "outputs = model(feed)",
        ]
    )


def ways_to_run(feed: str, latency: Sequence[Latency]) -> list[tuple[str, str]]:
    """Titles and lines: by ONNX Runtime on the CPU, and by what the result was measured on, where that is another."""
    ways = [("Python, ONNX Runtime", onnxruntime_lines(feed))]
    match latency[0].provider if latency else CPU:
        case "CUDAExecutionProvider" as provider:
            ways.append(("On the target, CUDA", onnxruntime_lines(feed, provider)))
        case "OpenVINO CPU":
            ways.append(("On the target, OpenVINO", openvino_lines(feed, "openvino-cpu")))
        case "OpenVINO CPU, bfloat16":
            ways.append(("On the target, OpenVINO", openvino_lines(feed, "openvino-cpu-bf16")))
    return ways


def zeros(inputs: Sequence[TensorSpec], timed: Mapping[str, Sequence[int]] | None = None) -> str:
    """A dictionary of zeros in Python; sizes that are open are those of `timed`, the shapes by name that were timed,
    else 1."""
    entries = (f"{spec.name!r}: {_zeros(spec, (timed or {}).get(spec.name, []))}" for spec in inputs)
    return "{" + ", ".join(entries) + "}"


def _zeros(spec: TensorSpec, timed: Sequence[int]) -> str:
    shape = tuple(
        size if isinstance(size, int) else (timed[n] if n < len(timed) else 1)
        for n, size in enumerate(spec.shape)
    )
    return f"np.zeros({shape}, {spec.dtype!r})" if spec.dtype in NUMPY else f"np.zeros({shape}, object)"
