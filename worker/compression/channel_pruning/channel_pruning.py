"""`channel_pruning`: whole channels are cut out, with everything that depends on them.

After round r of R, (1 − amount)^(r / R) of what the target counts is left. A round: judge the channels, find the
smallest cut that reaches its share, cut, fit the layers behind to what the whole network answers, train.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.forecast.cuts import ChannelCounts, Cut, smallest_cut
from winnow.contract.recipe import ChannelPruning
from worker.compression.channel_pruning import report
from worker.compression.channel_pruning.criteria_activation import any_observable
from worker.compression.channel_pruning.pools import Pools, competing_pools
from worker.compression.channel_pruning.reconstruction import Reconstruction, reconstruct
from worker.compression.channel_pruning.report import Round
from worker.compression.channel_pruning.scores import score_channels
from worker.compression.channel_pruning.what_goes import cuttable, prunable_groups, refuse_impossible
from worker.compression.data.samples import Samples
from worker.compression.graph.channels import Cuttable, Group, Groups, channel_groups, cut
from worker.compression.graph.facts.cost import parameters
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit
from worker.compression.layers.batchnorm import untie_batchnorms
from worker.compression.progress import Within
from worker.compression.quantization.preparation.unfuse_skip_layernorm import unfuse_skip_layernorms
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import refuse_quantized
from worker.compression.steps.remaining_cost import (
    Bench,
    Forecaster,
    RemainingCost,
    TimeNotMeasurable,
    remaining_cost,
    remaining_cost_without_time,
)
from worker.compression.training.recovery import precision_settings, recover


def channel_pruning(model: ir.Model, step: ChannelPruning, context: Context) -> StepResult:
    """Cut channels until the target is reached; where it cannot be, all that can be cut goes, and `targets` say so.

    Raises `Refusal` `already_quantized`, `nothing_to_compress`, `missing_data`, `shape_needed`, `not_finite`,
    `model_does_not_run`, and what the steps of `recovery` raise.
    """
    refuse_quantized(model)
    untie_batchnorms(model)
    unfuse_skip_layernorms(GraphEdit(model))
    all_groups = channel_groups(model, cuttable(step))
    groups = prunable_groups(model, all_groups, step)
    if not groups:
        raise Refusal("nothing_to_compress", report.why_nothing_to_cut(all_groups), field="recipe.steps")
    refuse_impossible(all_groups, groups, step)
    criterion = step.criterion or default_criterion(model, groups, context.calibration)
    step = step.model_copy(update={"criterion": criterion})
    bench = Bench.of(context)
    cost = _counted(model, step, bench, groups)
    rounds: list[Round] = []
    precisions: list[str] = []
    why_untimed: str | None = None
    for number in range(1, step.rounds + 1):
        if rounds:
            remaining = channel_groups(rounds[-1].model, cuttable(step))
            groups = prunable_groups(rounds[-1].model, remaining, step)
        if not groups:
            break
        target = step.remaining(number)
        part = Within(context.progress, (number - 1) / step.rounds, number / step.rounds)
        network = rounds[-1].model if rounds else model
        within = replace(context, progress=part)
        try:
            pruned = prune_once(network, groups, step, within, cost, target)
        except TimeNotMeasurable as reason:
            cost, why_untimed = remaining_cost_without_time(model, bench, reason)
            pruned = prune_once(network, groups, step, within, cost, target)
        rounds.append(pruned)
        if step.recovery is not None and number < step.rounds:
            precisions.append(recover(pruned.model, step.recovery, replace(context, progress=part), number))
    settings = report.as_settings(step, rounds) | precision_settings(precisions)
    return _result(model, step, bench, all_groups, rounds, why_untimed, settings)


def _counted(model: ir.Model, step: ChannelPruning, bench: Bench, groups: Sequence[Group]) -> RemainingCost:
    if step.target != "channels":
        return remaining_cost(model, step.target, bench)
    total = sum(len(group.channels) for group in groups)
    return RemainingCost(lambda _, counts: sum(counts) / total)


def default_criterion(
    model: ir.Model, groups: Sequence[Group], samples: Samples | None
) -> Literal["taylor", "activation", "l2"]:
    """Choose the best criterion that there is data for; gradients need all operators in torch (decision 0015)."""
    if samples is None:
        return "l2"
    if _has_gradient(model):
        return "taylor"
    return "activation" if any_observable(model, groups) else "l2"


def _has_gradient(model: ir.Model) -> bool:
    from worker.compression.engine.working import check_runs  # needs torch

    try:
        check_runs(model)
    except Refusal:
        return False
    first = model.graph.outputs[0].dtype
    return first is None or first.is_floating_point()


def prune_once(
    model: ir.Model,
    groups: Sequence[Group],
    step: ChannelPruning,
    context: Context,
    cost: RemainingCost,
    target: float,
) -> Round:
    """Score the channels, cut until no more than `target` of the cost remains, reconstruct the layers behind."""
    samples = None if context.calibration is None else context.calibration.draw(step.samples, context.seed)
    scores = score_channels(
        model,
        groups,
        step,
        samples,
        context.seed,
        lambda done: context.progress.advance(0.3 * done),
        context.shared,
    )
    pools = competing_pools(model, groups, scores.values, step.scope, step.round_to)
    smallest, smaller = _smallest(model, groups, pools, cost, target, cuttable(step))
    pruned = pools.pruned_channels(smallest.counts)
    reconstructed = _reconstructed(model, smaller, groups, pruned, step, samples, context)
    return Round(smaller, groups, smallest, scores.judged_by_l2, reconstructed)


def _smallest(
    model: ir.Model,
    groups: Sequence[Group],
    pools: Pools,
    cost: RemainingCost,
    target: float,
    what: Cuttable,
) -> tuple[Cut, ir.Model]:
    """Find the smallest cut, and the network after it. A forecast that does not hold for that network decides
    nothing."""

    def network(counts: ChannelCounts) -> ir.Model:
        pruned = zip(groups, pools.pruned_channels(counts), strict=True)
        return cut(model, [group.channels[index] for group, indices in pruned for index in indices], what)

    if (forecast := _forecast(model, groups, cost, what)) is not None:
        smallest = smallest_cut(
            pools.counts_without, lambda counts: forecast(pools.pruned_channels(counts)), target
        )
        smaller = network(smallest.counts)
        share = cost.of(smaller, smallest.counts)
        if (share <= target) == smallest.reached:
            return replace(smallest, remaining=share), smaller
    exact = not cost.timed
    smallest = smallest_cut(
        pools.counts_without, lambda counts: cost.of(network(counts), counts), target, exact=exact
    )
    return smallest, network(smallest.counts)


def _forecast(
    model: ir.Model, groups: Sequence[Group], cost: RemainingCost, what: Cuttable
) -> Forecaster | None:
    """Prepare a forecast; None where the cost has to be measured, or the channels are others for the job's shapes."""
    try:
        return None if cost.forecast is None else cost.forecast(model, groups, what)
    except KeyError:
        return None


def _reconstructed(
    model: ir.Model,
    smaller: ir.Model,
    groups: Sequence[Group],
    pruned: Sequence[Array],
    step: ChannelPruning,
    samples: Samples | None,
    context: Context,
) -> list[Reconstruction]:
    """Fit the layers behind the cut, by default where there is calibration data."""
    if samples is None or step.repair is False:
        return []
    pruned_outputs: dict[str, list[int]] = {}
    for group, indices in zip(groups, pruned, strict=True):
        for part in (part for index in indices for part in group.channels[index].parts):
            if part.role == "output":
                pruned_outputs.setdefault(part.initializer, []).extend(part.indices)
    progress = Within(context.progress, 0.4, 1.0)
    return reconstruct(model, smaller, pruned_outputs, samples, step.exclude, progress.advance)


def _result(
    model: ir.Model,
    step: ChannelPruning,
    bench: Bench,
    all_groups: Groups,
    rounds: Sequence[Round],
    why_untimed: str | None,
    settings: dict[str, Any],
) -> StepResult:
    groups = report.group_rows(all_groups, rounds)
    last = rounds[-1].model
    details: dict[str, Any] = {
        "criterion": step.criterion,
        "scope": step.scope,
        "macs": [bench.macs(model), bench.macs(last)],
        "parameters": [parameters(model), parameters(last)],
        "rounds": [report.as_report(each) for each in rounds],
        "groups": groups,
        "widths": report.width_rows(model, last),
        "as_settings": settings,
    }
    changed = sum(row["channels_after"] < row["channels"] for row in groups)
    target = report.target_result(step, rounds[-1].cut, why_untimed)
    notes = report.notes(step, rounds, why_untimed)
    return StepResult(last, changed, len(all_groups.groups), notes, details, [target])
