"""What cutting channels leaves, where it follows from the groups alone: by `layer` each gives the same share.

Where groups compete, their scores decide which gives how much, and nothing is told.
"""

from dataclasses import replace

from winnow.contract.forecast.cuts import multiple_of, rounded_count, smallest_cut
from winnow.contract.forecast.network import Network, is_named
from winnow.contract.recipe import ChannelPruning


def channel_pruning(network: Network, step: ChannelPruning) -> Network:
    groups = network.facts.channel_groups
    if groups is None or not network.is_sized or any(weight.factor != 1 for weight in network.weights):
        return replace(network.unsized(), macs=None)
    if step.scope != "layer" or step.target == "latency" or (step.target == "macs" and not network.macs):
        return replace(network.unsized(), macs=None)
    whole = _cost(network, step, network.channels)
    for number in range(1, step.rounds + 1):
        target = (1 - step.amount) ** (number / step.rounds)
        network = _cut_once(network, step, whole, target)
    return network


def _cut_once(network: Network, step: ChannelPruning, whole: float, target: float) -> Network:
    groups, channels = network.facts.channel_groups or [], network.channels
    prunable = [
        number
        for number in range(len(groups))
        if channels[number] > 1 and not _excluded(network, number, step)
    ]

    def counts_without(share: float) -> tuple[int, ...]:
        counts = list(channels)
        for number in prunable:
            size = channels[number]
            count = max(1, size - round(share * size))
            counts[number] = rounded_count(count, size, multiple_of(size, step.round_to))
        return tuple(counts)

    cut = smallest_cut(counts_without, lambda counts: _cost(network, step, list(counts)) / whole, target)
    return network.with_channels(list(cut.counts))


def _excluded(network: Network, group: int, step: ChannelPruning) -> bool:
    producers = (network.facts.channel_groups or [])[group].producers
    return any(is_named(network.facts.layers[place], step.exclude) for place in producers)


def _cost(network: Network, step: ChannelPruning, channels: list[int]) -> float:
    match step.target:
        case "channels":
            return float(sum(channels))
        case "parameters":
            return network.with_channels(channels).parameters
        case _:
            return network.with_channels(channels).macs or 0.0
