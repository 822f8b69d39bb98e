"""`student`: a smaller network of the same kind, with the weights of what stays or with new ones.

depth     blocks go, evenly spaced (`winnow.contract.evenly`)
width     channels go, the best stay (`channel_pruning`): the same share of every group, or as many as a target needs
init      new weights for all layers, where they are asked for (`fresh.py`)

At depth 1 and width 1 it is the model that came, bit for bit.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import onnx_ir as ir

from winnow.contract.recipe import ChannelPruning, Student
from winnow.contract.report import RequirementResult
from winnow.contract.steps.student import StudentSettings, StudentTarget
from worker.compression.channel_pruning.channel_pruning import channel_pruning
from worker.compression.graph.blocks.find import residual_blocks
from worker.compression.graph.blocks.removal import without_blocks
from worker.compression.graph.facts.cost import parameters
from worker.compression.progress import Within
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import refuse_quantized
from worker.compression.steps.remaining_cost import (
    Bench,
    TimeNotMeasurable,
    remaining_cost,
    remaining_cost_without_time,
    share_just_left,
)
from worker.compression.student.fresh import reinitialise
from worker.compression.student.plan import blocks_that_go, check_student

ROUNDING: Final = 1e-9
"""Of shares that are multiplied."""


@dataclass(frozen=True)
class _Narrowed:
    """The model, what was cut and how (None: nothing), and of a target the share that is left, or why no time could be
    told."""

    model: ir.Model
    cut: StepResult | None = None
    left: float = 1.0
    why_untimed: str | None = None


def student(model: ir.Model, step: Student, context: Context) -> StepResult:
    """Make the student. Raises what `make_student` raises."""
    return make_student(model, step, step.samples, context)


def make_student(model: ir.Model, settings: StudentSettings, samples: int, context: Context) -> StepResult:
    """Make the student of these settings; `samples` of the calibration data judge its channels, where there is some.

    Where a target cannot be reached, all that can be cut goes, and `targets` say so. Raises `Refusal`
    `already_quantized`, and what `check_student` and `channel_pruning` raise.
    """
    refuse_quantized(model)
    check_student(model, settings)
    bench, blocks = Bench.of(context), len(residual_blocks(model).blocks) if settings.depth < 1 else 0
    macs, whole = bench.macs(model), parameters(model)
    going = blocks_that_go(model, settings)
    made = without_blocks(model, going) if going else model
    narrowed = _narrowed(model, made, settings, samples, context, bench)
    drawn = reinitialise(narrowed.model, context.seed) if settings.init == "fresh" else 0
    cut = narrowed.cut
    details: dict[str, Any] = {
        "init": settings.init,
        "macs": [macs, bench.macs(narrowed.model)],
        "parameters": [whole, parameters(narrowed.model)],
        "removed_blocks": [block.name for block in going],
        "channels": None if cut is None else cut.details,
        "as_settings": _as_settings(settings, macs, bench.macs(narrowed.model)),
    }
    return StepResult(
        narrowed.model,
        len(going) + drawn + (0 if cut is None else cut.changed),
        blocks + drawn + (0 if cut is None else cut.candidates),
        [] if cut is None else cut.notes,
        details,
        [] if settings.target is None else [_target(settings, narrowed)],
    )


def _as_settings(settings: StudentSettings, before: int | None, after: int | None) -> dict[str, Any]:
    """The settings by which a width that was found by time is found again."""
    if settings.target != "latency" or not before or not after or after >= before:
        return {}
    return {"target": "macs", "amount": 1 - share_just_left(before, after)}


def _narrowed(
    model: ir.Model, made: ir.Model, settings: StudentSettings, samples: int, context: Context, bench: Bench
) -> _Narrowed:
    """Cut the channels that are too many, if there are any."""
    amount, left, why_untimed = 1 - settings.width, 1.0, None
    if settings.target is not None:
        assert settings.amount is not None
        left, why_untimed = _remaining_behind(model, made, settings.target, bench)
        amount = 1 - (1 - settings.amount) / left
    if amount <= 0:
        return _Narrowed(made, None, left, why_untimed)
    (scratch := context.scratch / "channels").mkdir()
    own = replace(context, scratch=scratch, progress=Within(context.progress, 0.1, 0.9))
    cut = channel_pruning(made, _pruning(settings, amount, samples), own)
    (target,) = cut.targets
    if target.measured is not None:
        left *= 1 - target.measured
    elif settings.target is not None:
        why_untimed = why_untimed or target.why
    return _Narrowed(cut.model, cut, left, why_untimed)


def _remaining_behind(
    model: ir.Model, made: ir.Model, target: StudentTarget, bench: Bench
) -> tuple[float, str | None]:
    """The share of the target that is left when the blocks are out, and why no time could be told, if so."""
    if made is model:
        return 1.0, None
    try:
        return remaining_cost(model, target, bench).of(made, ()), None
    except TimeNotMeasurable as reason:
        cost, why = remaining_cost_without_time(model, bench, reason)
        return cost.of(made, ()), why


def _pruning(settings: StudentSettings, amount: float, samples: int) -> ChannelPruning:
    """The step that cuts the channels; which ones matters nothing where their weights are drawn anew."""
    fresh = settings.init == "fresh"
    return ChannelPruning(
        kind="channel_pruning",
        criterion="l2" if fresh else None,
        target=settings.target or "channels",
        amount=amount,
        round_to=settings.round_to or (None if settings.target else 1),
        repair=False if fresh else None,
        samples=samples,
        exclude=settings.exclude,
    )


def _target(settings: StudentSettings, narrowed: _Narrowed) -> RequirementResult:
    """Say whether the target was reached; it was not where a time could not be measured."""
    assert settings.amount is not None
    share, why = 1 - narrowed.left, narrowed.why_untimed
    met = why is None and share >= settings.amount - ROUNDING
    beyond = (
        f"{settings.amount:.1%} of the {settings.target} were to go, and {share:.1%} went with depth "
        f"{settings.depth:g} and all channels that can be cut. Ask for less depth, or for less to go."
    )
    return RequirementResult(
        name=f"student.{settings.target}",
        asked=settings.amount,
        measured=None if why else share,
        interval=None,
        met=met,
        why=None if met else why or beyond,
    )
