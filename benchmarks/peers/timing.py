"""All candidates timed in turns in one process: every round runs each, every other round in the opposite order.

It holds the machine's measuring lock, as jobs do.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.compression.data.samples import Samples
from worker.compression.measure.feeds import benchmark_feed
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.timing.disturbance import Watch
from worker.compression.measure.timing.interleaved import fast_times, time_in_turns
from worker.compression.measure.timing.latency import warm_up_ms
from worker.compression.measure.timing.lock import measuring
from worker.compression.progress import Silent

ROUNDS = 25
ROUND_MS = 20.0
MOST_RUNS = 50
FEWEST_RUNS = 2


@dataclass(frozen=True)
class Rounds:
    """Of one network: `ms` float64 [ROUNDS], and the runtime's session that each round was in, int64 [ROUNDS]."""

    ms: npt.NDArray[np.float64]
    sessions: npt.NDArray[np.int64]


def timed(networks: Sequence[Network], samples: Samples, batch: int) -> list[Rounds]:
    """Of each network, the same rounds for all."""
    feed, _ = benchmark_feed(networks[0].inputs, batch, {}, samples, seed=0)
    feeds = [network.fit(feed) for network in networks]
    with measuring(Silent()):
        watch = Watch(networks[0].threads)
        runs = [_runs(network, fitted) for network, fitted in zip(networks, feeds, strict=True)]
        turns = time_in_turns(networks, feeds, runs, ROUNDS, watch)
    assert turns.sessions is not None
    return [Rounds(fast_times(each), turns.sessions) for each in turns.times]


def _runs(network: Network, feed: Feed) -> int:
    """Warms up too."""
    return max(FEWEST_RUNS, min(MOST_RUNS, int(np.ceil(ROUND_MS / max(warm_up_ms(network, feed), 1e-3)))))
