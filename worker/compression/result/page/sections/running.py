"""How the artifact is run: a few lines for these inputs, in Python with ONNX Runtime, and on the job's target."""

from winnow.contract.bundle.files import ARTIFACT
from winnow.contract.bundle.running import onnxruntime_lines, zeros
from worker.compression.graph.facts.interface import interface_of
from worker.compression.result.page.blocks import Block, Code, Section
from worker.compression.result.page.subject import Subject


def section(subject: Subject) -> Section:
    timed = subject.report.latency[0].shapes if subject.report.latency else None
    feed = zeros(interface_of(subject.artifact, {}).inputs, timed)
    blocks: list[Block] = [Code(onnxruntime_lines(feed), "Python, ONNX Runtime")]
    target = _target(subject)
    if target == "onnxruntime-cuda":
        blocks.append(Code(onnxruntime_lines(feed, "CUDAExecutionProvider"), "On the target, CUDA"))
    if target == "openvino-cpu":
        blocks.append(Code(_openvino(feed), "On the target, OpenVINO"))
    return Section("running", "How to run it", blocks)


def _target(subject: Subject) -> str:
    return "" if subject.materials is None else subject.materials.options.target


def _openvino(feed: str) -> str:
    return "\n".join(
        [
            "import numpy as np",
            "import openvino as ov",
            f"model = ov.Core().compile_model({ARTIFACT!r}, 'CPU')",
            f"feed = {feed}",
            "outputs = model(feed)",
        ]
    )
