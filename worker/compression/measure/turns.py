"""Networks timed in turns, the first of them twice a round: it is what the others are compared with, and the control.

A round runs each for some 20 ms and then the first once more; every other round has those in between in the opposite
order. With q the lowest tenth of a block's runs, what nothing interrupted,

    speed-up of a round   ½ (q of the first's two blocks) / q of the other's
    control of a round    q of the first's one block / q of its other

and of both the median over rounds with its 95 % bootstrap interval. No number is told where others used the CPUs
meanwhile, where the first differs from itself, or where rounds differ too much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final

import numpy as np
import numpy.typing as npt

from app.contract.base import Interval
from worker.compression.garbage import no_garbage_collection
from worker.compression.measure.bootstrap import median_interval
from worker.compression.measure.disturbance import Disturbance, Watch
from worker.compression.measure.network import Feed, Network

LOWEST: Final = 0.1
"""Of the runs of a block. Beside busy processes the median of a block moved three times as much."""
MOST_CONTROL: Final = 1.05
"""The first against itself: so far its interval may lie from 1."""
WIDEST: Final = 1.5
"""Upper over lower bound of a speed-up that tells something."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Turns:
    """Milliseconds of single runs, [rounds, runs], of each network; of the first once more in `control`."""

    times: list[Array]
    control: Array
    disturbance: Disturbance

    def ratios(self, index: int) -> Array:
        """The speed-up in each round [rounds]."""
        first = (lowest(self.times[0]) + lowest(self.control)) / 2
        return first / lowest(self.times[index])

    def controls(self) -> Array:
        """The first against itself in each round [rounds]."""
        return lowest(self.times[0]) / lowest(self.control)

    def untold(self, index: int, seed: int) -> str | None:
        """Why a speed-up tells nothing, as a clause; None where it does."""
        if (why := self.disturbance.told()) is not None:
            return why
        low, high = median_interval(self.controls(), seed)
        if low > MOST_CONTROL or high < 1 / MOST_CONTROL:
            return f"the original differed from itself by a factor of {low:.2f} to {high:.2f}"
        low, high = median_interval(self.ratios(index), seed)
        if high > WIDEST * low:
            return f"rounds differed so much that the speed-up may be {low:.2f} as well as {high:.2f}"
        return None

    def speedup(self, index: int, seed: int) -> tuple[float, Interval]:
        ratios = self.ratios(index)
        return float(np.median(ratios)), median_interval(ratios, seed)


def lowest(times: Array) -> Array:
    """Of each round, [rounds]."""
    return np.quantile(times, LOWEST, axis=1)


def in_turns(
    networks: Sequence[Network], feeds: Sequence[Feed], runs: Sequence[int], rounds: int, watch: Watch
) -> Turns:
    """`runs` of each network a round. The watch had better begin before they are warmed up: a small network's rounds
    are over before the kernel has counted much."""
    times = [np.empty((rounds, count)) for count in runs]
    control = np.empty((rounds, runs[0]))
    between = range(1, len(networks))
    with no_garbage_collection():
        for number in range(rounds):
            for index in (0, *(between if number % 2 == 0 else reversed(between))):
                times[index][number] = run_times(networks[index], feeds[index], runs[index])
            control[number] = run_times(networks[0], feeds[0], runs[0])
    return Turns(times, control, watch.seen())


def run_times(network: Network, feed: Feed, runs: int) -> list[float]:
    """Milliseconds of each of them, inputs and outputs in the host's memory."""
    run, clock, times = network.session.run, perf_counter_ns, []
    for _ in range(runs):
        start = clock()
        run(None, feed)
        times.append((clock() - start) / 1e6)
    return times
