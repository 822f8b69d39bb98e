"""Recurrent networks step by step: the forms that torch has no fused function for. One direction.

x is [T, N, I] already times W and with W's bias; every step answers H [N, hidden] (and for LSTM C).

    LSTM    i, o, f = f(x + R h + P c);  c = f c + i g(x + R h);  h = o h(c)
    GRU     z, r = f(x + R h);  h̃ = g(x + R (r h))  or with `linear_before_reset`  g(x + r (R h));  h = (1 − z) h̃ + z h
    RNN     h = f(x + R h)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch.nn import functional

from worker.compression.engine.operator import Unsupported

State = tuple[torch.Tensor, ...]
Step = Callable[[torch.Tensor, State], State]
ACTIVATIONS: Final = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    "softsign": functional.softsign,
    "softplus": functional.softplus,
}
"""Those without numbers of their own."""


@dataclass(frozen=True)
class Cell:
    """The settings of one direction of a recurrent node, and the function of its steps."""

    kind: str
    activations: tuple[str, ...]
    clip: float
    linear_before_reset: bool
    input_forget: bool

    def __post_init__(self) -> None:
        if unknown := [name for name in self.activations if name not in ACTIVATIONS]:
            raise Unsupported(f"the engine knows no activation {unknown[0]!r} in it")

    def step(self, recurrent: torch.Tensor, bias: torch.Tensor, peep: torch.Tensor | None) -> Step:
        """Make the function of one step, of R [gates · hidden, hidden], its bias [gates · hidden], P [3 · hidden]."""
        return {"LSTM": self._lstm, "GRU": self._gru, "RNN": self._rnn}[self.kind](recurrent, bias, peep)

    def _act(self, index: int, x: torch.Tensor) -> torch.Tensor:
        return ACTIVATIONS[self.activations[index]](x.clamp(-self.clip, self.clip) if self.clip else x)

    def _lstm(self, recurrent: torch.Tensor, bias: torch.Tensor, peep: torch.Tensor | None) -> Step:
        peeps = peep.chunk(3) if peep is not None else None

        def step(x: torch.Tensor, state: State) -> State:
            h, c = state
            i, o, f, g = (x + functional.linear(h, recurrent, bias)).chunk(4, -1)
            i = self._act(0, i if peeps is None else i + peeps[0] * c)
            f = 1 - i if self.input_forget else self._act(0, f if peeps is None else f + peeps[2] * c)
            c = f * c + i * self._act(1, g)
            o = self._act(0, o if peeps is None else o + peeps[1] * c)
            return o * ACTIVATIONS[self.activations[2]](c), c

        return step

    def _gru(self, recurrent: torch.Tensor, bias: torch.Tensor, peep: torch.Tensor | None) -> Step:
        hidden = recurrent.shape[1]
        gates, last = torch.split(recurrent, [2 * hidden, hidden])
        gates_bias, last_bias = torch.split(bias, [2 * hidden, hidden])

        def step(x: torch.Tensor, state: State) -> State:
            (h,) = state
            x_gates, x_last = torch.split(x, [2 * hidden, hidden], -1)
            z, r = self._act(0, x_gates + functional.linear(h, gates, gates_bias)).chunk(2, -1)
            if self.linear_before_reset:
                candidate = self._act(1, x_last + r * functional.linear(h, last, last_bias))
            else:
                candidate = self._act(1, x_last + functional.linear(r * h, last, last_bias))
            return ((1 - z) * candidate + z * h,)

        return step

    def _rnn(self, recurrent: torch.Tensor, bias: torch.Tensor, peep: torch.Tensor | None) -> Step:
        return lambda x, state: (self._act(0, x + functional.linear(state[0], recurrent, bias)),)


def walk(
    step: Step, x: torch.Tensor, state: State, lengths: torch.Tensor | None
) -> tuple[torch.Tensor, State]:
    """Run all steps; return H [T, N, hidden] and the last state. Behind a row's end H is zero and its state stays."""
    outputs = []
    for t, now in enumerate(x):
        after = step(now, state)
        if lengths is None:
            state = after
            outputs.append(state[0])
            continue
        alive = (t < lengths)[:, None]
        state = tuple(torch.where(alive, new, old) for new, old in zip(after, state, strict=True))
        outputs.append(torch.where(alive, after[0], torch.zeros_like(after[0])))
    return torch.stack(outputs), state
