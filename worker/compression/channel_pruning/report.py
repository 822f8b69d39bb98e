"""What was cut and what was not, in words and numbers for the report."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import onnx_ir as ir

from winnow.contract.recipe import ChannelPruning
from winnow.contract.report import RequirementResult
from worker.compression.channel_pruning.reconstruction import Repaired
from worker.compression.channel_pruning.search import Cut
from worker.compression.graph.channels import Group, Groups, describe
from worker.compression.measure.timing.interleaved import MEASURED_ANEW_NOTE

SHOWN: Final = 4
"""Reasons and names that a sentence lists."""


@dataclass(frozen=True)
class Round:
    """One cut of `groups`: the network after it, groups that were judged by l2, and what the repair did."""

    model: ir.Model
    groups: Sequence[Group]
    cut: Cut
    instead: list[str]
    repaired: list[Repaired]


def groups(found: Groups, rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """Each group with what it couples and its channels before and after; then what is pinned, and why."""
    kept = {group.name: len(group.channels) for group in found.groups}
    for each in rounds:  # a group of one channel is none for the next round
        kept |= {group.name: count for group, count in zip(each.groups, each.cut.kept, strict=True)}
    return [
        row | {"channels_after": row["channels"] if row["pinned"] else kept[row["name"]]}
        for row in describe(found)
    ]


def told(each: Round) -> dict[str, Any]:
    return {
        "left": each.cut.left,
        "repaired": [
            {"layer": r.name, "relative_error_before": r.before, "relative_error_after": r.after}
            for r in each.repaired
        ],
    }


def notes(step: ChannelPruning, rounds: Sequence[Round], untold: str | None) -> list[str]:
    """`untold`: why no latency could be told, None where it could or was not asked for."""
    times = [_timed(rounds[-1].cut)] if step.target == "latency" else []
    said = times if untold is None else [untold]
    if instead := sorted({name for each in rounds for name in each.instead}):
        criterion = f"{step.criterion} says nothing of {len(instead)} groups, which were judged by l2"
        said.insert(0, f"{criterion}: {_few(instead)}.")
    return said


def _timed(found: Cut) -> str:
    share = f"the network took {found.left:.1%} of the time before the step"
    return f"As it was cut, before any repair, {share}; {MEASURED_ANEW_NOTE}."


def target(step: ChannelPruning, found: Cut, untold: str | None = None) -> RequirementResult:
    """The step's own target, reached or not; not where a time could not be told, as `untold` says."""
    if untold is not None:
        return RequirementResult(
            name=f"channel_pruning.{step.target}",
            asked=step.amount,
            measured=None,
            interval=None,
            met=False,
            why=untold,
        )
    gone = 1 - found.left
    finer = "" if step.round_to == 1 else ", or set round_to to 1"
    why = (
        f"{step.amount:.1%} of the {step.target} were to go, and {gone:.1%} is the most that can be cut: what is left "
        f"is pinned, excluded, or the last channels of its group. Ask for less, or exclude less{finer}."
    )
    return RequirementResult(
        name=f"channel_pruning.{step.target}",
        asked=step.amount,
        measured=gone,
        interval=None,
        met=found.reached,
        why=None if found.reached else why,
    )


def why_not(found: Groups) -> str:
    """What keeps every channel where it is."""
    if found.groups:
        return f"`exclude` leaves none of the {len(found.groups)} groups of channels that could be cut."
    reasons = [f"{pinned.channels} of {pinned.node}: {pinned.reason}" for pinned in found.pinned]
    listed = _few(reasons) if reasons else "no layer with a weight makes any"
    return f"The model has no channels that can be cut ({listed})."


def _few(items: Sequence[str]) -> str:
    return "; ".join(items[:SHOWN]) + ("; …" if len(items) > SHOWN else "")
