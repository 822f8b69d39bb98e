"""Lets groups of channels compete in pools: how many channels each group keeps when a share of its pool goes.

    layer        every group is a pool of its own
    global       one pool of all groups
    isomorphic   groups that are built alike are a pool (Fang et al. 2024, arXiv:2407.04616)

Of a pool of N channels the round(share · N) of the lowest score go, but one of each group at least stays; then what a
group keeps is rounded to a multiple that suits the hardware.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from winnow.contract.forecast.cuts import ChannelCounts, multiple_of, rounded_count
from worker.compression.graph.channels import Group
from worker.compression.ir.arrays import Array


@dataclass(frozen=True)
class Pools:
    """`scores` of the channels of each group, `members` the groups of each pool, `multiples` what each group keeps
    multiples of."""

    scores: Sequence[Array]
    members: Sequence[Sequence[int]]
    multiples: Sequence[int]

    def counts_without(self, share: float) -> ChannelCounts:
        """Count what each group keeps when this share of every pool goes; never more for a larger share."""
        counts = [0] * len(self.scores)
        for groups in self.members:
            for group, count in zip(groups, self._pool_counts(groups, share), strict=True):
                counts[group] = rounded_count(count, len(self.scores[group]), self.multiples[group])
        return tuple(counts)

    def _pool_counts(self, groups: Sequence[int], share: float) -> list[int]:
        owners = np.concatenate([np.full(len(self.scores[g]), i) for i, g in enumerate(groups)])
        order = np.argsort(np.concatenate([self.scores[g] for g in groups]), kind="stable")
        owners_of_pruned = owners[order[: round(share * len(owners))]]
        pruned = np.bincount(owners_of_pruned, minlength=len(groups))
        return [max(1, len(self.scores[g]) - int(n)) for g, n in zip(groups, pruned, strict=True)]

    def pruned_channels(self, counts: ChannelCounts) -> list[Array]:
        """List the channels of each group that go: those of the lowest score."""
        return [
            np.sort(np.argsort(scores, kind="stable")[: len(scores) - count])
            for scores, count in zip(self.scores, counts, strict=True)
        ]


def competing_pools(
    model: ir.Model,
    groups: Sequence[Group],
    scores: Sequence[Array],
    scope: Literal["global", "layer", "isomorphic"],
    round_to: int | None,
) -> Pools:
    multiples = [multiple_of(len(group.channels), round_to, group.width) for group in groups]
    return Pools(scores, _members(model, groups, scope), multiples)


def _members(
    model: ir.Model, groups: Sequence[Group], scope: Literal["global", "layer", "isomorphic"]
) -> list[list[int]]:
    numbers = list(range(len(groups)))
    match scope:
        case "global":
            return [numbers]
        case "layer":
            return [[number] for number in numbers]
        case "isomorphic":
            by_structure: dict[object, list[int]] = {}
            for number in numbers:
                by_structure.setdefault(group_structure(model, groups[number]), []).append(number)
            return list(by_structure.values())


def group_structure(model: ir.Model, group: Group) -> tuple[object, ...]:
    """Describe what groups that are built alike share: their layers' operators, and the axes that a cut goes along."""
    operators = {str(node.name): node.op_type for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    layers = [[operators.get(name, "") for name in names] for names in (group.producers, group.consumers)]
    parts = [(part.role, part.axis) for part in group.channels[0].parts]
    return (tuple(layers[0]), tuple(layers[1]), tuple(sorted(parts)))
