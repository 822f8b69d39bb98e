"""`depth_pruning`: whole residual blocks are taken out, one after the other, each time the one that is missed least.

After round r of R, (1 − amount)^(r / R) of what the target counts is left. A round: while more is left than its share,
judge the blocks that remain and take out the one with the smallest score for what it costs; then train.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any

import onnx_ir as ir

from winnow.contract.recipe import DepthPruning
from winnow.contract.report import RequirementResult
from worker.compression.depth_pruning.candidates import beyond, blocks_of, refuse_without, removable
from worker.compression.depth_pruning.scores import Scorer, scorer_of
from worker.compression.graph.blocks.find import Block, Blocks, residual_blocks
from worker.compression.graph.blocks.removal import without_blocks
from worker.compression.graph.facts.cost import LayerCost, layer_table, parameters
from worker.compression.ir.edit import GraphEdit
from worker.compression.progress import Within
from worker.compression.quantization.preparation.unfuse_skip_layernorm import unfuse_skip_layernorms
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import refuse_quantized
from worker.compression.steps.remaining_cost import (
    Bench,
    RemainingCost,
    TimeNotMeasurable,
    remaining_cost,
    remaining_cost_without_time,
    share_just_left,
)
from worker.compression.training.recovery import precision_settings, recover


@dataclass
class Course:
    """The whole network, as it is by now, and what has gone: block → (round, score when it went). `left`: the share
    of the target that is left. `why_untimed`: why no latency could be measured. `precisions`: of the trainings between
    rounds, `macs`: what is left behind each."""

    whole: ir.Model
    model: ir.Model
    cost: RemainingCost
    gone: dict[str, tuple[int, float]] = field(default_factory=dict)
    left: float = 1.0
    why_untimed: str | None = None
    precisions: list[str] = field(default_factory=list)
    macs: list[int | None] = field(default_factory=list)


def depth_pruning(model: ir.Model, step: DepthPruning, context: Context) -> StepResult:
    """Take blocks out until the target is reached; where it cannot be, all that can go goes, and `targets` say so.

    Raises `Refusal` `already_quantized`, `nothing_to_compress`, `missing_data`, `shape_needed`, `not_finite`,
    `model_does_not_run`, `unsupported_operator` where gradients are asked for, and what `recovery` raises.
    """
    refuse_quantized(model)
    unfuse_skip_layernorms(GraphEdit(model))
    all_blocks = blocks_of(model)
    candidates = {block.name: block for block in removable(model, all_blocks, step)}
    refuse_without(candidates, all_blocks, step)
    samples = context.draw_calibration(step.kind, step.samples)
    bench = Bench.of(context)
    gains = _gains(model, candidates, step, bench)
    scorer = scorer_of(step.criterion, model, samples, context)
    course = Course(model, model, _cost(model, step, bench, candidates))
    for number in range(1, step.rounds + 1):
        part = Within(context.progress, (number - 1) / step.rounds, number / step.rounds)
        target = step.remaining(number)
        _round(
            course, step, number, target, candidates, gains, scorer, replace(context, progress=part), bench
        )
        course.macs.append(bench.macs(course.model))
        if step.recovery is not None and number < step.rounds:
            precision = recover(course.model, step.recovery, replace(context, progress=part), number)
            course.precisions.append(precision)
    settings = _as_settings(model, step, bench, gains, course) | precision_settings(course.precisions)
    return _result(model, step, bench, all_blocks, candidates, course, settings)


def _cost(
    model: ir.Model, step: DepthPruning, bench: Bench, candidates: Mapping[str, Block]
) -> RemainingCost:
    if step.target != "blocks":
        return remaining_cost(model, step.target, bench)
    total = len(candidates)
    return RemainingCost(lambda cut, _: sum(str(node.name) in candidates for node in cut.graph) / total)


def _still_there(model: ir.Model, candidates: Mapping[str, Block], step: DepthPruning) -> list[Block]:
    """List the blocks that can still go. With the last of two that read an excluded layer that would go, too."""
    return [block for block in removable(model, residual_blocks(model), step) if block.name in candidates]


def _gains(
    model: ir.Model, candidates: Mapping[str, Block], step: DepthPruning, bench: Bench
) -> dict[str, float]:
    """What of the target goes with each block: its parameters, or its multiply-accumulates, which stand for time; 1
    where blocks are counted, or that is unknown."""
    if step.target == "blocks":
        return dict.fromkeys(candidates, 1.0)
    layers = {layer.name: layer for layer in layer_table(model, bench.shapes)}

    def gain(layer: LayerCost) -> float:
        return layer.parameters if step.target == "parameters" else layer.macs or 0

    gains = {name: sum(gain(layers[each]) for each in block.layers) for name, block in candidates.items()}
    return gains if any(gains.values()) else dict.fromkeys(candidates, 1.0)


def _round(
    course: Course,
    step: DepthPruning,
    number: int,
    target: float,
    candidates: Mapping[str, Block],
    gains: Mapping[str, float],
    scorer: Scorer,
    context: Context,
    bench: Bench,
) -> None:
    """Take blocks out until no more than `target` is left."""
    while course.left > target and (blocks := _still_there(course.model, candidates, step)):
        scores = scorer(course.model, blocks)
        worth = {name: score / gains[name] if gains[name] else inf for name, score in scores.items()}
        least = min(blocks, key=lambda block: worth[block.name])
        course.model = without_blocks(course.model, [least])
        course.gone[least.name] = (number, scores[least.name])
        context.progress.log(f"Took block {least.name} out: score {scores[least.name]:.3g}.")
        _count(course, bench)
        context.progress.advance(min(1.0, (1 - course.left) / (1 - target)))


def _count(course: Course, bench: Bench) -> None:
    """Count what is left; where a time cannot be told, by what stands in for it from here on."""
    try:
        course.left = course.cost.of(course.model, ())
    except TimeNotMeasurable as reason:
        course.cost, course.why_untimed = remaining_cost_without_time(course.whole, bench, reason)
        course.left = course.cost.of(course.model, ())


def _as_settings(
    model: ir.Model, step: DepthPruning, bench: Bench, gains: Mapping[str, float], course: Course
) -> dict[str, Any]:
    """The settings by which what went by time goes again: by multiply-accumulates, in whose order they go. None where
    nothing went, or a block that has none."""
    if step.target != "latency" or not course.gone or not all(gains[name] for name in course.gone):
        return {}
    before = bench.macs(model)
    shares = [min(1.0, share_just_left(before, after)) for after in course.macs if before and after]
    if len(shares) < step.rounds:
        return {}
    return {"target": "macs", "amount": 1 - shares[-1], "schedule": shares}


def _result(
    model: ir.Model,
    step: DepthPruning,
    bench: Bench,
    all_blocks: Blocks,
    candidates: Mapping[str, Block],
    course: Course,
    settings: dict[str, Any],
) -> StepResult:
    rows: list[dict[str, Any]] = [
        {"block": block.name, "layers": list(block.layers), "pinned": None, "removed": False, "round": None}
        | ({"pinned": "excluded"} if block.name not in candidates else {})
        | _gone(course.gone.get(block.name))
        for block in all_blocks.blocks
    ]
    rows += [
        {
            "block": each.name,
            "layers": list(each.layers),
            "pinned": each.reason,
            "removed": False,
            "round": None,
        }
        for each in all_blocks.pinned
    ]
    details = {
        "criterion": step.criterion,
        "macs": [bench.macs(model), bench.macs(course.model)],
        "parameters": [parameters(model), parameters(course.model)],
        "blocks": rows,
        "as_settings": settings,
    }
    notes = [] if course.why_untimed is None else [course.why_untimed]
    return StepResult(
        course.model,
        len(course.gone),
        len(all_blocks.blocks),
        notes,
        details,
        [_target(step, course, candidates)],
    )


def _gone(what: tuple[int, float] | None) -> dict[str, Any]:
    return {} if what is None else {"removed": True, "round": what[0], "score": what[1]}


def _target(step: DepthPruning, course: Course, candidates: Mapping[str, Block]) -> RequirementResult:
    """Say whether the step's target was reached; it was not where a time could not be measured."""
    share = 1 - course.left
    met = course.why_untimed is None and course.left <= 1 - step.amount
    why = course.why_untimed or beyond(step, len(candidates), share)
    return RequirementResult(
        name=f"depth_pruning.{step.target}",
        asked=step.amount,
        measured=None if course.why_untimed else share,
        interval=None,
        met=met,
        why=None if met else why,
    )
