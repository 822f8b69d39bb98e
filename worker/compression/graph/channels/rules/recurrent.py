"""LSTM, GRU and RNN: one hidden unit is the same row of every gate, a column of R, and a value of each state.

h = 0 as long as all of a unit's weights, biases and first states are 0: every gate multiplies or mixes zeros.
"""

from typing import Final

from worker.compression.graph.channels.labels.ledger import Vector
from worker.compression.graph.channels.labels.node_view import Labelled, NodeView, Rule

GATES: Final = {"LSTM": 4, "GRU": 3, "RNN": 1}
X, W, R, B, LENGTHS, FIRST_STATE, FIRST_CELL, P = range(8)


def recurrent(view: NodeView) -> list[Labelled]:
    """A hidden unit is a row of each gate in W [D, gates · H, I], in R [D, gates · H, H] and in the biases, a column of
    R, and a channel of the states and of Y."""
    x, w, r = view.required(X), view.required(W), view.required(R)
    gates, hidden = GATES[view.node.op_type], r.shape[2]
    view.consumes(w.axes[2])
    view.share_labels((x.axes[2], x.shape[2]), (w.axes[2], w.shape[2]), origin=x.origin)
    unit = r.axes[2]
    for vector, rows in (
        *((v.axes[1], gates) for v in (w, r)),
        (_last(view, B), 2 * gates),
        (_last(view, P), 3),
    ):
        folded = view.fold(vector, (rows, hidden), 1)
        view.unite(folded, unit)
    for index in (FIRST_STATE, FIRST_CELL):
        state = view.optional(index)
        if state is not None:
            view.share_labels((unit, hidden), (state.axes[-1], hidden), origin=state.origin)
    view.produces(w.axes[1])
    view.produces(r.axes[1])
    view.consumes(r.axes[2])
    for vector in x.axes[:2]:
        view.pin(vector, f"{view} goes along them")
    return [
        view.result([*[None] * (len(shape) - 1), unit] if shape else [], zero=True, output=output)
        for output, shape in enumerate(view.shapes)
    ]


def _last(view: NodeView, index: int) -> Vector | None:
    value = view.optional(index)
    return None if value is None else value.axes[-1]


RULES: Final[dict[str, Rule]] = dict.fromkeys(GATES, recurrent)
