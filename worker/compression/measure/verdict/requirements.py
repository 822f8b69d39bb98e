"""Judge whether the measured candidate meets what was asked, and if not, say why in a sentence.

What cannot be told from the noise is not met: drop and speed-up are judged on the worse bound of their intervals.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from winnow.contract.evaluation import AGREEMENT
from winnow.contract.recipe import Requirements
from winnow.contract.report import Latency, Outcome, Pair, Parity, Quality, RequirementResult
from worker.compression.measure.quality.parity import ALMOST_ZERO, is_broken
from worker.compression.measure.verdict.metric_bounds import made_entry, metric_bounds, unmeasured

MAX_ERROR_OF_SAME: Final = ALMOST_ZERO
"""So far an output without a cosine may move and counts as the same."""


def judge(
    require: Requirements,
    *,
    quality: list[Quality],
    latency: list[Latency],
    parity: list[Parity],
    size_bytes: Pair,
    uncompared: Mapping[str, str] = MappingProxyType({}),
    nan_samples: int = 0,
) -> list[RequirementResult]:
    """Make one entry per requirement that was asked, in the contract's order, and one for what is broken, whatever was
    asked. `uncompared`, `nan_samples`: as in `Comparison`."""
    entries = [
        None if require.max_metric_drop is None else _metric_drop(require.max_metric_drop, quality),
        None if require.min_speedup is None else _speedup(require.min_speedup, latency),
        None if require.max_size_ratio is None else _size_ratio(require.max_size_ratio, size_bytes),
        None if require.min_cosine is None else _cosine(require.min_cosine, parity, uncompared),
        None if require.min_agreement is None else _agreement(require.min_agreement, quality),
        *metric_bounds(require.metrics, quality),
        _finite(broken_outputs(quality, parity, nan_samples)),
    ]
    return [entry for entry in entries if entry is not None]


def outcome_of(require: Requirements, results: list[RequirementResult]) -> Outcome:
    """`results`: of what was required, of the steps' own targets that are not met, and of what is broken."""
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


def _finite(broken: str | None) -> RequirementResult | None:
    return None if broken is None else unmeasured("finite_outputs", 0.0, broken)


def _metric_drop(limit: float, quality: list[Quality]) -> RequirementResult:
    if not quality:
        return unmeasured(
            "max_metric_drop",
            limit,
            "no metric was measured: give data.evaluation with labels, and evaluation.metric",
        )
    measured = quality[0]
    met = measured.drop_interval[1] <= limit
    why = (
        f"{measured.metric} went from {measured.before:.4f} to {measured.after:.4f} on {measured.samples} samples: "
        f"a drop of {measured.drop:.4f}, which may be as much as {measured.drop_interval[1]:.4f} (95 %), and "
        f"at most {limit:g} was asked"
    )
    if not met and measured.drop <= limit:
        why += "; more evaluation samples would narrow the interval"
    return made_entry("max_metric_drop", limit, measured.drop, measured.drop_interval, met, why)


def _agreement(limit: float, quality: list[Quality]) -> RequirementResult:
    measured = next((entry for entry in quality if entry.metric == AGREEMENT), None)
    if measured is None:
        reason = "the predictions were not compared: give data.evaluation and evaluation.task"
        return unmeasured("min_agreement", limit, reason)
    low, high = measured.after_interval
    why = (
        f"on {measured.samples} samples the predictions agree with the original's by {measured.after:.4f} "
        f"(95 %: {low:.4f} to {high:.4f}), and at least {limit:g} was asked"
    )
    if low < limit <= measured.after:
        why += "; more evaluation samples would narrow the interval"
    return made_entry("min_agreement", limit, measured.after, (low, high), low >= limit, why)


def _speedup(limit: float, latency: list[Latency]) -> RequirementResult:
    if not latency:
        return unmeasured("min_speedup", limit, "the speed was not measured")
    measured = latency[0]
    where = f"at batch {measured.batch_size} on {measured.threads} thread(s)"
    if measured.speedup is None or measured.speedup_interval is None:
        return unmeasured("min_speedup", limit, f"{where} the speed could not be told: {measured.untold}")
    low, high = measured.speedup_interval
    why = (
        f"{where} the model is {measured.speedup:.2f} times as fast "
        f"(95 %: {low:.2f} to {high:.2f}), and at least {limit:g} was asked"
    )
    return made_entry("min_speedup", limit, measured.speedup, (low, high), low >= limit, why)


def _size_ratio(limit: float, size: Pair) -> RequirementResult:
    if size.ratio is None:
        return unmeasured("max_size_ratio", limit, "the original has no bytes")
    why = (
        f"the model went from {size.before} to {size.after} bytes, {size.ratio:.3f} of its size, and at most "
        f"{limit:g} was asked"
    )
    return made_entry("max_size_ratio", limit, size.ratio, None, size.ratio <= limit, why)


def _cosine(limit: float, parity: list[Parity], uncompared: Mapping[str, str]) -> RequirementResult:
    """The worst output decides; what cannot be compared does not meet it."""
    for p in parity:
        if is_broken(p):
            why = f"output {p.output!r} is NaN or infinite where the original's is not, or lost an infinity"
            return made_entry("min_cosine", limit, 0.0, None, False, why)
    known = [(p.cosine, p) for p in parity if p.cosine is not None]
    worst, output = min(known, key=lambda pair: pair[0], default=(None, None))
    if worst is not None and output is not None and worst < limit:
        why = (
            f"output {output.output!r} has a cosine of {worst:.6f} to the original's on {output.samples} "
            f"{output.data} samples, and at least {limit:g} was asked"
        )
        return made_entry("min_cosine", limit, worst, None, False, why)
    if (reason := _beyond_cosine(parity, uncompared)) is not None:
        return unmeasured("min_cosine", limit, reason)
    if worst is None:
        reason = "no output has a cosine (all are almost zero, integers, or could not be compared)"
        return unmeasured("min_cosine", limit, reason)
    return made_entry("min_cosine", limit, worst, None, True, "")


def _beyond_cosine(parity: list[Parity], uncompared: Mapping[str, str]) -> str | None:
    """Say which output's likeness no cosine tells, unless it stayed as it was."""
    for name, reason in uncompared.items():
        return f"output {name!r} could not be compared: {reason}"
    for p in parity:
        if p.max_error is None:
            return f"the original's output {p.output!r} has NaN or infinity in every sample"
        if p.cosine is None and p.max_error > MAX_ERROR_OF_SAME:
            return f"output {p.output!r} has no cosine (it is almost zero, or integers), and moved by {p.max_error:.3g}"
    return None
