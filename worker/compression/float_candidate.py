"""Keeps the model as it was where a step's file is larger and not measurably faster: a candidate of every step that
chooses what it changes. Of a step that loses nothing, so that it has nothing to show but that, also where its file is
measurably slower.

Steps that change every layer (`int8_static`, `float16`, `sparsity`, …) hand over what the recipe says, and the verdict
recommends.
"""

from dataclasses import replace
from typing import Final

import onnx_ir as ir

from winnow.contract.recipe import AnyStep
from worker.compression.apply import apply
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Network
from worker.compression.measure.timing.fastest import Timed, time_candidates
from worker.compression.measure.verdict.recommendation import MIN_TELLING_SPEEDUP
from worker.compression.onnx_files import model_files
from worker.compression.steps.context import Context, StepResult

MAX_NODES_BYTES: Final = 1 << 20
"""What a step's own nodes take: where weights shrink by more, files need not be compared."""
MAX_TIMED_BYTES: Final = 1 << 28
"""Weights of a model from which on it is measured in a process of its own alone."""


def apply_or_keep(model: ir.Model, step: AnyStep, context: Context) -> StepResult:
    """Apply the step, or keep the model as it was. Raises what `apply` does."""
    if not step.may_keep_original:
        return apply(model, step, context)
    original, weights = model.clone(), model_files.weight_bytes(model)
    after = apply(model, step, context)
    if step.lossless and after.changed:
        slower = _why_slower(original, after.model, context)
        if slower is not None:
            return _unchanged(original, after, slower)
    if not after.changed or model_files.weight_bytes(after.model) < weights - MAX_NODES_BYTES:
        return after
    limit = _max_bytes(original, context)
    size = context.file_bytes(after.model, packed=step.stores_few_values)
    if size <= limit:
        return after
    if _is_faster(original, after.model, context):
        return replace(
            after, notes=[*after.notes, f"{size} bytes in place of {limit}, but measurably faster."]
        )
    larger = f"the file would have {size} bytes in place of {limit}, and is not measurably faster"
    return _unchanged(original, after, larger)


def _max_bytes(original: ir.Model, context: Context) -> int:
    before = context.file_bytes(original)
    return before if context.upload_bytes is None else min(before, context.upload_bytes)


def _is_faster(original: ir.Model, after: ir.Model, context: Context) -> bool:
    """Measure whether the lower bound of the speed-up is beyond what two sessions of one file differ by."""
    timed = _timed(original, after, context)
    return timed.untold is None and timed.interval[0] > 1 + MIN_TELLING_SPEEDUP


def _why_slower(original: ir.Model, after: ir.Model, context: Context) -> str | None:
    """Measure whether the upper bound is below that, and say so as a clause; None where it is not, or nothing tells."""
    if model_files.weight_bytes(after) >= MAX_TIMED_BYTES:
        return None
    timed = _timed(original, after, context)
    if timed.untold is not None or timed.interval[1] >= 1 - MIN_TELLING_SPEEDUP:
        return None
    low, high = timed.interval
    return f"the result is {timed.speedup:.2f} times as fast ({low:.2f} to {high:.2f})"


def _timed(original: ir.Model, after: ir.Model, context: Context) -> Timed:
    """The result beside the file that came, where the step is the first of those that lose nothing, else beside the
    model before it."""
    threads, batch = context.benchmark.thread_counts[0], context.benchmark.batch_sizes[0]
    paths = [context.scratch / f"weighed-{index}.onnx" for index in range(2)]
    model_files.save(after, paths[1], context.upload)
    if context.received is None:
        model_files.save(original, paths[0], context.upload)
    else:
        paths[0] = context.received.path
    names = ("the model", "the result")
    networks = [
        Network(path, threads, name, target=context.target) for path, name in zip(paths, names, strict=True)
    ]
    networks[0].narrow(networks[1].inputs)
    feed, _ = benchmark_feed(
        networks[0].inputs, batch, context.benchmark.shapes, context.calibration, context.seed
    )
    return time_candidates(networks, feed, context.seed, context.progress)[1]


def _unchanged(original: ir.Model, after: StepResult, why: str) -> StepResult:
    """Hand over the model as it was; `details.tried` has what the step had done."""
    targets = [
        target.model_copy(update={"met": False, "measured": 0.0, "why": f"Nothing was changed: {why}."})
        for target in after.targets
    ]
    return replace(
        after,
        model=original,
        changed=0,
        notes=[f"The model stays as it was: {why}."],
        details={"tried": after.details},
        targets=targets,
    )
