"""What splitting layers into smaller ones leaves: of what the target counts, the share that is asked for."""

import math
from dataclasses import replace
from typing import Final

from winnow.contract.forecast.network import LINEAR, Network, Weight
from winnow.contract.recipe import LowRank

SPLIT_BYTES: Final = 60
"""The nodes and names that a layer has more when it is split."""


def low_rank(network: Network, step: LowRank) -> Network:
    """The ranks of single layers follow from their singular values: what the target does not count, nothing tells."""
    layers = [weight for weight in network.matrices(LINEAR, step.exclude) if _has_split(weight)]
    before = network.macs
    if step.rank == "parameters":
        nodes = len(layers) * SPLIT_BYTES
        network = network.changed(layers, lambda weight: replace(weight, factor=1 - step.amount), nodes)
        return replace(network, macs=None)
    if step.rank == "macs" and before is not None:
        saved = step.amount * sum(layer.macs or 0 for weight in layers for layer in network.layers(weight))
        return replace(network.unsized(), macs=before - saved)
    return replace(network.unsized(), macs=None)


def _has_split(weight: Weight) -> bool:
    """A depthwise convolution has no channels of a group to combine."""
    return weight.rows / weight.facts.groups > 1 and math.prod(weight.shape) > 1
