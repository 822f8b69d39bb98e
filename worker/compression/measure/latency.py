"""How long one run takes, before and after, side by side.

A round times the original and then the candidate, k runs each; every other round goes the other way about, so
that a drifting clock or a warm cache favours neither. The speed-up is

    median over rounds of  (median of the original's k runs) / (median of the candidate's k runs)

with the bootstrap interval of that median. k is chosen so that the faster one is timed for 20 ms a round. What is
timed is `InferenceSession.run` with inputs and outputs in the host's memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns

import numpy as np

from app.contract.job import Benchmark
from app.contract.report import Latency, Percentiles
from worker.compression.data.samples import Samples
from worker.compression.garbage import no_garbage_collection
from worker.compression.measure.bootstrap import median_interval
from worker.compression.measure.feeds import one_feed
from worker.compression.measure.network import Feed, Network

FEWEST_ROUNDS = 9
ROUND_MS = 20.0
FEWEST_RUNS = 3
QUICK_PAIR_MS = 100.0
"""Three runs of each per round, so that their median shrugs off one disturbance, where both take less than this."""
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
        yield _measure(pair, feed, substituted, batch, benchmark.rounds, seed)
        tick((index + 1) / len(entries))


def _measure(
    pair: tuple[Network, Network], feed: Feed, substituted: list[str], batch: int, rounds: int, seed: int
) -> Timed:
    feeds = (pair[0].fit(feed), pair[1].fit(feed))
    estimates = [_warm(network, fitted) for network, fitted in zip(pair, feeds, strict=True)]
    done, runs = _plan(estimates[0], estimates[1], rounds)
    times = _rounds(pair, feeds, done, runs)
    return Timed(
        latency=_latency(pair[0], feed, times, batch, seed),
        substituted=substituted,
        notes=[] if done == rounds else [_fewer(done, rounds, sum(estimates))],
    )


def _plan(before_ms: float, after_ms: float, rounds: int) -> tuple[int, int]:
    """(rounds, runs of each per round): as many rounds as asked unless they take longer than the budget."""
    runs = int(np.ceil(ROUND_MS / max(min(before_ms, after_ms), 1e-3)))
    fewest = FEWEST_RUNS if before_ms + after_ms < QUICK_PAIR_MS else 1
    runs = max(fewest, min(runs, MOST_RUNS, MOST_SAMPLES // rounds))
    affordable = int(BUDGET_MS / (runs * (before_ms + after_ms)))
    return max(FEWEST_ROUNDS, min(rounds, affordable)), runs


def _warm(network: Network, feed: Feed) -> float:
    """Milliseconds of the last run. The first run is the one that reports why a network does not run."""
    network.run(feed)
    spent, last = 0.0, 0.0
    while spent < WARM_UP_MS:
        last = _times(network, feed, 1)[0]
        spent += last
    return last


def _rounds(
    pair: tuple[Network, Network], feeds: tuple[Feed, Feed], rounds: int, runs: int
) -> tuple[np.ndarray, np.ndarray]:
    """Times in ms [rounds, runs] of both."""
    times = (np.empty((rounds, runs)), np.empty((rounds, runs)))
    with no_garbage_collection():
        for index in range(rounds):
            for side in (0, 1) if index % 2 == 0 else (1, 0):
                times[side][index] = _times(pair[side], feeds[side], runs)
    return times


def _times(network: Network, feed: Feed, runs: int) -> list[float]:
    run, clock, times = network.session.run, perf_counter_ns, []
    for _ in range(runs):
        start = clock()
        run(None, feed)
        times.append((clock() - start) / 1e6)
    return times


def _latency(
    network: Network, feed: Feed, times: tuple[np.ndarray, np.ndarray], batch: int, seed: int
) -> Latency:
    before, after = percentiles(times[0]), percentiles(times[1])
    ratios = np.median(times[0], axis=1) / np.median(times[1], axis=1)
    return Latency(
        batch_size=batch,
        threads=network.threads,
        rounds=len(ratios),
        provider=network.provider,
        shapes={name: list(x.shape) for name, x in feed.items()},
        baseline_ms=before,
        candidate_ms=after,
        baseline_samples_ms=times[0].ravel().tolist(),
        candidate_samples_ms=times[1].ravel().tolist(),
        baseline_throughput=1000 * batch / before.p50,
        candidate_throughput=1000 * batch / after.p50,
        speedup=float(np.median(ratios)),
        speedup_interval=median_interval(ratios, seed),
        speedup_per_round=ratios.tolist(),
    )


def percentiles(times: np.ndarray) -> Percentiles:
    p50, p90, p95, p99 = np.percentile(times, (50, 90, 95, 99)).tolist()
    return Percentiles(p50=p50, p90=p90, p95=p95, p99=p99, mean=float(times.mean()))


def _fewer(done: int, asked: int, pair_ms: float) -> str:
    return (
        f"{done} of {asked} rounds were timed: a run of both models takes {pair_ms / 1000:.1f} s, and timing is "
        f"limited to {BUDGET_MS / 1000:.0f} s per entry beyond {FEWEST_ROUNDS} rounds."
    )
