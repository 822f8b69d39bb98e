"""How the artifact is run: a few lines for these inputs, in Python with ONNX Runtime, and on the job's target."""

from typing import Final

from winnow.contract.model import TensorSpec
from worker.compression.graph.facts.interface import interface_of
from worker.compression.result.page.blocks import Block, Code, Section
from worker.compression.result.page.subject import Subject

FILE: Final = "artifact.onnx"


def section(subject: Subject) -> Section:
    feed = _feed(interface_of(subject.artifact, {}).inputs)
    blocks: list[Block] = [Code(_onnxruntime(feed, "CPUExecutionProvider"), "Python, ONNX Runtime")]
    target = _target(subject)
    if target == "onnxruntime-cuda":
        blocks.append(Code(_onnxruntime(feed, "CUDAExecutionProvider"), "On the target, CUDA"))
    if target == "openvino-cpu":
        blocks.append(Code(_openvino(feed), "On the target, OpenVINO"))
    return Section("running", "How to run it", blocks)


def _target(subject: Subject) -> str:
    return "" if subject.materials is None else subject.materials.options.target


def _onnxruntime(feed: str, provider: str) -> str:
    return "\n".join(
        [
            "import numpy as np",
            "import onnxruntime as ort",
            f"session = ort.InferenceSession({FILE!r}, providers=[{provider!r}])",
            f"feed = {feed}",
            "outputs = session.run(None, feed)",
        ]
    )


def _openvino(feed: str) -> str:
    return "\n".join(
        [
            "import numpy as np",
            "import openvino as ov",
            f"model = ov.Core().compile_model({FILE!r}, 'CPU')",
            f"feed = {feed}",
            "outputs = model(feed)",
        ]
    )


def _feed(inputs: list[TensorSpec]) -> str:
    """A dictionary of zeros in Python; what may be of any size is 1."""
    entries = []
    for spec in inputs:
        shape = tuple(size if isinstance(size, int) else 1 for size in spec.shape)
        dtype = "bool" if spec.dtype == "bool" else f"np.{spec.dtype}"
        entries.append(f"{spec.name!r}: np.zeros({shape}, {dtype})")
    return "{" + ", ".join(entries) + "}"
