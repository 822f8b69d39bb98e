"""All candidates timed in turns in one process: every round runs each, every other round in the opposite order.

It holds the machine's measuring lock, as jobs do.
"""

from collections.abc import Sequence

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


def timed(networks: Sequence[Network], samples: Samples, batch: int) -> npt.NDArray[np.float64]:
    """Milliseconds of each round and network, float64 [ROUNDS, networks]."""
    feed, _ = benchmark_feed(networks[0].inputs, batch, {}, samples, seed=0)
    feeds = [network.fit(feed) for network in networks]
    with measuring(Silent()):
        watch = Watch(networks[0].threads)
        runs = [_runs(network, fitted) for network, fitted in zip(networks, feeds, strict=True)]
        times = time_in_turns(networks, feeds, runs, ROUNDS, watch).times
    return np.stack([fast_times(each) for each in times], axis=1)


def _runs(network: Network, feed: Feed) -> int:
    """Warms up too."""
    return max(FEWEST_RUNS, min(MOST_RUNS, int(np.ceil(ROUND_MS / max(warm_up_ms(network, feed), 1e-3)))))
