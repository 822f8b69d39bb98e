"""Which runtimes can load the artifact, and what stands against the others: by rules, or tried where it can be."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.portability import Portability, TargetReport
from winnow.contract.target import CHECKED, CheckedTarget, Target
from winnow.contract.target_rules.check import check_graph
from winnow.contract.target_rules.graph import CheckedGraph
from winnow.contract.target_rules.load import WITHOUT_CONTRIB, rules_of
from worker.compression.measure.apart.processes import MeasuringProcesses, ProcessEnded
from worker.compression.onnx_files.sizes import bytes_of
from worker.compression.runtime.targets import is_installed

MAX_TRIED_BYTES: Final = 512 << 20


def portability(artifact: Path, graph: CheckedGraph, processes: MeasuringProcesses) -> list[Portability]:
    """`graph` is the artifact's."""
    return [
        _by_rules(graph, WITHOUT_CONTRIB),
        _on_openvino(artifact, processes),
        *(_by_rules(graph, name) for name in CHECKED),
    ]


def checked(name: CheckedTarget, timed_on: Target, before: CheckedGraph, after: CheckedGraph) -> TargetReport:
    """Hold both graphs against the rules of the target that the job is for."""
    rules = rules_of(name)
    was, is_now = (check_graph(graph, rules) for graph in (before, after))
    return TargetReport(target=name, timed_on=timed_on, before=was, after=is_now)


def refused(report: TargetReport | None) -> str | None:
    """Say that the target cannot run the result, in words; None where it can, or is measured itself."""
    if report is None or report.after.runs:
        return None
    return f"the target {report.target} cannot run the result, by its rules: {report.after.summary.removesuffix('.')}"


def in_words(report: TargetReport) -> str:
    """The same in sentences."""
    return (
        f"Made for {report.target}: checked by rules ({report.after.as_of}), timed on {report.timed_on}: no worker "
        f"runs it. The model as uploaded: {report.before.summary} The result: {report.after.summary}"
    )


def _by_rules(graph: CheckedGraph, name: str) -> Portability:
    """No file is loaded, and none needs to be."""
    check = check_graph(graph, rules_of(name))
    why = check.summary if check.findings else None
    return Portability.model_validate(
        {"runtime": name, "loads": check.runs, "why": why, "operators": [*check.by_operator]}
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
