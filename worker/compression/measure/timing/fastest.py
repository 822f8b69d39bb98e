"""Find which of several candidates is the fastest: all timed in turns, in one process, under the machine's measuring
lock.

`interleaved` says what a round is, and when a speed-up cannot be told.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from winnow.contract.base import Interval
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.timing.disturbance import Watch
from worker.compression.measure.timing.interleaved import Turns, run_times, time_in_turns
from worker.compression.measure.timing.lock import measuring
from worker.compression.measure.timing.quiet import Patience
from worker.compression.progress import Progress

ROUNDS = 11
ROUND_MS = 20.0
MAX_RUNS = 50
MAX_TOTAL_MS = 60_000.0
MIN_ROUNDS = 5


@dataclass(frozen=True)
class Timed:
    """`speedup` against the first, with its 95 % interval; `untold`: why both say nothing, None where they do."""

    milliseconds: float
    speedup: float
    interval: Interval
    untold: str | None = None


def time_candidates(
    networks: Sequence[Network], feed: Feed, seed: int, progress: Progress, patience: Patience | None = None
) -> list[Timed]:
    """Time all networks, in their order; the first is what the others are compared with. With another than the usual
    patience. Raises `model_does_not_run`."""
    feeds = [network.fit(feed) for network in networks]
    patience = patience or Patience(progress)
    with measuring(progress, patience.lock_seconds):
        turns = patience.until_quiet(
            lambda: _turns(networks, feeds), lambda measured: _untold(measured, seed)
        )
    untold = _untold(turns, seed)
    first = Timed(float(np.median(turns.times[0])), 1.0, (1.0, 1.0), untold)
    return [first, *(_timed(turns, index, seed, untold) for index in range(1, len(networks)))]


def _turns(networks: Sequence[Network], feeds: Sequence[Feed]) -> Turns:
    watch = Watch(networks[0].threads)
    once = [_warm(network, fitted) for network, fitted in zip(networks, feeds, strict=True)]
    runs = [max(1, min(MAX_RUNS, int(np.ceil(ROUND_MS / max(time, 1e-3))))) for time in once]
    one_round = sum(time * count for time, count in zip([*once, once[0]], [*runs, runs[0]], strict=True))
    rounds = max(MIN_ROUNDS, min(ROUNDS, int(MAX_TOTAL_MS / max(one_round, 1e-3))))
    return time_in_turns(networks, feeds, runs, rounds, watch)


def _untold(turns: Turns, seed: int) -> str | None:
    """One candidate that cannot be told makes all untold: they are compared with each other."""
    reasons = (turns.untold(index, seed) for index in range(1, len(turns.times)))
    return next((why for why in reasons if why is not None), None)


def _timed(turns: Turns, index: int, seed: int, untold: str | None) -> Timed:
    return Timed(float(np.median(turns.times[index])), *turns.speedup(index, seed), untold)


def _warm(network: Network, feed: Feed) -> float:
    network.run(feed)
    return min(run_times(network, feed, 3))
