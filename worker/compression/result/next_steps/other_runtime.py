"""Whether another runtime that is installed here is faster, for a job that asked for none: measured, the result on ONNX
Runtime beside the model as uploaded and the result there.

    suggested    lower bound of its speed-up > 1 + what two sessions of one file differ by
    in bfloat16  only where that is faster than float32 there beyond both intervals
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Recipe
from winnow.contract.report import NextStep, Report
from winnow.contract.requirements import SPEED
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.materials import Materials
from worker.compression.measure.apart.processes import ProcessEnded
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.timing.fastest import Timed, time_candidates
from worker.compression.measure.timing.quiet import Patience, usual_wait
from worker.compression.measure.verdict.recommendation import MIN_TELLING_SPEEDUP
from worker.compression.result.next_steps.suggest import MOST, body
from worker.compression.runtime.executable import TargetUnavailable
from worker.compression.runtime.targets import RUNTIME_NAMES, opener

MAX_RUN_MS: Final = 500.0
"""A model whose runs take longer is not timed elsewhere: the job is done."""
QUIET_SECONDS: Final = 3.0
LOCK_SECONDS: Final = 10.0
OTHERS: Final[tuple[Target, ...]] = ("openvino-cpu", "openvino-cpu-bf16")
SETTINGS: Final[dict[Target, dict[str, str]]] = {
    "openvino-cpu": {"target": "openvino-cpu"},
    "openvino-cpu-bf16": {"target": "openvino-cpu", "precision": "bf16"},
}
"""How a job asks for them."""
DIGITS: Final = " Floats there have 2 to 3 digits."

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Elsewhere:
    """How fast one of both models is there, against the result on ONNX Runtime."""

    target: Target
    model: str
    timed: Timed


def with_other_runtime(report: Report, artifact: Path, recipe: Recipe | None, materials: Materials) -> Report:
    """Return the report with a runtime among its `next_steps` that is decidedly faster, first where a requirement of
    speed is missed. Never raises: the result is there already."""
    if recipe is None or not _may_ask(report, materials):
        return report
    try:
        faster = fastest(_timed(artifact, materials))
    except Refusal as refusal:
        log.info("no other runtime was timed: %s", refusal.problem.detail)
        return report
    except Exception:  # the runtimes' own errors have no common base
        log.exception("no other runtime could be timed")
        return report
    if faster is None:
        return report
    request = body(recipe, materials.options.request) | SETTINGS[faster.target]
    step = NextStep(why=_why(faster), request=request)
    slow = any(not entry.met and entry.name in SPEED for entry in report.requirements)
    others = report.next_steps[: MOST - 1]
    return report.model_copy(update={"next_steps": [step, *others] if slow else [*others, step]})


def fastest(measured: Sequence[Elsewhere]) -> Elsewhere | None:
    """Choose what is decidedly faster than the result here; bfloat16 only where it is so than float32, too."""
    faster = [
        each
        for each in measured
        if each.timed.untold is None and each.timed.interval[0] > 1 + MIN_TELLING_SPEEDUP
    ]
    best: Elsewhere | None = None
    for target in OTHERS:
        for each in faster:
            if each.target != target:
                continue
            if best is None or (
                each.timed.speedup > best.timed.speedup
                if each.target == best.target
                else each.timed.interval[0] > best.timed.interval[1]
            ):
                best = each
    return best


def _may_ask(report: Report, materials: Materials) -> bool:
    options, latency = materials.options, report.latency
    here = options.judging == "result" and options.target == DEFAULT_TARGET and options.checked is None
    loads = any(entry.runtime == "openvino-cpu" and entry.loads for entry in report.portability)
    quick = bool(latency) and max(latency[0].baseline_ms.p50, latency[0].candidate_ms.p50) <= MAX_RUN_MS
    return here and loads and quick and not options.extent.brief and not materials.upload.is_large


def _timed(artifact: Path, materials: Materials) -> list[Elsewhere]:
    options, upload = materials.options, materials.upload.path
    benchmark = options.benchmark
    here = Network(artifact, benchmark.thread_counts[0], "the result")
    others = [*_loaded({"the result": artifact, "the model as uploaded": upload}, here, materials)]
    if not others:
        return []
    samples = materials.samples(materials.data.evaluation or materials.data.calibration)
    feed, _ = benchmark_feed(here.inputs, benchmark.batch_sizes[0], benchmark.shapes, samples, options.seed)
    patience = Patience(materials.progress, min(QUIET_SECONDS, usual_wait()), LOCK_SECONDS)
    times = time_candidates([here, *others], feed, options.seed, materials.progress, patience)[1:]
    return [
        Elsewhere(network.target, network.role, timed) for network, timed in zip(others, times, strict=True)
    ]


def _loaded(models: dict[str, Path], here: Network, materials: Materials) -> Iterator[Network]:
    """What each of the others loads; first in a process of its own, which may crash."""
    for name, path in models.items():
        try:
            if materials.options.processes.try_loading(path, OTHERS[0]).why is not None:
                continue
        except (ProcessEnded, Refusal):
            continue
        for target in OTHERS:
            try:
                opener(target)
            except TargetUnavailable:
                continue
            network = Network(path, here.threads, name, here.batch_axes, target)
            network.narrow(here.inputs)
            yield network


def _why(faster: Elsewhere) -> str:
    (low, high), speedup = faster.timed.interval, faster.timed.speedup
    runtime = RUNTIME_NAMES[faster.target]
    model = "the result" if faster.model == "the result" else "even the model as uploaded"
    return (
        f"{runtime}, which is installed here too, runs {model} {speedup:.2f} times as fast as ONNX Runtime "
        f"runs the result (95 %: {low:.2f} to {high:.2f}). Where the model may run there, have it made and judged for "
        f"that.{DIGITS if faster.target == 'openvino-cpu-bf16' else ''}"
    )
