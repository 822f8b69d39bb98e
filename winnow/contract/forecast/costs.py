"""What a model costs as a function of how many channels each group has: a sum of products, quick to ask for.

cost = Σ numbers · Π over axes (1 - Σ over the groups along it  share · (1 - kept / channels))
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from winnow.contract.model import ModelFacts
from winnow.contract.stored_weights import AxisChannels, ChannelGroup

Axes = tuple[tuple[tuple[int, float], ...], ...]
"""Of each axis that channels lie along: the groups, each with the share of the axis that is theirs."""


@dataclass(frozen=True)
class Costs:
    """`terms` are what is multiplied and added for each kind of axes; `channels` those of each group before a cut."""

    terms: dict[Axes, float]
    channels: list[int]

    @property
    def effort(self) -> int:
        """How many numbers are looked at for one answer."""
        return sum(1 + sum(map(len, axes)) for axes in self.terms)

    def of(self, counts: Sequence[int]) -> float:
        """The cost where the groups have so many channels."""
        gone = [1 - count / channels for count, channels in zip(counts, self.channels, strict=True)]
        total = 0.0
        for axes, numbers in self.terms.items():
            for axis in axes:
                numbers *= 1 - sum([share * gone[group] for group, share in axis])
            total += numbers
        return total


def parameter_costs(facts: ModelFacts) -> Costs:
    weights = () if facts.stored is None else facts.stored.weights
    learnt = (weight for weight in weights if weight.learnt)
    return _costs(facts.channel_groups, ((w.count * math.prod(w.shape), w.shape, w.channels) for w in learnt))


def mac_costs(facts: ModelFacts) -> Costs:
    """A layer's multiply-accumulates are as its weights' numbers: each multiplies as often as before."""
    if facts.stored is None:
        return Costs({}, [])
    numbers = [0.0] * len(facts.layers)
    for weight in facts.stored.weights:
        for place in weight.readers:
            numbers[place] += math.prod(weight.shape)
    of_layers = (
        (
            (facts.layers[place].macs or 0) * math.prod(weight.shape) / numbers[place],
            weight.shape,
            weight.channels,
        )
        for weight in facts.stored.weights
        for place in weight.readers
    )
    of_products = ((product.macs, product.shape, product.channels) for product in facts.stored.products)
    return _costs(facts.channel_groups, (*of_layers, *of_products))


def _costs(
    groups: list[ChannelGroup] | None, parts: Iterable[tuple[float, list[int], list[AxisChannels]]]
) -> Costs:
    terms: dict[Axes, float] = {}
    for numbers, shape, channels in parts:
        shares = (
            tuple((group, indices / size) for group, indices in along)
            for size, along in zip(shape, channels, strict=True)
            if along
        )
        axes = tuple(shares)
        terms[axes] = terms.get(axes, 0.0) + numbers
    return Costs(terms, [group.channels for group in groups or []])
