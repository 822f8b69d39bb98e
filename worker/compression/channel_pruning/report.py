"""Reports what was cut and what was not, in words and numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import onnx_ir as ir

from winnow.contract.forecast.cuts import Cut
from winnow.contract.recipe import ChannelPruning
from winnow.contract.report import RequirementResult
from worker.compression.channel_pruning.reconstruction import Reconstruction
from worker.compression.graph.channels import Group, Groups, describe
from worker.compression.layers.linear import linears
from worker.compression.measure.timing.interleaved import MEASURED_ANEW_NOTE

SHOWN: Final = 4
"""Reasons and names that a sentence lists."""


@dataclass(frozen=True)
class Round:
    """One cut of `groups`: the network after it, the names of groups that were `judged_by_l2`, and how well the layers
    behind were reconstructed."""

    model: ir.Model
    groups: Sequence[Group]
    cut: Cut
    judged_by_l2: list[str]
    reconstructed: list[Reconstruction]


def group_rows(groups: Groups, rounds: Sequence[Round]) -> list[dict[str, Any]]:
    """List each group with what it couples and its channels before and after; then what is pinned, and why.

    Of queries that share their keys, a later round may take single ones: what is left counts as whole heads.
    """
    queries = {group.name: group.queries for group in groups.groups}
    counts = {group.name: len(group.channels) for group in groups.groups}
    for each in rounds:  # a group of one channel is none for the next round
        counts |= {
            group.name: -(-count * group.queries // queries.get(group.name, group.queries))
            for group, count in zip(each.groups, each.cut.counts, strict=True)
        }
    return [
        row | {"channels_after": row["channels"] if row["pinned"] else counts[row["name"]]}
        for row in describe(groups)
    ]


def width_rows(before: ir.Model, after: ir.Model) -> list[dict[str, Any]]:
    """List the layers that a cut made narrower, with their inputs and outputs before and after."""
    whole = {layer.name: layer for layer in linears(before)}
    pairs = ((whole[layer.name], layer) for layer in linears(after) if layer.name in whole)
    return [
        {
            "layer": new.name,
            "inputs": [old.groups * old.channels, new.groups * new.channels],
            "outputs": [old.groups * old.shape[1], new.groups * new.shape[1]],
        }
        for old, new in pairs
        if old.dims != new.dims
    ]


def as_report(each: Round) -> dict[str, Any]:
    return {
        "left": each.cut.remaining,
        "repaired": [
            {"layer": r.name, "relative_error_before": r.before, "relative_error_after": r.after}
            for r in each.reconstructed
        ],
    }


def as_settings(step: ChannelPruning, rounds: Sequence[Round]) -> dict[str, Any]:
    """The settings by which cuts that were chosen by time are made again: so many channels. None where nothing went."""
    if step.target != "latency":
        return {}
    whole = sum(len(group.channels) for group in rounds[0].groups)
    shares = [min(1.0, (sum(each.cut.counts) + 0.5) / whole) for each in rounds]
    if shares[-1] == 1:
        return {}
    schedule = shares + shares[-1:] * (step.rounds - len(rounds))
    return {"target": "channels", "amount": 1 - shares[-1], "schedule": schedule}


def notes(step: ChannelPruning, rounds: Sequence[Round], why_untimed: str | None) -> list[str]:
    """Write the step's notes. `why_untimed`: why no latency could be measured, None where it could or is no target."""
    times = [_time_note(rounds[-1].cut)] if step.target == "latency" else []
    sentences = times if why_untimed is None else [why_untimed]
    if by_l2 := sorted({name for each in rounds for name in each.judged_by_l2}):
        criterion = f"{step.criterion} says nothing of {len(by_l2)} groups, which were judged by l2"
        sentences.insert(0, f"{criterion}: {_few(by_l2)}.")
    return sentences


def _time_note(cut: Cut) -> str:
    share = f"{cut.remaining:.1%} of the time before the step"
    return f"As it was cut, before any repair, the network took {share}; {MEASURED_ANEW_NOTE}."


def target_result(step: ChannelPruning, cut: Cut, why_untimed: str | None = None) -> RequirementResult:
    """Say whether the step's target was reached; it was not where a time could not be measured (`why_untimed`)."""
    if why_untimed is not None:
        return RequirementResult(
            name=f"channel_pruning.{step.target}",
            asked=step.amount,
            measured=None,
            interval=None,
            met=False,
            why=why_untimed,
        )
    gone = 1 - cut.remaining
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
        met=cut.reached,
        why=None if cut.reached else why,
    )


def why_nothing_to_cut(groups: Groups) -> str:
    """Say what keeps every channel where it is."""
    if groups.groups:
        return f"`exclude` leaves none of the {len(groups.groups)} groups of channels that could be cut."
    reasons = [f"{pinned.channels} of {pinned.node}: {pinned.reason}" for pinned in groups.pinned]
    listed = _few(reasons) if reasons else "no layer with a weight makes any"
    return f"The model has no channels that can be cut ({listed})."


def _few(items: Sequence[str]) -> str:
    return "; ".join(items[:SHOWN]) + ("; …" if len(items) > SHOWN else "")
