"""What taking words out of tables leaves: how many rows the data has decides, and facts do not tell that."""

from dataclasses import replace

from winnow.contract.forecast.network import Network


def vocabulary_pruning(network: Network) -> Network:
    """Multiply-accumulates stay, but for heads with a logit for each id: these shrink by as much."""
    sizes = {table.ids for table in network.facts.tables or ()}
    heads = any(
        layer.macs and layer.weight and not sizes.isdisjoint(layer.weight) for layer in network.facts.layers
    )
    is_told = network.facts.tables is not None and not heads
    return replace(network.unsized(), macs=network.macs if is_told else None)
