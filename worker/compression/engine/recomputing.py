"""Run a module in segments of which only the ends are kept for the gradients; what lies between is computed again.

    memory  all values  →  the values at the ends of the segments, and those within one       (√n segments of √n calls)
    time    one forward more

(Chen et al. 2016, arXiv:1604.06174). Running statistics are counted the first time alone, and what is drawn at random
is drawn alike.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Protocol, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

Values = list[torch.Tensor | None]


class Statistics(nn.Module):
    """Moves running statistics while it trains, unless what it sees was seen before."""

    seen_before = False

    def share(self, momentum: float) -> float:
        """How much of the statistics the batch replaces."""
        return 0.0 if self.seen_before else momentum


class Slots(Protocol):
    """What is known of a call here: slots that it reads, writes, and is the last to read."""

    reads: tuple[int | None, ...]
    writes: tuple[int | None, ...]
    frees: tuple[int, ...]


C = TypeVar("C", bound=Slots)


def run_in_segments(
    module: nn.Module, calls: Sequence[C], run: Callable[[Sequence[C], Values], None], values: Values
) -> None:
    """Do what `run(calls, values)` does: put what the calls compute into `values`, by slot."""
    size = math.isqrt(len(calls) - 1) + 1
    for start in range(0, len(calls), size):
        segment = calls[start : start + size]
        reads = [slot for slot in _named(call.reads for call in segment) if values[slot] is not None]
        freed = {slot for call in segment for slot in call.frees}
        writes = [slot for slot in _named(call.writes for call in segment) if slot not in freed]

        def forward(
            *tensors: torch.Tensor,
            segment: Sequence[C] = segment,
            reads: Sequence[int] = reads,
            writes: Sequence[int] = writes,
        ) -> tuple[torch.Tensor | None, ...]:
            own: Values = [None] * len(values)
            for slot, tensor in zip(reads, tensors, strict=True):
                own[slot] = tensor
            run(segment, own)
            return tuple(own[slot] for slot in writes)

        results = checkpoint(
            forward,
            *(values[slot] for slot in reads),
            use_reentrant=False,
            context_fn=lambda: (nullcontext(), _seen_before(module)),
        )
        for slot, value in zip(writes, results, strict=True):
            values[slot] = value
        for slot in freed:
            values[slot] = None


def _named(slots: Iterable[tuple[int | None, ...]]) -> list[int]:
    return sorted({slot for several in slots for slot in several if slot is not None})


@contextmanager
def _seen_before(module: nn.Module) -> Iterator[None]:
    parts = [part for part in module.modules() if isinstance(part, Statistics)]
    for part in parts:
        part.seen_before = True
    try:
        yield
    finally:
        for part in parts:
            part.seen_before = False
