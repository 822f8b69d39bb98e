"""What splitting layers into smaller ones leaves: of what the target counts, the share that is asked for."""

import math
from dataclasses import replace
from typing import Final

from winnow.contract.forecast.network import LINEAR, Network, Weight
from winnow.contract.recipe import LowRank

SPLIT_BYTES: Final = 60
"""The nodes and names that a layer has more when it is split."""
TABLES: Final = frozenset({"Gather"})
MIN_TABLE_NUMBERS: Final = 1 << 12
"""Numbers of a table below which it stays (16 KiB): a table of segments is not worth another node."""


def low_rank(network: Network, step: LowRank) -> Network:
    """The ranks of single layers follow from their singular values: what the target does not count, nothing tells."""
    layers = [weight for weight in network.matrices(LINEAR, step.exclude) if _has_split(weight)]
    before = network.macs
    if any(_is_tied(network, weight) for weight in network.weights):
        return replace(network.unsized(), macs=None)  # how its readers go together the facts do not say
    if step.rank == "parameters":
        layers += [w for w in network.matrices(TABLES, step.exclude) if w.numbers >= MIN_TABLE_NUMBERS]
        nodes = sum(len(weight.facts.readers) for weight in layers) * SPLIT_BYTES
        network = network.changed(layers, lambda weight: replace(weight, factor=1 - step.amount), nodes)
        return replace(network, macs=None)
    if step.rank == "macs" and before is not None:
        saved = step.amount * sum(layer.macs or 0 for weight in layers for layer in network.layers(weight))
        return replace(network.unsized(), macs=before - saved)
    return replace(network.unsized(), macs=None)


def _is_tied(network: Network, weight: Weight) -> bool:
    """Whether layers of several kinds read it: a table and the head that is tied to it."""
    kinds = {layer.op for layer in network.layers(weight)}
    return weight.is_float and kinds > TABLES


def _has_split(weight: Weight) -> bool:
    """A depthwise convolution has no channels of a group to combine."""
    return weight.rows / weight.facts.groups > 1 and math.prod(weight.shape) > 1
