"""LSTM, GRU and RNN: one hidden unit is the same row of every gate, a column of R, and a value of each state.

h = 0 as long as all of a unit's weights, biases and first states are 0: every gate multiplies or mixes zeros.
"""

from typing import Final

from worker.compression.graph.channels.ledger import Vector
from worker.compression.graph.channels.node_view import Labelled, Step
from worker.compression.graph.channels.rule import Rule

GATES: Final = {"LSTM": 4, "GRU": 3, "RNN": 1}
X, W, R, B, LENGTHS, FIRST_STATE, FIRST_CELL, P = range(8)


def recurrent(step: Step) -> list[Labelled]:
    x, w, r = step.given(X), step.given(W), step.given(R)
    gates, hidden = GATES[step.node.op_type], r.shape[2]
    step.reads(w.axes[2])
    step.meet((x.axes[2], x.shape[2]), (w.axes[2], w.shape[2]), origin=x.origin)
    unit = r.axes[2]
    for vector, rows in (
        *((v.axes[1], gates) for v in (w, r)),
        (_last(step, B), 2 * gates),
        (_last(step, P), 3),
    ):
        folded = step.fold(vector, (rows, hidden), 1)
        step.unite(folded, unit)
    for index in (FIRST_STATE, FIRST_CELL):
        state = step.optional(index)
        if state is not None:
            step.meet((unit, hidden), (state.axes[-1], hidden), origin=state.origin)
    step.makes(w.axes[1])
    step.makes(r.axes[1])
    step.reads(r.axes[2])
    for vector in x.axes[:2]:
        step.pin(vector, f"{step} goes along them")
    return [
        step.result([*[None] * (len(shape) - 1), unit] if shape else [], zero=True, output=output)
        for output, shape in enumerate(step.shapes)
    ]


def _last(step: Step, index: int) -> Vector | None:
    value = step.optional(index)
    return None if value is None else value.axes[-1]


RULES: Final[dict[str, Rule]] = dict.fromkeys(GATES, recurrent)
