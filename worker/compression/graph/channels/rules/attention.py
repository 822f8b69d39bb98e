"""softmax(Q Kᵀ · scale) V: heads go together, and so do the widths of Q and K.

Operands are [batch, heads, length, width], or [batch, length, heads · width] with the number of heads beside: then
either whole heads go, or the same width inside all of them. Queries may share keys and values: head h of Q reads head
h // (heads of Q / heads of K) of K and V, and they go by such groups.

Without `scale` it is 1 / √width: a narrower one would change it, so Q and K keep theirs. Then V alone is cut.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from worker.compression.graph.channels.labels.label_run import Heads
from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.labels.node_view import Labelled, NodeView, Rule
from worker.compression.graph.channels.rules.linear import contract

Q, K, V, MASK, FIRST_OPTION = range(5)
FLAT_AXIS: Final = 2
"""Where heads share an axis with their width."""
HEAD_COUNTS: Final = ("q_num_heads", "kv_num_heads", "kv_num_heads")


@dataclass(frozen=True)
class Operand:
    """Q, K or V: labels of its heads and of the places inside each, at most one of both where they share an axis."""

    value: Labelled
    heads: Vector | None
    count: int
    inside: Vector | None
    width: int


def attention(view: NodeView) -> Labelled:
    """Heads of Q, K and V go together, widths of Q and K too, unless the scale follows from them: then they stay.

    Raises `ValueError` where numbers of heads do not divide.
    """
    values = [view.required(index) for index in (Q, K, V)]
    options = [value for value in view.inputs[FIRST_OPTION:] if value is not None]
    ranks = {len(value.shape) for value in values}
    if options or view.node.domain or ranks not in ({3}, {4}):
        view.pin_all(f"no rule for this form of {view}")
        return view.unlabelled()
    q, k, v = (_operand(view, index, value) for index, value in enumerate(values))
    if q.count % k.count or k.count != v.count:
        raise ValueError(f"{q.count} heads of queries, {k.count} of keys, {v.count} of values")
    if "scale" in view.node.attributes:
        contract(view, q.value, k.value, (q.inside, q.width), (k.inside, k.width))
    else:
        for each in (q, k):
            view.pin(each.inside, f"{view} is scaled by how many there are")
    heads = _together(view, q, k, v)
    for value in values[K:]:
        view.pin(value.axes[-2], f"{view} normalises over them")
    batch, length = values[Q].axes[0], values[Q].axes[-2]
    if ranks == {4}:
        return view.result([batch, heads, length, v.inside], zero=v.value.zero)
    return view.result([batch, length, _joined(view, heads, q.count, v)], zero=v.value.zero)


def _joined(view: NodeView, heads: Vector | None, count: int, v: Operand) -> Vector | None:
    """Labels of the result's last axis, [heads · width]."""
    if heads is not None:
        view.pin(v.inside, f"{view} joins them with its heads")
        return heads.repeat(v.width)
    return None if v.inside is None else np.tile(v.inside, count)


def _operand(view: NodeView, index: int, value: Labelled) -> Operand:
    """Take the last axis apart where heads lie along it. Raises `ValueError` where they do not divide it."""
    if len(value.shape) == 4:
        return Operand(value, value.axes[1], value.shape[1], value.axes[3], value.shape[3])
    vector, size = value.pairs()[-1]
    count = view.node.attributes.get_int(HEAD_COUNTS[index], 1)
    sizes = (count, size // count)
    if size % count:
        raise ValueError(f"{count} heads do not divide {size}")
    if vector is None:
        return Operand(value, None, count, None, sizes[1])
    heads, inside = view.apart(vector, sizes, FLAT_AXIS + index)
    return Operand(value, heads, count, inside, sizes[1])


def _together(view: NodeView, q: Operand, k: Operand, v: Operand) -> Vector | None:
    """Unite heads of queries with those of the keys and values that they read, and of a mask that has them."""
    shared = [
        (None if each.heads is None else each.heads.repeat(q.count // each.count), q.count)
        if each.count > 1
        else (None, 1)
        for each in (k, v)
    ]
    view.run.heads.extend(Heads(q.heads, other) for other, _ in shared)
    heads = view.share_labels((q.heads, q.count), *shared, origin=v.value.origin)
    mask = view.optional(MASK)
    if mask is not None and len(mask.shape) > 2 and mask.shape[-3] != 1:
        heads = view.share_labels((heads, q.count), (mask.axes[-3], mask.shape[-3]), origin=mask.origin)
    return heads


def rotary_embedding(view: NodeView) -> Labelled:
    """Pairs of places in a head are turned, by angles of a table: whole heads pass, what is inside stays."""
    x = view.required()
    if len(x.shape) == 4:
        view.pin(x.axes[3], f"{view} turns them by angles of their own")
        return view.result([x.axes[0], x.axes[1], x.axes[2], None], zero=x.zero)
    count = view.node.attributes.get_int("num_heads", 0)
    vector, size = x.pairs()[-1]
    if vector is None or count < 1:
        view.pin_all(f"no rule for this form of {view}")
        return view.unlabelled()
    heads, inside = view.apart(vector, (count, size // count), len(x.shape) - 1)
    view.pin(inside, f"{view} turns them by angles of their own")
    return view.result([*x.axes[:2], None if heads is None else heads.repeat(size // count)], zero=x.zero)


RULES: Final[dict[str, Rule]] = {"Attention": attention, "RotaryEmbedding": rotary_embedding}
