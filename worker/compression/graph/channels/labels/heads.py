"""Find attention heads: which piece of an axis that is taken apart counts them.

Queries, keys and values of [batch, length, heads · width] are taken apart, moved about, and multiplied: one matrix for
each head. So every piece gets labels of its own in one run, and those that reach an axis along which two computed
values are multiplied matrix by matrix are heads. Of grouped queries [groups, queries, width] it is the groups, along
which the keys lie as well; of one key for all it is the queries.
"""

from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
import onnx_ir as ir

from worker.compression.graph.channels.labels.label_run import Choices, LabelRun
from worker.compression.graph.channels.labels.ledger import NONE, Vector, joined
from worker.compression.ir.values import is_constant

PRODUCTS: Final = frozenset({"MatMul", "FusedMatMul", "Einsum", "Attention"})


def multiplies_computed_values(model: ir.Model) -> bool:
    """Whether there can be heads that are taken apart by reshaping."""
    return any(
        node.op_type in PRODUCTS and not any(v is None or is_constant(v) for v in node.inputs[:2])
        for node in ir.traversal.RecursiveGraphIterator(model.graph)
    )


def preferred_pieces(run: LabelRun, classes: Vector, heads: Literal["whole", "inside"]) -> Choices:
    """By which piece channels stay apart where an axis holds heads: by head, or by place in a head.

    `run` is a search for heads, `classes` those of its labels. A piece may be taken apart again behind: what its own
    pieces are, it holds.
    """
    ranks, holds_inside = np.zeros(len(classes), np.int64), np.zeros(len(classes), bool)
    for each in run.heads:
        ranks[classes[each.labels]] = np.maximum(ranks[classes[each.labels]], 1 + each.shared)
    preferred: Choices = {}
    for key, (whole, pieces) in reversed((run.pieces or {}).items()):
        members = [classes[NONE if labels is None else labels] for labels in pieces]
        rank = [int(ranks[each].max(initial=0)) for each in members]
        inside = [bool(holds_inside[each].any()) for each in members]
        if not any(rank) and not any(inside):
            continue
        ranks[classes[whole]] = np.maximum(ranks[classes[whole]], max(rank))
        if heads == "whole":
            preferred[key] = max(range(len(pieces)), key=lambda i: (rank[i], len(members[i])))
        elif places := [i for i, holds in enumerate(inside) if holds] or [
            i for i, n in enumerate(rank) if not n and len(members[i])
        ]:
            preferred[key] = max(places, key=lambda i: len(members[i]))
            holds_inside[classes[whole]] = True
    return preferred


def queries_by_class(run: LabelRun, classes: Vector) -> Iterator[tuple[int, int]]:
    """Yield the classes that are heads, each with how many heads of queries it holds: more than one where these share
    keys and values."""
    for each in run.heads:
        if len(each.labels):
            longest = max((v for v in (each.first, each.second) if v is not None), key=len)
            members, counts = np.unique(classes[longest], return_counts=True)
            queries = each.queries * counts // _repeats(classes[longest])
            yield from zip(members.tolist(), queries.tolist(), strict=True)


def _repeats(members: Vector) -> int:
    """How often the heads are counted: once for each sample of a batch that the axis counts too."""
    starts = np.flatnonzero(np.diff(joined([np.array([-1]), members])))
    return max(1, int((members[starts] == members[0]).sum()))
