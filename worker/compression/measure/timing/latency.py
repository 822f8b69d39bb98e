"""Measure how long one run takes, before and after, side by side.

`interleaved` says what a round is and what the speed-up is. Runs of a round are chosen so that the faster one is timed
for 20 ms. Where others use the machine it waits for quiet and measures again, within `patience`; what is disturbed even
then has times, but no speed-up.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.contract.report import Latency, Percentiles
from winnow.contract.target import DEFAULT_TARGET, Target
from worker.compression.measure.feeds import BenchmarkData
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.timing.disturbance import Watch
from worker.compression.measure.timing.interleaved import Turns, run_times, time_in_turns
from worker.compression.measure.timing.quiet import Patience

MIN_ROUNDS = 9
ROUND_MS = 20.0
MIN_RUNS = 3
QUICK_ROUND_MS = 150.0
"""Three runs of each per round, so that one disturbance does not decide, where a round of one run takes less."""
MAX_RUNS = 100
MAX_TIMED_RUNS = 3000
MAX_TOTAL_MS = 120_000.0
BRIEF_ROUNDS = 5
BRIEF_NOTE = "The speed is a short estimate, made beside whatever else ran."
WARM_UP_MS = 30.0
"""Runs before the timing: at least two, until this long has passed."""


@dataclass(frozen=True)
class Timed:
    """`substituted` are the inputs that got random numbers because no data had their shape."""

    latency: Latency
    substituted: list[str]
    notes: list[str]


def measure_latencies(
    baseline: Path,
    candidate: Path,
    work: BenchmarkData,
    tick: Callable[[float], None],
    patience: Patience,
    target: Target = DEFAULT_TARGET,
    *,
    brief: bool = False,
) -> Iterator[Timed]:
    """Measure at each thread count and batch size, the first of each first. `tick` gets the fraction done.

    `brief`: an estimate of the first alone, in few rounds, told whatever else ran.
    """
    benchmark, threads = work.benchmark, work.benchmark.thread_counts
    entries = [(batch, count) for count in threads for batch in benchmark.batch_sizes][: 1 if brief else None]
    for index, (batch, count) in enumerate(entries):
        pair = (
            Network(baseline, count, "the original model", target=target),
            Network(candidate, count, "the compressed model", target=target),
        )
        pair[0].narrow(pair[1].inputs)
        feed, substituted = work.feed(pair[0].inputs, batch)
        yield _measure(pair, feed, substituted, batch, benchmark.rounds, work.seed, patience, brief)
        tick((index + 1) / len(entries))


def _measure(
    pair: tuple[Network, Network],
    feed: Feed,
    substituted: list[str],
    batch: int,
    rounds: int,
    seed: int,
    patience: Patience,
    brief: bool,
) -> Timed:
    feeds = (pair[0].fit(feed), pair[1].fit(feed))

    def timed() -> tuple[Turns, float]:
        watch = Watch(pair[0].threads)
        before, after = (warm_up_ms(network, fitted) for network, fitted in zip(pair, feeds, strict=True))
        done, runs = (
            (BRIEF_ROUNDS, _brief_runs(min(before, after)))
            if brief
            else _plan(2 * before + after, min(before, after), rounds)
        )
        return time_in_turns(pair, feeds, [runs, runs], done, watch), 2 * before + after

    turns, round_ms = patience.until_quiet(timed, lambda measured: measured[0].untold(1, seed))
    done = len(turns.control)
    return Timed(
        latency=_latency(pair[0], feed, turns, batch, seed, brief),
        substituted=substituted,
        notes=[BRIEF_NOTE] if brief else [] if done == rounds else [_fewer(done, rounds, round_ms)],
    )


def _plan(round_ms: float, faster_ms: float, rounds: int) -> tuple[int, int]:
    """Return (rounds, runs of each per round): as many rounds as asked unless they take longer than the budget.
    `round_ms`: a round of one run each."""
    runs = _runs_in_a_round(faster_ms)
    fewest = MIN_RUNS if round_ms < QUICK_ROUND_MS else 1
    runs = max(fewest, min(runs, MAX_RUNS, MAX_TIMED_RUNS // rounds))
    affordable = int(MAX_TOTAL_MS / (runs * round_ms))
    return max(MIN_ROUNDS, min(rounds, affordable)), runs


def warm_up_ms(network: Network, feed: Feed) -> float:
    """Run for a while; return the last run's milliseconds. The first run reports why a network does not run."""
    network.run(feed)
    spent, last = 0.0, 0.0
    while spent < WARM_UP_MS:
        last = run_times(network, feed, 1)[0]
        spent += last
    return last


def _runs_in_a_round(faster_ms: float) -> int:
    return int(np.ceil(ROUND_MS / max(faster_ms, 1e-3)))


def _brief_runs(faster_ms: float) -> int:
    return max(MIN_RUNS, min(MAX_RUNS, _runs_in_a_round(faster_ms)))


def _latency(network: Network, feed: Feed, turns: Turns, batch: int, seed: int, brief: bool) -> Latency:
    originals = np.concatenate([turns.times[0], turns.control], axis=1)
    before, after = percentiles(originals), percentiles(turns.times[1])
    untold = None if brief else turns.untold(1, seed)
    speedup, bounds = turns.speedup(1, seed) if untold is None else (None, None)
    return Latency(
        batch_size=batch,
        threads=network.threads,
        rounds=len(originals),
        provider=network.provider,
        shapes={name: list(x.shape) for name, x in feed.items()},
        baseline_ms=before,
        candidate_ms=after,
        baseline_samples_ms=originals.ravel().tolist(),
        candidate_samples_ms=turns.times[1].ravel().tolist(),
        baseline_throughput=1000 * batch / before.p50,
        candidate_throughput=1000 * batch / after.p50,
        speedup=speedup,
        speedup_interval=bounds,
        sessions=turns.session_count,
        speedup_per_round=turns.ratios(1).tolist(),
        control_per_round=turns.controls().tolist(),
        others_share=turns.disturbance.others,
        untold=untold,
    )


def percentiles(times: np.ndarray) -> Percentiles:
    p50, p90, p95, p99 = np.percentile(times, (50, 90, 95, 99)).tolist()
    return Percentiles(p50=p50, p90=p90, p95=p95, p99=p99, mean=float(times.mean()))


def _fewer(done: int, requested: int, round_ms: float) -> str:
    return (
        f"{done} of {requested} rounds were timed: the original twice and the result once take "
        f"{round_ms / 1000:.1f} s, and timing is limited to {MAX_TOTAL_MS / 1000:.0f} s per entry "
        f"beyond {MIN_ROUNDS} rounds."
    )
