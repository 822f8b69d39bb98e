"""Which of several candidates is the fastest: all timed in turns, in one process, under the machine's measuring lock.

A round runs each for about `ROUND_MS`, every other round in the opposite order; a candidate's speed-up is the median
over rounds of  (median time of the float model) / (median time of the candidate).
"""

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter_ns

import numpy as np
import numpy.typing as npt

from worker.compression.measure.bootstrap import median_interval
from worker.compression.measure.lock import measuring
from worker.compression.measure.network import Feed, Network
from worker.compression.progress import Progress

ROUNDS = 11
ROUND_MS = 20.0
MOST_RUNS = 50
BUDGET_MS = 60_000.0
FEWEST_ROUNDS = 5


@dataclass(frozen=True)
class Timed:
    """`speedup` against the first, with its 95 % interval."""

    milliseconds: float
    speedup: float
    interval: tuple[float, float]


def race(networks: Sequence[Network], feed: Feed, seed: int, progress: Progress) -> list[Timed]:
    """In the order given; the first is what the others are compared with. Raises `model_does_not_run`."""
    feeds = [network.fit(feed) for network in networks]
    with measuring(progress):
        once = [warm(network, fitted) for network, fitted in zip(networks, feeds, strict=True)]
        runs = [max(1, min(MOST_RUNS, int(np.ceil(ROUND_MS / max(time, 1e-3))))) for time in once]
        one_round = sum(time * count for time, count in zip(once, runs, strict=True))
        rounds = max(FEWEST_ROUNDS, min(ROUNDS, int(BUDGET_MS / max(one_round, 1e-3))))
        times = in_turns(networks, feeds, runs, rounds)
    ratios = times[:, :1] / times
    return [
        Timed(
            float(np.median(times[:, index])),
            float(np.median(ratios[:, index])),
            median_interval(ratios[:, index], seed) if index else (1.0, 1.0),
        )
        for index in range(len(networks))
    ]


def in_turns(
    networks: Sequence[Network], feeds: Sequence[Feed], runs: Sequence[int], rounds: int
) -> npt.NDArray[np.float64]:
    """Median milliseconds of each round and network, [rounds, networks]; every other round the other way about."""
    times = np.empty((rounds, len(networks)))
    gc.collect()
    for number in range(rounds):
        order = range(len(networks)) if number % 2 == 0 else reversed(range(len(networks)))
        for index in order:
            times[number, index] = np.median(_times(networks[index], feeds[index], runs[index]))
    return times


def warm(network: Network, feed: Feed) -> float:
    network.run(feed)
    return min(_times(network, feed, 3))


def _times(network: Network, feed: Feed, runs: int) -> list[float]:
    run, times = network.session.run, []
    for _ in range(runs):
        start = perf_counter_ns()
        run(None, feed)
        times.append((perf_counter_ns() - start) / 1e6)
    return times
