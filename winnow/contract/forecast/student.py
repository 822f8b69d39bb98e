"""What a student's width leaves; what goes with its blocks is left to the worker."""

from winnow.contract.forecast.network import Network
from winnow.contract.forecast.pruning import channel_pruning
from winnow.contract.recipe import ChannelPruning, Student


def smaller(network: Network, step: Student) -> Network:
    if step.depth < 1:
        return network.unsized()
    amount = step.amount or 1 - step.width
    if not amount:
        return network
    narrower = ChannelPruning(
        kind="channel_pruning",
        target=step.target or "channels",
        amount=amount,
        round_to=step.round_to or (None if step.target else 1),
        samples=step.samples,
        exclude=step.exclude,
    )
    return channel_pruning(network, narrower)
