"""Time networks in turns, the first of them twice a round: it is what the others are compared with, and the control.

A round runs each for some 20 ms and then the first once more; every other round has those in between in the opposite
order. With q the lowest tenth of a block's runs, what nothing interrupted,

    speed-up of a round   ½ (q of the first's two blocks) / q of the other's
    control of a round    q of the first's one block / q of its other

and of both the median with its 95 % bootstrap interval, over the rounds in which both ran almost as fast as they ever
did. Between the sessions of a runtime all are loaded again, in turns in the opposite order, and the interval of the
speed-up draws whole sessions: where memory lies makes two sessions of one file differ by 2 % for as long as they live
(decision 0048). (The virtual machine on which this was made changes between two speeds, and none of its accounts tells
why: resnet20 took 0.73 or 1.0 ms, and was 1.32 or 1.21 times as fast after pruning. What lasts longer than the
measurement stays unseen.) No number is given where others used the CPUs meanwhile, where the first differs from itself,
or where rounds differ too much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter, perf_counter_ns
from typing import Final

import numpy as np
import numpy.typing as npt

from winnow.contract.base import Interval
from worker.compression.ir.garbage import no_garbage_collection
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.quality.bootstrap import median_interval
from worker.compression.measure.timing.disturbance import Disturbance, Watch

FAST_QUANTILE: Final = 0.1
"""Of the runs of a block, below which nothing interrupted them. Chosen on 21 recordings of three networks beside busy
processes, where the interval of the median of a block was 2.7 times as wide (6.3 against 2.3 %); on 17 of four other
networks it was 2.3 times (19 against 8 %). The minimum did as well as the tenth on both."""
MAX_TIMES_FASTEST: Final = 1.15
"""Times the fastest round: between the two speeds of a core, and above the noise of one."""
MIN_FAST_ROUNDS: Final = 4
"""Rounds that have to be almost as fast as the fastest."""
MEASURED_ANEW_NOTE: Final = "the verdict's speed-up is measured anew, on the finished artifact"
"""What a step says beside a speed of its own: the two differ."""
SESSIONS: Final = 5
"""How often all are loaded, as long as that takes at most `LOADING_SHARE` of the time of the rounds."""
LOADING_SHARE: Final = 0.5
SETTLING_RUNS: Final = 2
"""Of each, untimed, in a new session."""
MAX_CONTROL_RATIO: Final = 1.05
"""The first against itself: so far its interval may lie from 1."""
MAX_INTERVAL_RATIO: Final = 1.5
"""Upper over lower bound of a speed-up that tells something."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Turns:
    """Milliseconds of single runs, [rounds, runs], of each network; of the first once more in `control`. `sessions`:
    the number of the session that each round was in, [rounds]; None for one."""

    times: list[Array]
    control: Array
    disturbance: Disturbance
    sessions: npt.NDArray[np.int64] | None = None

    @property
    def session_count(self) -> int:
        return 1 if self.sessions is None else len(np.unique(self.sessions))

    def ratios(self, index: int) -> Array:
        """The speed-up in each round [rounds]."""
        return self._first() / fast_times(self.times[index])

    def undisturbed(self, index: int) -> npt.NDArray[np.bool_]:
        """The rounds in which both were almost as fast as they ever were, [rounds]."""
        both = self._first(), fast_times(self.times[index])
        fast: npt.NDArray[np.bool_] = np.all([x <= MAX_TIMES_FASTEST * x.min() for x in both], axis=0)
        return fast

    def _first(self) -> Array:
        return (fast_times(self.times[0]) + fast_times(self.control)) / 2

    def controls(self) -> Array:
        """The first against itself in each round [rounds]."""
        return fast_times(self.times[0]) / fast_times(self.control)

    def untold(self, index: int, seed: int) -> str | None:
        """Say why a speed-up tells nothing, as a clause; None where it tells something."""
        if (why := self.disturbance.why_untold()) is not None:
            return why
        low, high = median_interval(self.controls(), seed)
        if low > MAX_CONTROL_RATIO or high < 1 / MAX_CONTROL_RATIO:
            return f"the original differed from itself by a factor of {low:.2f} to {high:.2f}"
        if (fast := int(self.undisturbed(index).sum())) < MIN_FAST_ROUNDS:
            return f"only {fast} of {len(self.control)} rounds were almost as fast as the fastest"
        _, (low, high) = self.speedup(index, seed)
        if high > MAX_INTERVAL_RATIO * low:
            return f"rounds differed so much that the speed-up may be {low:.2f} as well as {high:.2f}"
        return None

    def speedup(self, index: int, seed: int) -> tuple[float, Interval]:
        """Compute the median over undisturbed rounds and its interval; over all rounds where each was disturbed, which
        `untold` then says."""
        fast = self.undisturbed(index)
        counted = fast if fast.any() else ~fast
        ratios = self.ratios(index)[counted]
        sessions = None if self.sessions is None else self.sessions[counted]
        return float(np.median(ratios)), median_interval(ratios, seed, sessions)


def fast_times(times: Array) -> Array:
    """Return the lowest tenth of each round, [rounds]."""
    return np.quantile(times, FAST_QUANTILE, axis=1)


def time_in_turns(
    networks: Sequence[Network], feeds: Sequence[Feed], runs: Sequence[int], rounds: int, watch: Watch
) -> Turns:
    """Time `runs` of each network a round. The watch had better begin before they are warmed up: a small network's
    rounds are over before the kernel has counted much."""
    times = [np.empty((rounds, count)) for count in runs]
    control, sessions = np.empty((rounds, runs[0])), np.zeros(rounds, np.int64)
    between = range(1, len(networks))
    begun, loading = perf_counter(), 0.0
    with no_garbage_collection():
        for number in range(rounds):
            if number and number % -(-rounds // SESSIONS) == 0 and _affordable(networks, begun, loading):
                loading += _load_again(networks, feeds, backwards=sessions[number - 1] % 2 == 0)
                sessions[number:] += 1
            for index in (0, *(between if number % 2 == 0 else reversed(between))):
                times[index][number] = run_times(networks[index], feeds[index], runs[index])
            control[number] = run_times(networks[0], feeds[0], runs[0])
    return Turns(times, control, watch.seen(), sessions)


def _affordable(networks: Sequence[Network], begun: float, loading: float) -> bool:
    timing = perf_counter() - begun - loading
    return loading + sum(network.load_seconds for network in networks) <= LOADING_SHARE * timing


def _load_again(networks: Sequence[Network], feeds: Sequence[Feed], *, backwards: bool) -> float:
    """Return the seconds it took. In another order memory is laid out in another way."""
    begun = perf_counter()
    for network in networks:
        network.unload()
    for network in reversed(networks) if backwards else networks:
        network.load()
    for network, feed in zip(networks, feeds, strict=True):
        run_times(network, feed, SETTLING_RUNS)
    return perf_counter() - begun


def run_times(network: Network, feed: Feed, runs: int) -> list[float]:
    """Return the milliseconds of each run, inputs and outputs in the host's memory."""
    run, clock, times = network.run_all, perf_counter_ns, []
    for _ in range(runs):
        start = clock()
        run(feed)
        times.append((clock() - start) / 1e6)
    return times
