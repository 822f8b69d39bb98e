"""What cutting channels leaves, where it follows from the groups alone: by `layer` each gives the same share.

Where groups compete, their scores decide which gives how much, and nothing is told.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from winnow.contract.forecast.costs import Costs, mac_costs, parameter_costs
from winnow.contract.forecast.cuts import ChannelCounts, multiple_of, rounded_count, smallest_cut
from winnow.contract.forecast.network import Network, is_named
from winnow.contract.recipe import ChannelPruning

MAX_EFFORT: Final = 30_000
"""Numbers looked at in all rounds together, for one cost each: a second or so, since a round asks for some forty."""


def channel_pruning(network: Network, step: ChannelPruning) -> Network:
    macs = mac_costs(network.facts)
    cost = _cost(network, step, macs)
    if cost is None:
        return replace(network.unsized(), macs=None)
    counts, whole = tuple(network.channels), cost(network.channels)
    prunable = [group for group in range(len(counts)) if not _is_excluded(network, group, step)]
    widths = [group.width for group in network.facts.channel_groups or []]
    for number in range(1, step.rounds + 1):
        target = step.remaining(number)
        counts = _cut_once(prunable, widths, step, counts, lambda counts: cost(counts) / whole, target)
    before = macs.of(network.channels)
    left = macs.of(counts) / before if before else 1.0
    return replace(network.with_channels(counts), macs=None if network.macs is None else network.macs * left)


def _cost(network: Network, step: ChannelPruning, macs: Costs) -> Callable[[Sequence[int]], float] | None:
    """What the target counts; None where nothing tells it beforehand, or it would take long to tell."""
    split = any(weight.factor != 1 for weight in network.weights)  # whose channels are others
    if network.facts.channel_groups is None or not network.is_sized or split or step.scope != "layer":
        return None
    of_heads = any(group.unit == "head" for group in network.facts.channel_groups)
    if step.embedding_width or (of_heads and step.heads != "whole"):  # the groups are others
        return None
    parameters = parameter_costs(network.facts)
    if (macs.effort + parameters.effort) * step.rounds > MAX_EFFORT:
        return None
    match step.target:
        case "channels":
            return sum
        case "parameters":
            return parameters.of
        case "macs":
            return macs.of if network.macs else None
        case "latency":
            return None


def _cut_once(
    prunable: list[int],
    widths: Sequence[int],
    step: ChannelPruning,
    counts: ChannelCounts,
    cost: Callable[[ChannelCounts], float],
    target: float,
) -> ChannelCounts:
    def counts_without(share: float) -> ChannelCounts:
        fewer = list(counts)
        for group in prunable:
            size = counts[group]
            count = max(1, size - round(share * size))
            fewer[group] = rounded_count(count, size, multiple_of(size, step.round_to, widths[group]))
        return tuple(fewer)

    return smallest_cut(counts_without, cost, target).counts


def _is_excluded(network: Network, group: int, step: ChannelPruning) -> bool:
    producers = (network.facts.channel_groups or [])[group].producers
    return any(is_named(network.facts.layers[place], step.exclude) for place in producers)
