"""LSTM, GRU and RNN: torch's fused functions where they compute the same, else step by step (`cells`).

For D directions X [T, N, I] (layout 0), W [D, gates · hidden, I], R [D, gates · hidden, hidden] and
B [D, 2 · gates · hidden] → Y [T, D, N, hidden], Y_h [D, N, hidden] (and for LSTM Y_c).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from worker.compression.engine.operator import Attributes, Build, Function, Operator
from worker.compression.engine.operators.cells import Cell, walk
from worker.compression.engine.operators.selection import reversed_within

ORDER: Final = {"LSTM": [0, 2, 3, 1], "GRU": [1, 0, 2], "RNN": [0]}
"""Where torch's gates lie among ONNX's: i f g o of i o f g; r z n of z r h."""
DEFAULTS: Final = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
FUSED: Final[dict[tuple[str, str], Callable[..., Any]]] = {
    ("LSTM", "tanh"): torch.lstm,
    ("GRU", "tanh"): torch.gru,
    ("RNN", "tanh"): torch.rnn_tanh,
    ("RNN", "relu"): torch.rnn_relu,
}


@dataclass(frozen=True)
class Operands:
    """The inputs with time first; `states` are h (and c), `peep` is LSTM's P."""

    x: torch.Tensor
    w: torch.Tensor
    r: torch.Tensor
    b: torch.Tensor
    lengths: torch.Tensor | None
    states: tuple[torch.Tensor, ...]
    peep: torch.Tensor | None = None


Sequences = tuple[torch.Tensor, tuple[torch.Tensor, ...]]
"""Y [T, N, D · hidden] and the last states."""


def recurrent(kind: str) -> Build:
    """LSTM, GRU or RNN: X [L, N, I] (or [N, L, I] by `layout`) → Y [L, directions, N, H] and the last states."""

    def build(attributes: Attributes) -> Function:
        direction, layout = attributes.text("direction", "forward"), attributes.integer("layout", 0)
        cells = _cells(attributes, kind, 2 if direction == "bidirectional" else 1)
        fused = _fused(cells, kind)

        def run(*inputs: torch.Tensor | None) -> tuple[torch.Tensor, ...]:
            operands = _operands(inputs, kind, layout)
            if fused is not None and operands.peep is None:
                y, states = _by_torch(operands, fused, direction, ORDER[kind])
            else:
                y, states = _by_steps(operands, cells, direction)
            y = y.reshape(*y.shape[:2], len(cells), -1)
            if layout:
                return y.transpose(0, 1), *(state.transpose(0, 1) for state in states)
            return y.transpose(1, 2), *states

        return run

    return build


def _cells(attributes: Attributes, kind: str, directions: int) -> list[Cell]:
    names = [name.lower() for name in attributes.texts("activations") or DEFAULTS[kind] * directions]
    each = len(names) // directions
    return [
        Cell(
            kind,
            tuple(names[i * each : (i + 1) * each]),
            attributes.number("clip", 0.0),
            bool(attributes.integer("linear_before_reset", 0)),
            bool(attributes.integer("input_forget", 0)),
        )
        for i in range(directions)
    ]


def _fused(cells: list[Cell], kind: str) -> Callable[..., Any] | None:
    first = cells[0]
    plain = all(cell == first for cell in cells) and not first.clip and not first.input_forget
    if kind == "GRU" and not first.linear_before_reset:
        return None
    usual = kind == "RNN" or list(first.activations) == [name.lower() for name in DEFAULTS[kind]]
    return FUSED.get((kind, first.activations[-1])) if plain and usual else None


def _operands(inputs: tuple[torch.Tensor | None, ...], kind: str, layout: int) -> Operands:
    """What is left out is zero. All in the weights' type, which autocast does not change for a loop."""
    x, w, r, b, lengths, h, c, peep = (*inputs, *[None] * 8)[:8]
    assert x is not None
    assert w is not None
    assert r is not None
    x = (x.transpose(0, 1) if layout else x).to(w.dtype)
    zero = x.new_zeros(w.shape[0], x.shape[1], r.shape[2])
    first_states = (h, c) if kind == "LSTM" else (h,)
    states = tuple(
        zero if s is None else (s.transpose(0, 1) if layout else s).to(w.dtype).contiguous()
        for s in first_states
    )
    if b is None:
        b = w.new_zeros(w.shape[0], 2 * w.shape[1])
    if lengths is not None and bool((lengths == x.shape[0]).all()):
        lengths = None
    return Operands(x, w, r, b, lengths, states, peep)


def _by_torch(
    operands: Operands, function: Callable[..., Any], direction: str, order: list[int]
) -> Sequences:
    weights = [part for d in range(operands.w.shape[0]) for part in _flat(operands, d, order)]
    both = direction == "bidirectional"
    x = _reversed(operands.x, operands.lengths) if direction == "reverse" else operands.x
    states = operands.states if len(operands.states) > 1 else operands.states[0]
    # oneDNN has no LSTM in bfloat16 on most CPUs
    with torch.autocast("cpu", enabled=False):
        if operands.lengths is None:
            y, *last = function(x, states, weights, True, 1, 0.0, False, both, False)
        else:
            y, last = _packed(x, operands.lengths, states, weights, function, both)
    return (_reversed(y, operands.lengths) if direction == "reverse" else y), tuple(last)


def _packed(
    x: torch.Tensor, lengths: torch.Tensor, states: Any, weights: Any, function: Any, both: bool
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Rows of different length, as torch wants them: sorted by length."""
    packed = pack_padded_sequence(x, lengths.cpu().long(), enforce_sorted=False)
    order, back = packed.sorted_indices, packed.unsorted_indices
    assert order is not None
    assert back is not None
    several = isinstance(states, tuple)
    states = tuple(s.index_select(1, order) for s in states) if several else states.index_select(1, order)
    data, *last = function(packed.data, packed.batch_sizes, states, weights, True, 1, 0.0, False, both)
    sequence = PackedSequence(data, packed.batch_sizes, order, back)
    y, _ = pad_packed_sequence(sequence, total_length=x.shape[0])
    return y, [state.index_select(1, back) for state in last]


def _flat(operands: Operands, d: int, order: list[int]) -> tuple[torch.Tensor, ...]:
    """W, R and both biases of one direction with the gates in torch's order."""
    parts = (operands.w[d], operands.r[d], *operands.b[d].chunk(2))
    if len(order) == 1:
        return parts
    count = len(order)
    return tuple(torch.cat([part.chunk(count)[i] for i in order]) for part in parts)


def _by_steps(operands: Operands, cells: list[Cell], direction: str) -> Sequences:
    outputs, states = [], []
    for d, cell in enumerate(cells):
        backwards = direction == "reverse" or d == 1
        bias, recurrent_bias = operands.b[d].chunk(2)
        x = torch.nn.functional.linear(operands.x, operands.w[d], bias)
        x = _reversed(x, operands.lengths) if backwards else x
        step = cell.step(operands.r[d], recurrent_bias, None if operands.peep is None else operands.peep[d])
        y, last = walk(step, x, tuple(state[d] for state in operands.states), operands.lengths)
        outputs.append(_reversed(y, operands.lengths) if backwards else y)
        states.append(last)
    return torch.cat(outputs, -1), tuple(torch.stack(each) for each in zip(*states, strict=True))


def _reversed(x: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
    """Backwards in time, each row within its length."""
    return x.flip(0) if lengths is None else reversed_within(x, lengths)


OPERATORS: Final[dict[str, Operator]] = {
    "LSTM": Operator(recurrent("LSTM"), since=7, weights=(1, 2, 3, 7), host=(4,)),
    "GRU": Operator(recurrent("GRU"), since=7, weights=(1, 2, 3), host=(4,)),
    "RNN": Operator(recurrent("RNN"), since=7, weights=(1, 2, 3), host=(4,)),
}
