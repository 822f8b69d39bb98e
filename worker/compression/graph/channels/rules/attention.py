"""softmax(Q Kᵀ · scale) V of [batch, heads, length, width]: heads go together, and so do the widths of Q and K.

Without `scale` it is 1 / √width: a narrower one would change it, so Q and K keep theirs. Then V alone is cut.
"""

from typing import Final

from worker.compression.graph.channels.node_view import Labelled, NodeView, Rule
from worker.compression.graph.channels.rules.linear import contract

Q, K, V, MASK, FIRST_OPTION = range(5)


def attention(view: NodeView) -> Labelled:
    """Heads of Q, K and V go together, widths of Q and K too, unless the scale follows from them: then they stay."""
    q, k, v = (view.required(index) for index in (Q, K, V))
    options = [value for value in view.inputs[FIRST_OPTION:] if value is not None]
    if options or any(len(value.shape) != 4 for value in (q, k, v)) or q.shape[1] != k.shape[1]:
        view.pin_all(f"no rule for this form of {view}")
        return view.unlabelled()
    if "scale" in view.node.attributes:
        contract(view, q, k, (q.axes[3], q.shape[3]), (k.axes[3], k.shape[3]))
    else:
        for value in (q, k):
            view.pin(value.axes[3], f"{view} is scaled by how many there are")
    heads = view.share_labels(*((value.axes[1], value.shape[1]) for value in (q, k, v)), origin=v.origin)
    mask = view.optional(MASK)
    if mask is not None and len(mask.shape) > 2 and mask.shape[-3] != 1:
        heads = view.share_labels((heads, q.shape[1]), (mask.axes[-3], mask.shape[-3]), origin=mask.origin)
    for value in (k, v):
        view.pin(value.axes[2], f"{view} normalises over them")
    return view.result([q.axes[0], heads, q.axes[2], v.axes[3]], zero=v.zero)


RULES: Final[dict[str, Rule]] = {"Attention": attention}
