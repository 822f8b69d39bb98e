"""Judge whether the measured candidate meets what was asked, and if not, say why in a sentence.

What cannot be told from the noise is not met: what has an interval is judged on its worse bound.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from winnow.contract.report import Latency, Outcome, Pair, Parity, Quality, RequirementResult
from winnow.contract.requirements import Requirements
from worker.compression.measure.quality.parity import is_broken
from worker.compression.measure.verdict.costs import (
    median_latency,
    memory_bytes,
    size_ratio,
    speedup,
)
from worker.compression.measure.verdict.costs import size_bytes as file_bytes
from worker.compression.measure.verdict.entries import unmeasured
from worker.compression.measure.verdict.metric_bounds import (
    agreement,
    metric_bounds,
    metric_drop,
    relative_drop,
)
from worker.compression.measure.verdict.outputs import cosine, signal_to_noise


def judge(
    require: Requirements,
    *,
    quality: list[Quality],
    latency: list[Latency],
    parity: list[Parity],
    size_bytes: Pair,
    peak_rss_bytes: Pair | None = None,
    uncompared: Mapping[str, str] = MappingProxyType({}),
    nan_samples: int = 0,
    refused: str | None = None,
) -> list[RequirementResult]:
    """Make one entry per requirement that was asked, in the contract's order, and one each for what is broken and what
    the target cannot run, whatever was asked. `uncompared`, `nan_samples`: as in `Comparison`; `refused`: why the
    target cannot run the result."""
    judges: dict[str, Callable[[Any], RequirementResult]] = {
        "max_metric_drop": lambda limit: metric_drop(limit, quality),
        "max_relative_drop": lambda limit: relative_drop(limit, quality),
        "min_speedup": lambda limit: speedup(limit, latency),
        "max_latency_ms": lambda limit: median_latency(limit, latency),
        "max_size_ratio": lambda limit: size_ratio(limit, size_bytes),
        "max_size_bytes": lambda limit: file_bytes(limit, size_bytes),
        "max_memory_bytes": lambda limit: memory_bytes(limit, peak_rss_bytes),
        "min_cosine": lambda limit: cosine(limit, parity, uncompared),
        "min_snr_db": lambda limit: signal_to_noise(limit, parity, uncompared),
        "min_agreement": lambda limit: agreement(limit, quality),
    }
    bounds = {name: getattr(require, name) for name in judges}
    entries = [judges[name](limit) for name, limit in bounds.items() if limit is not None]
    return [
        *entries,
        *metric_bounds(require.metrics, quality),
        *_never("finite_outputs", broken_outputs(quality, parity, nan_samples)),
        *_never("runs_on_target", refused),
    ]


def outcome_of(require: Requirements, results: list[RequirementResult]) -> Outcome:
    """`results`: of what was required, of the steps' own targets that are not met, and of what may never be."""
    if not all(entry.met for entry in results):
        return "requirements_not_met"
    return "unchecked" if require.is_empty else "accepted"


def broken_outputs(quality: list[Quality], parity: list[Parity], nan_samples: int) -> str | None:
    """Say what the result lost that the original has, in words; None where it is whole."""
    if names := [repr(p.output) for p in parity if is_broken(p)]:
        return (
            f"output {', '.join(names)} is NaN or infinite where the original's is not, or lost an infinity"
        )
    if nan_samples and quality:
        return f"output {quality[0].output!r} is NaN for {nan_samples} evaluation samples where the original's is not"
    return None


def _never(name: str, why: str | None) -> list[RequirementResult]:
    return [] if why is None else [unmeasured(name, 0.0, why)]
