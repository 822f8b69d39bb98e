"""Keeps the model as it was where a step's file is larger and not measurably faster: a candidate of every step that
chooses what it changes.

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
from worker.compression.measure.timing.fastest import time_candidates
from worker.compression.measure.verdict.recommendation import MIN_TELLING_SPEEDUP
from worker.compression.onnx_files import model_files
from worker.compression.steps.context import Context, StepResult

MAX_NODES_BYTES: Final = 1 << 20
"""What a step's own nodes take: where weights shrink by more, files need not be compared."""


def apply_or_keep(model: ir.Model, step: AnyStep, context: Context) -> StepResult:
    """Apply the step, or keep the model as it was. Raises what `apply` does."""
    if not step.may_keep_original:
        return apply(model, step, context)
    original, weights = model.clone(), model_files.weight_bytes(model)
    after = apply(model, step, context)
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
    return _unchanged(original, after, limit, size)


def _max_bytes(original: ir.Model, context: Context) -> int:
    before = context.file_bytes(original)
    return before if context.upload_bytes is None else min(before, context.upload_bytes)


def _is_faster(original: ir.Model, after: ir.Model, context: Context) -> bool:
    """Measure whether the lower bound of the speed-up is beyond what two sessions of one file differ by."""
    threads, batch = context.benchmark.thread_counts[0], context.benchmark.batch_sizes[0]
    networks: list[Network] = []
    for name, graph in (("the model", original), ("the result", after)):
        model_files.save(graph, path := context.scratch / f"weighed-{len(networks)}.onnx", context.upload)
        networks.append(Network(path, threads, name, target=context.target))
    feed, _ = benchmark_feed(
        networks[0].inputs, batch, context.benchmark.shapes, context.calibration, context.seed
    )
    timed = time_candidates(networks, feed, context.seed, context.progress)[1]
    return timed.untold is None and timed.interval[0] > 1 + MIN_TELLING_SPEEDUP


def _unchanged(original: ir.Model, after: StepResult, limit: int, size: int) -> StepResult:
    """Hand over the model as it was; `details.tried` has what the step had done."""
    why = f"the file would have {size} bytes in place of {limit}, and is not measurably faster"
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
