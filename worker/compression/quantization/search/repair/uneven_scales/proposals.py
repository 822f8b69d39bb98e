"""Proposals of what to spare for uneven values: tried one by one, judged, and kept where the outputs gain by it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from worker.compression.quantization.integer.spared import Spared
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.repair.judge import GOOD_DB, MIN_GAIN_DB, Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven_scales.uneven import Uneven

MAX_TRIED: Final = 8
"""The first: the most uneven."""


@dataclass(frozen=True)
class Proposal:
    """Names of nodes that would be spared for what is uneven."""

    uneven: Uneven
    nodes: frozenset[str]


def take_what_helps(
    static: Static,
    proposals: Iterable[Proposal],
    spare: Callable[[Spared, Proposal], None],
    remedy: str,
    judge: Judge,
    before: float,
) -> list[Repair]:
    """Change `static.spared`, and answer what each brought; `before` is the signal to noise. Nothing is tried any more
    where the outputs are good."""
    repairs: list[Repair] = []
    for proposal in islice(proposals, MAX_TRIED):
        if before >= GOOD_DB:
            break
        known, static.spared = static.spared, static.spared.copy()
        spare(static.spared, proposal)
        after = judge.snr_db(static) if static.spared != known and static.quantizable() else before
        if after < before + MIN_GAIN_DB:
            static.spared = known
            continue
        uneven = proposal.uneven
        repairs.append(Repair("join", str(uneven.value.name), uneven.words, remedy, before, after))
        before = after
    return repairs
