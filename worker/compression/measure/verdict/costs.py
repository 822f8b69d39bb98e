"""Judge what the result costs: its time, its bytes on the disk and in memory."""

from typing import Final

import numpy as np

from winnow.contract.base import Interval
from winnow.contract.report import Latency, Pair, RequirementResult
from worker.compression.measure.quality import bootstrap
from worker.compression.measure.verdict.entries import made_entry, unmeasured

SEED: Final = 0


def speedup(limit: float, latency: list[Latency]) -> RequirementResult:
    if not latency:
        return unmeasured("min_speedup", limit, "the speed was not measured")
    measured = latency[0]
    if measured.speedup is None or measured.speedup_interval is None:
        return unmeasured(
            "min_speedup", limit, f"{_where(measured)} the speed could not be told: {measured.untold}"
        )
    low, high = measured.speedup_interval
    why = (
        f"{_where(measured)} the model is {measured.speedup:.2f} times as fast "
        f"(95 %: {low:.2f} to {high:.2f}), and at least {limit:g} was asked"
    )
    return made_entry("min_speedup", limit, measured.speedup, (low, high), low >= limit, why)


def median_latency(limit: float, latency: list[Latency]) -> RequirementResult:
    """Judge the median of all runs. Times of a machine that was too busy for a speed-up tell nothing either."""
    if not latency:
        return unmeasured("max_latency_ms", limit, "the speed was not measured")
    measured = latency[0]
    if measured.untold is not None:
        return unmeasured(
            "max_latency_ms", limit, f"{_where(measured)} the time could not be told: {measured.untold}"
        )
    low, high = median_interval(measured)
    median = measured.candidate_ms.p50
    why = (
        f"{_where(measured)} a run takes {median:.4g} ms (median; 95 %: {low:.4g} to {high:.4g}), and at most "
        f"{limit:g} was asked"
    )
    return made_entry("max_latency_ms", limit, median, (low, high), high <= limit, why)


def median_interval(latency: Latency) -> Interval:
    """Compute the interval of the median over runs, drawing whole rounds: runs of one round share what disturbs it."""
    assert latency.candidate_samples_ms is not None, "it was timed just now"
    times = latency.candidate_samples_ms
    rounds = np.repeat(np.arange(latency.rounds), len(times) // latency.rounds)
    return bootstrap.median_interval(times, SEED, rounds)


def size_ratio(limit: float, size: Pair) -> RequirementResult:
    if size.ratio is None:
        return unmeasured("max_size_ratio", limit, "the original has no bytes")
    why = (
        f"the model went from {size.before} to {size.after} bytes, {size.ratio:.3f} of its size, and at most "
        f"{limit:g} was asked"
    )
    return made_entry("max_size_ratio", limit, size.ratio, None, size.ratio <= limit, why)


def size_bytes(limit: int, size: Pair) -> RequirementResult:
    why = f"the model went from {size.before} to {size.after} bytes, and at most {limit} was asked"
    return made_entry("max_size_bytes", limit, size.after, None, size.after <= limit, why)


def memory_bytes(limit: int, peak: Pair | None) -> RequirementResult:
    if peak is None:
        return unmeasured("max_memory_bytes", limit, "the memory was not measured")
    why = (
        f"loaded and run in a fresh process the model takes {peak.after} bytes at its peak ({peak.before} before), and "
        f"at most {limit} was asked"
    )
    return made_entry("max_memory_bytes", limit, peak.after, None, peak.after <= limit, why)


def _where(latency: Latency) -> str:
    return f"at batch {latency.batch_size} on {latency.threads} thread(s)"
