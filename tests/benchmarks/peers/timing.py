"""All candidates timed in turns in one process: every round runs each, every other round the other way about."""

import gc
from collections.abc import Sequence
from time import perf_counter_ns

import numpy as np
import numpy.typing as npt

from worker.compression.data.samples import Samples
from worker.compression.measure.feeds import one_feed
from worker.compression.measure.network import Feed, Network

ROUNDS = 21
ROUND_MS = 20.0
MOST_RUNS = 50
FEWEST_RUNS = 2


def timed(networks: Sequence[Network], samples: Samples, batch: int) -> npt.NDArray[np.float64]:
    """Median milliseconds of each round and network, float64 [ROUNDS, networks]."""
    feed, _ = one_feed(networks[0].inputs, batch, {}, samples, seed=0)
    feeds = [network.fit(feed) for network in networks]
    runs = [_runs(network, fitted) for network, fitted in zip(networks, feeds, strict=True)]
    times = np.empty((ROUNDS, len(networks)))
    gc.collect()
    for number in range(ROUNDS):
        order = range(len(networks)) if number % 2 == 0 else reversed(range(len(networks)))
        for at in order:
            times[number, at] = np.median(_times(networks[at], feeds[at], runs[at]))
    return times


def _runs(network: Network, feed: Feed) -> int:
    """Warms up too."""
    network.run(feed)
    once = min(_times(network, feed, 3))
    return max(FEWEST_RUNS, min(MOST_RUNS, int(np.ceil(ROUND_MS / max(once, 1e-3)))))


def _times(network: Network, feed: Feed, runs: int) -> list[float]:
    run, times = network.session.run, []
    for _ in range(runs):
        start = perf_counter_ns()
        run(None, feed)
        times.append((perf_counter_ns() - start) / 1e6)
    return times
