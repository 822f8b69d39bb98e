"""All candidates timed in turns in one process: every round runs each, every other round in the opposite order.

Every few rounds all are loaded again: two sessions of one file differ by 1 to 4 % for as long as they live (where their
memory lies), which no number of rounds tells. It holds the machine's measuring lock, as jobs do.
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

SESSIONS, ROUNDS = 5, 5
"""How often all are loaded, and the rounds each time."""
ROUND_MS = 20.0
MOST_RUNS = 50
FEWEST_RUNS = 2


def timed(networks: Sequence[Network], samples: Samples, batch: int) -> npt.NDArray[np.float64]:
    """Milliseconds of each round and network, float64 [SESSIONS · ROUNDS, networks]."""
    feed, _ = benchmark_feed(networks[0].inputs, batch, {}, samples, seed=0)
    with measuring(Silent()):
        return np.concatenate([_in_one_session(networks, feed) for _ in range(SESSIONS)])


def _in_one_session(networks: Sequence[Network], feed: Feed) -> npt.NDArray[np.float64]:
    loaded = [Network(each.file, each.threads, each.role, target=each.target) for each in networks]
    feeds = [network.fit(feed) for network in loaded]
    watch = Watch(loaded[0].threads)
    runs = [_runs(network, fitted) for network, fitted in zip(loaded, feeds, strict=True)]
    times = time_in_turns(loaded, feeds, runs, ROUNDS, watch).times
    return np.stack([fast_times(each) for each in times], axis=1)


def _runs(network: Network, feed: Feed) -> int:
    """Warms up too."""
    return max(FEWEST_RUNS, min(MOST_RUNS, int(np.ceil(ROUND_MS / max(warm_up_ms(network, feed), 1e-3)))))
