"""`channel_pruning`: whole channels are cut out, with everything that depends on them.

After round r of R, (1 − amount)^(r / R) of what the target counts is left. A round: judge the channels, find the
smallest cut that reaches its share, cut, fit the layers behind to what the whole network answers, train.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import ChannelPruning, Distillation, Finetune
from worker.compression.channel_pruning import report
from worker.compression.channel_pruning.cost_targets import (
    Bench,
    Forecaster,
    Left,
    TimeUntold,
    left_of,
    left_without_time,
)
from worker.compression.channel_pruning.criteria_activation import any_seen
from worker.compression.channel_pruning.pools import Kept, Pools, pools
from worker.compression.channel_pruning.reconstruction import Repaired, repair
from worker.compression.channel_pruning.report import Round
from worker.compression.channel_pruning.scores import scores
from worker.compression.channel_pruning.search import Cut, smallest_cut
from worker.compression.data.samples import Samples
from worker.compression.graph.channels import Group, Groups, channel_groups, cut
from worker.compression.graph.facts.cost import parameters
from worker.compression.ir.naming import excluded
from worker.compression.layers.batchnorm import untie_batchnorms
from worker.compression.progress import Within
from worker.compression.runtime.observe import Array
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import refuse_quantized


def channel_pruning(model: ir.Model, step: ChannelPruning, context: Context) -> StepResult:
    """A target that cannot be reached gives the most that can be cut, and says so in `targets`.

    Raises `Refusal` `already_quantized`, `nothing_to_compress`, `missing_data`, `shape_needed`, `not_finite`,
    `model_does_not_run`, and what the steps of `recovery` raise.
    """
    refuse_quantized(model)
    untie_batchnorms(model)
    found = channel_groups(model)
    groups = prunable(model, found, step)
    if not groups:
        raise Refusal("nothing_to_compress", report.why_not(found), field="recipe.steps")
    criterion = step.criterion or criterion_for(model, groups, context.calibration)
    step = step.model_copy(update={"criterion": criterion})
    bench = Bench(
        context.benchmark,
        context.calibration or context.sized,
        context.scratch,
        context.seed,
        context.progress,
        context.shapes,
    )
    left = left_of(model, step, bench, groups)
    rounds: list[Round] = []
    untold: str | None = None
    for number in range(1, step.rounds + 1):
        if rounds:
            groups = prunable(rounds[-1].model, channel_groups(rounds[-1].model), step)
        if not groups:
            break
        most = (1 - step.amount) ** (number / step.rounds)
        part = Within(context.progress, (number - 1) / step.rounds, number / step.rounds)
        network = rounds[-1].model if rounds else model
        within = replace(context, progress=part)
        try:
            done = one_round(network, groups, step, within, left, most)
        except TimeUntold as reason:
            left, instead = left_without_time(model, bench)
            untold = f"No time could be told: {reason}. The {instead} decided in its place."
            done = one_round(network, groups, step, within, left, most)
        rounds.append(done)
        if step.recovery is not None and number < step.rounds:
            _train(done.model, step.recovery, replace(context, progress=part), number)
    return _changed(model, step, bench, found, rounds, untold)


def criterion_for(
    model: ir.Model, groups: Sequence[Group], samples: Samples | None
) -> Literal["taylor", "activation", "l2"]:
    """The best that there is data for, and an engine: gradients need all operators in torch (decision 0015)."""
    if samples is None:
        return "l2"
    if _has_gradient(model):
        return "taylor"
    return "activation" if any_seen(model, groups) else "l2"


def _has_gradient(model: ir.Model) -> bool:
    from worker.compression.engine.working import check_runs  # torch

    try:
        check_runs(model)
    except Refusal:
        return False
    first = model.graph.outputs[0].dtype
    return first is None or first.is_floating_point()


def prunable(model: ir.Model, found: Groups, step: ChannelPruning) -> list[Group]:
    """The groups that no excluded layer makes a channel of."""
    kept = {
        str(node.name)
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
        if excluded(node, step.exclude)
    }
    return [group for group in found.groups if not kept & set(group.producers)]


def one_round(
    model: ir.Model,
    groups: Sequence[Group],
    step: ChannelPruning,
    context: Context,
    left: Left,
    most: float,
) -> Round:
    """Judge, cut until no more than `most` is left, repair."""
    samples = None if context.calibration is None else context.calibration.draw(step.samples, context.seed)
    judged = scores(
        model, groups, step, samples, context.seed, lambda done: context.progress.advance(0.3 * done)
    )
    competing = pools(model, groups, judged.values, step.scope, step.round_to)
    found, smaller = _smallest(model, groups, competing, left, most, exact=not left.timed)
    repaired = _repaired(model, smaller, groups, competing.losers(found.kept), step, samples, context)
    return Round(smaller, groups, found, judged.instead, repaired)


def _smallest(
    model: ir.Model, groups: Sequence[Group], competing: Pools, left: Left, most: float, *, exact: bool
) -> tuple[Cut, ir.Model]:
    """The smallest cut, and the network after it. A forecast that does not hold for that network decides nothing."""

    def without(kept: Kept) -> ir.Model:
        lost = zip(groups, competing.losers(kept), strict=True)
        return cut(model, [group.channels[index] for group, indices in lost for index in indices])

    if (forecast := _forecast(model, groups, left)) is not None:
        found = smallest_cut(competing, lambda kept: forecast(competing.losers(kept)), most)
        smaller = without(found.kept)
        share = left.of(smaller, found.kept)
        if (share <= most) == found.reached:
            return replace(found, left=share), smaller
    found = smallest_cut(competing, lambda kept: left.of(without(kept), kept), most, exact=exact)
    return found, without(found.kept)


def _forecast(model: ir.Model, groups: Sequence[Group], left: Left) -> Forecaster | None:
    """None where it has to be measured, or where the channels are others for the shapes of the job."""
    try:
        return None if left.forecast is None else left.forecast(model, groups)
    except KeyError:
        return None


def _repaired(
    model: ir.Model,
    smaller: ir.Model,
    groups: Sequence[Group],
    losers: Sequence[Array],
    step: ChannelPruning,
    samples: Samples | None,
    context: Context,
) -> list[Repaired]:
    """By default where there is calibration data."""
    if samples is None or step.repair is False:
        return []
    gone: dict[str, list[int]] = {}
    for group, indices in zip(groups, losers, strict=True):
        for part in (part for index in indices for part in group.channels[index].parts):
            if part.role == "output":
                gone.setdefault(part.initializer, []).extend(part.indices)
    told = Within(context.progress, 0.4, 1.0)
    return repair(model, smaller, gone, samples, step.exclude, told.advance)


def _train(model: ir.Model, step: Finetune | Distillation, context: Context, number: int) -> None:
    """In place. Its files lie apart from those of the other rounds."""
    folder = context.scratch / f"recovery-{number}"
    folder.mkdir()
    own = replace(context, scratch=folder, curves=context.curves / f"round-{number}")
    if isinstance(step, Finetune):
        from worker.compression.training.finetune import finetune  # torch

        finetune(model, step, own)
    else:
        from worker.compression.training.distillation import distillation  # torch

        distillation(model, step, own)


def _changed(
    model: ir.Model,
    step: ChannelPruning,
    bench: Bench,
    found: Groups,
    rounds: Sequence[Round],
    untold: str | None,
) -> StepResult:
    groups = report.groups(found, rounds)
    last = rounds[-1].model
    details: dict[str, Any] = {
        "criterion": step.criterion,
        "scope": step.scope,
        "macs": [bench.macs(model), bench.macs(last)],
        "parameters": [parameters(model), parameters(last)],
        "rounds": [report.told(each) for each in rounds],
        "groups": groups,
    }
    changed = sum(row["channels_after"] < row["channels"] for row in groups)
    reached = report.target(step, rounds[-1].cut, untold)
    return StepResult(
        last, changed, len(found.groups), report.notes(step, rounds, untold), details, [reached]
    )
