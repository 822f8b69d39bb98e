"""How long one run takes, before and after, side by side.

`turns` says what a round is and what the speed-up is. Runs of a round are chosen so that the faster one is timed for
20 ms. Where others use the machine it waits for quiet and measures again, within `patience`; what is disturbed even
then has times, but no speed-up.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from winnow.contract.job import Benchmark
from winnow.contract.report import Latency, Percentiles
from worker.compression.data.samples import Samples
from worker.compression.measure.feeds import one_feed
from worker.compression.measure.network import Feed, Network
from worker.compression.measure.timing.disturbance import Watch
from worker.compression.measure.timing.interleaved import Turns, in_turns, run_times
from worker.compression.measure.timing.quiet import Patience

FEWEST_ROUNDS = 9
ROUND_MS = 20.0
FEWEST_RUNS = 3
QUICK_ROUND_MS = 150.0
"""Three runs of each per round, so that one disturbance does not decide, where a round of one run takes less."""
MOST_RUNS = 100
MOST_SAMPLES = 3000
BUDGET_MS = 120_000.0
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
    benchmark: Benchmark,
    samples: Samples | None,
    seed: int,
    tick: Callable[[float], None],
    patience: Patience,
) -> Iterator[Timed]:
    """One per thread count and batch size, the first of each first. `tick` is told the fraction done."""
    threads = benchmark.thread_counts
    entries = [(batch, count) for count in threads for batch in benchmark.batch_sizes]
    for index, (batch, count) in enumerate(entries):
        pair = (
            Network(baseline, count, "the original model"),
            Network(candidate, count, "the compressed model"),
        )
        feed, substituted = one_feed(pair[0].inputs, batch, benchmark.shapes, samples, seed)
        yield _measure(pair, feed, substituted, batch, benchmark.rounds, seed, patience)
        tick((index + 1) / len(entries))


def _measure(
    pair: tuple[Network, Network],
    feed: Feed,
    substituted: list[str],
    batch: int,
    rounds: int,
    seed: int,
    patience: Patience,
) -> Timed:
    feeds = (pair[0].fit(feed), pair[1].fit(feed))

    def timed() -> tuple[Turns, float]:
        watch = Watch(pair[0].threads)
        before, after = (warm(network, fitted) for network, fitted in zip(pair, feeds, strict=True))
        done, runs = _plan(2 * before + after, min(before, after), rounds)
        return in_turns(pair, feeds, [runs, runs], done, watch), 2 * before + after

    turns, round_ms = patience.until_told(timed, lambda found: found[0].untold(1, seed))
    done = len(turns.control)
    return Timed(
        latency=_latency(pair[0], feed, turns, batch, seed),
        substituted=substituted,
        notes=[] if done == rounds else [_fewer(done, rounds, round_ms)],
    )


def _plan(round_ms: float, faster_ms: float, rounds: int) -> tuple[int, int]:
    """(rounds, runs of each per round): as many rounds as asked unless they take longer than the budget. `round_ms`:
    a round of one run each."""
    runs = int(np.ceil(ROUND_MS / max(faster_ms, 1e-3)))
    fewest = FEWEST_RUNS if round_ms < QUICK_ROUND_MS else 1
    runs = max(fewest, min(runs, MOST_RUNS, MOST_SAMPLES // rounds))
    affordable = int(BUDGET_MS / (runs * round_ms))
    return max(FEWEST_ROUNDS, min(rounds, affordable)), runs


def warm(network: Network, feed: Feed) -> float:
    """Milliseconds of the last run. The first run is the one that reports why a network does not run."""
    network.run(feed)
    spent, last = 0.0, 0.0
    while spent < WARM_UP_MS:
        last = run_times(network, feed, 1)[0]
        spent += last
    return last


def _latency(network: Network, feed: Feed, turns: Turns, batch: int, seed: int) -> Latency:
    originals = np.concatenate([turns.times[0], turns.control], axis=1)
    before, after = percentiles(originals), percentiles(turns.times[1])
    untold = turns.untold(1, seed)
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
        speedup_per_round=turns.ratios(1).tolist(),
        control_per_round=turns.controls().tolist(),
        others_share=turns.disturbance.others,
        untold=untold,
    )


def percentiles(times: np.ndarray) -> Percentiles:
    p50, p90, p95, p99 = np.percentile(times, (50, 90, 95, 99)).tolist()
    return Percentiles(p50=p50, p90=p90, p95=p95, p99=p99, mean=float(times.mean()))


def _fewer(done: int, asked: int, round_ms: float) -> str:
    return (
        f"{done} of {asked} rounds were timed: the original twice and the result once take {round_ms / 1000:.1f} s, "
        f"and timing is limited to {BUDGET_MS / 1000:.0f} s per entry beyond {FEWEST_ROUNDS} rounds."
    )
