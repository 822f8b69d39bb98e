"""Whether the measured candidate meets what was asked, and if not, why, in a sentence.

What cannot be told from the noise is not met: drop and speed-up are judged on the worse bound of their intervals.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from winnow.contract.recipe import Requirements
from winnow.contract.report import Latency, Outcome, Pair, Parity, Quality, RequirementResult
from worker.compression.measure.quality.parity import ALMOST_ZERO, is_broken

BY_ITSELF: Final = ALMOST_ZERO
"""Of an output without a cosine: so far it may move and counts as the same."""


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
    """One entry per requirement that was asked, in the contract's order, and one for what is broken, whatever was
    asked. `uncompared`, `nan_samples`: as in `Comparison`."""
    entries = [
        None if require.max_metric_drop is None else _metric_drop(require.max_metric_drop, quality),
        None if require.min_speedup is None else _speedup(require.min_speedup, latency),
        None if require.max_size_ratio is None else _size_ratio(require.max_size_ratio, size_bytes),
        None if require.min_cosine is None else _cosine(require.min_cosine, parity, uncompared),
        _finite(broken_outputs(quality, parity, nan_samples)),
    ]
    return [entry for entry in entries if entry is not None]


def outcome_of(require: Requirements, results: list[RequirementResult]) -> Outcome:
    """`results`: of what was required, of the steps' own targets that are not met, and of what is broken."""
    if not all(entry.met for entry in results):
        return "requirements_not_met"
    asked = any(value is not None for value in require.model_dump().values())
    return "accepted" if asked else "unchecked"


def broken_outputs(quality: list[Quality], parity: list[Parity], nan_samples: int) -> str | None:
    """What the result lost that the original has, in words; None where it is whole."""
    if names := [repr(p.output) for p in parity if is_broken(p)]:
        return (
            f"output {', '.join(names)} is NaN or infinite where the original's is not, or lost an infinity"
        )
    if nan_samples and quality:
        return f"output {quality[0].output!r} is NaN for {nan_samples} evaluation samples where the original's is not"
    return None


def _finite(broken: str | None) -> RequirementResult | None:
    return None if broken is None else _unmeasured("finite_outputs", 0.0, broken)


def _metric_drop(asked: float, quality: list[Quality]) -> RequirementResult:
    if not quality:
        return _unmeasured(
            "max_metric_drop",
            asked,
            "no metric was measured: give data.evaluation with labels, and evaluation.metric",
        )
    found = quality[0]
    met = found.drop_interval[1] <= asked
    why = (
        f"{found.metric} went from {found.before:.4f} to {found.after:.4f} on {found.samples} samples: a drop of "
        f"{found.drop:.4f}, which may be as much as {found.drop_interval[1]:.4f} (95 %), and at most {asked:g} "
        "was asked"
    )
    if not met and found.drop <= asked:
        why += "; more evaluation samples would narrow the interval"
    return _entry("max_metric_drop", asked, found.drop, found.drop_interval, met, why)


def _speedup(asked: float, latency: list[Latency]) -> RequirementResult:
    if not latency:
        return _unmeasured("min_speedup", asked, "the speed was not measured")
    found = latency[0]
    where = f"at batch {found.batch_size} on {found.threads} thread(s)"
    if found.speedup is None or found.speedup_interval is None:
        return _unmeasured("min_speedup", asked, f"{where} the speed could not be told: {found.untold}")
    low, high = found.speedup_interval
    why = (
        f"{where} the model is {found.speedup:.2f} times as fast "
        f"(95 %: {low:.2f} to {high:.2f}), and at least {asked:g} was asked"
    )
    return _entry("min_speedup", asked, found.speedup, (low, high), low >= asked, why)


def _size_ratio(asked: float, size: Pair) -> RequirementResult:
    if size.ratio is None:
        return _unmeasured("max_size_ratio", asked, "the original has no bytes")
    why = (
        f"the model went from {size.before} to {size.after} bytes, {size.ratio:.3f} of its size, and at most "
        f"{asked:g} was asked"
    )
    return _entry("max_size_ratio", asked, size.ratio, None, size.ratio <= asked, why)


def _cosine(asked: float, parity: list[Parity], uncompared: Mapping[str, str]) -> RequirementResult:
    """The worst output decides; what cannot be compared does not meet it."""
    for p in parity:
        if is_broken(p):
            why = f"output {p.output!r} is NaN or infinite where the original's is not, or lost an infinity"
            return _entry("min_cosine", asked, 0.0, None, False, why)
    told = [(p.cosine, p) for p in parity if p.cosine is not None]
    worst, output = min(told, key=lambda pair: pair[0], default=(None, None))
    if worst is not None and output is not None and worst < asked:
        why = (
            f"output {output.output!r} has a cosine of {worst:.6f} to the original's on {output.samples} "
            f"{output.data} samples, and at least {asked:g} was asked"
        )
        return _entry("min_cosine", asked, worst, None, False, why)
    if (reason := _beyond_cosine(parity, uncompared)) is not None:
        return _unmeasured("min_cosine", asked, reason)
    if worst is None:
        reason = "no output has a cosine (all are almost zero, integers, or could not be compared)"
        return _unmeasured("min_cosine", asked, reason)
    return _entry("min_cosine", asked, worst, None, True, "")


def _beyond_cosine(parity: list[Parity], uncompared: Mapping[str, str]) -> str | None:
    """The first output whose likeness no cosine tells, unless it stayed as it was."""
    for name, reason in uncompared.items():
        return f"output {name!r} could not be compared: {reason}"
    for p in parity:
        if p.max_error is None:
            return f"the original's output {p.output!r} has NaN or infinity in every sample"
        if p.cosine is None and p.max_error > BY_ITSELF:
            return f"output {p.output!r} has no cosine (it is almost zero, or integers), and moved by {p.max_error:.3g}"
    return None


def _unmeasured(name: str, asked: float, reason: str) -> RequirementResult:
    return RequirementResult(
        name=name, asked=asked, measured=None, interval=None, met=False, why=f"{_capital(reason)}."
    )


def _entry(
    name: str, asked: float, measured: float, interval: tuple[float, float] | None, met: bool, why: str
) -> RequirementResult:
    return RequirementResult(
        name=name,
        asked=asked,
        measured=measured,
        interval=interval,
        met=met,
        why=None if met else f"{_capital(why)}.",
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
