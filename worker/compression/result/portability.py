"""Which runtimes can load the artifact, and what stands against the others."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import onnx

from winnow.contract.errors import Refusal
from winnow.contract.report import Portability
from worker.compression.ir.protobuf_walk import messages
from worker.compression.measure.apart.processes import MeasuringProcesses, ProcessEnded
from worker.compression.onnx_files.single_file import without_raw_data
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.runtime.targets import is_installed

MAX_TRIED_BYTES: Final = 512 << 20
STANDARD_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})


def portability(artifact: Path, processes: MeasuringProcesses) -> list[Portability]:
    return [_without_contrib(artifact), _on_openvino(artifact, processes)]


def _without_contrib(artifact: Path) -> Portability:
    """ONNX Runtime built without operators of its own knows those of ONNX alone."""
    nodes = messages(without_raw_data(artifact), onnx.NodeProto)
    operators = sorted({f"{n.domain}.{n.op_type}" for n in nodes if n.domain not in STANDARD_DOMAINS})
    return Portability(
        runtime="onnxruntime-no-contrib",
        loads=not operators,
        why="It has operators that are not part of ONNX." if operators else None,
        operators=operators,
    )


def _on_openvino(artifact: Path, processes: MeasuringProcesses) -> Portability:
    """Tried, since OpenVINO converts many operators in some of their forms only."""
    if not is_installed("openvino-cpu"):
        return _openvino(None, "OpenVINO is not installed on the worker.")
    if bytes_of(artifact) > MAX_TRIED_BYTES:
        return _openvino(
            None, f"Files of more than {MAX_TRIED_BYTES} bytes are not tried: the memory is the job's."
        )
    try:
        loadable = processes.try_loading(artifact, "openvino-cpu")
    except ProcessEnded as ended:
        return _openvino(False, f"The process that loaded it {ended}.")
    except Refusal as refusal:  # no room for the process: nothing is known of the file, and the job is done
        return _openvino(None, refusal.problem.detail)
    why = loadable.why and f"OpenVINO: {loadable.why}."
    return _openvino(loadable.why is None, why, loadable.operators)


def _openvino(loads: bool | None, why: str | None, operators: Sequence[str] = ()) -> Portability:
    return Portability(runtime="openvino-cpu", loads=loads, why=why, operators=list(operators))
