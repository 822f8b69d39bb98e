"""The result in plain words, also when it is not what one hoped for."""

import math
from collections.abc import Mapping
from types import MappingProxyType

from winnow.contract.report import Latency, Pair, Parity, Quality, Verdict
from worker.compression.measure.quality.parity import is_broken
from worker.compression.measure.verdict.recommendation import FLOOR, Measured, recommend
from worker.compression.measure.verdict.requirements import BY_ITSELF, broken_outputs


def verdict(
    *,
    latency: list[Latency],
    quality: list[Quality],
    parity: list[Parity],
    size_bytes: Pair,
    uncompared: Mapping[str, str] = MappingProxyType({}),
    nan_samples: int = 0,
    changed: int = 1,
) -> Verdict:
    """`faster` is judged at the first benchmark entry; null where it cannot be told from no change.

    `changed`: nodes that the steps changed. `uncompared`, `nan_samples`: as in `Comparison`.
    """
    faster = is_faster(latency[0]) if latency else None
    summary = [*_beyond_comparing(parity), _size(size_bytes), *map(_speed, latency), *map(_quality, quality)]
    if not quality:
        summary += _parity(parity)
    advice, because = recommend(
        Measured(
            changed=changed,
            broken=broken_outputs(quality, parity, nan_samples),
            speedup=latency[0].speedup_interval if latency else None,
            size_ratio=1.0 if size_bytes.ratio is None else size_bytes.ratio,
            drop=quality[0].drop_interval if quality else None,
            snr_db=_least_db(parity, uncompared),
        )
    )
    return Verdict(
        faster=faster,
        smaller=size_bytes.after < size_bytes.before,
        worse_by=quality[0].drop if quality else None,
        recommend=advice,
        because=because,
        summary=summary,
    )


def _least_db(parity: list[Parity], uncompared: Mapping[str, str]) -> float | None:
    """Of the output where it is least; infinite where nothing moved, None where one could not be compared."""
    if uncompared or not parity or any(p.max_error is None for p in parity):
        return None
    return min(_db(p) for p in parity)


def _db(found: Parity) -> float:
    """Integers and outputs of zeros have none: they moved or they did not."""
    if found.max_error is not None and found.max_error <= BY_ITSELF:
        return math.inf
    return -math.inf if found.snr_db is None else found.snr_db


def is_faster(found: Latency) -> bool | None:
    if found.speedup_interval is None:
        return None
    low, high = found.speedup_interval
    return True if low > 1 + FLOOR else False if high < 1 - FLOOR else None


def _size(size: Pair) -> str:
    if size.after == size.before:
        return f"As large as before: {size.after} bytes."
    word = "Smaller" if size.after < size.before else "Larger"
    ratio = f", {size.ratio:.3f} of the original" if size.ratio is not None else ""
    return f"{word}: {size.before} to {size.after} bytes{ratio}."


def _speed(found: Latency) -> str:
    where = f"at batch {found.batch_size} on {found.threads} thread(s)"
    if found.speedup is None or found.speedup_interval is None:
        return f"Speed {where} could not be told: {found.untold}. Measure again while nothing else runs."
    low, high = found.speedup_interval
    times = f"medians of all runs {found.baseline_ms.p50:.3g} and {found.candidate_ms.p50:.3g} ms"
    match is_faster(found):
        case True:
            return f"{found.speedup:.2f} times as fast {where} (95 %: {low:.2f} to {high:.2f}): {times}."
        case False:
            return (
                f"Slower {where}: {found.speedup:.2f} times the original's speed (95 %: {low:.2f} to {high:.2f}): "
                f"{times}. On this machine the original is the better choice for speed."
            )
        case _:
            return (
                f"Neither faster nor slower {where} as far as can be told: {found.speedup:.2f} times the original's "
                f"speed (95 %: {low:.2f} to {high:.2f}): {times}."
            )


def _quality(found: Quality) -> str:
    low, high = found.drop_interval
    change = f"{found.metric} went from {found.before:.4f} to {found.after:.4f}"
    data = f"on {found.samples} {'held-out' if found.held_out else 'not held-out'} samples"
    if low > 0:
        return f"Worse: {change} {data}, a loss of {found.drop:.4f} (95 %: {low:.4f} to {high:.4f})."
    if high < 0:
        return f"Better: {change} {data}, a gain of {-found.drop:.4f} (95 %: {-high:.4f} to {-low:.4f})."
    return (
        f"No loss that can be told from chance: {change} {data} (95 % of the loss: {low:.4f} to {high:.4f})."
    )


def _beyond_comparing(parity: list[Parity]) -> list[str]:
    """What is not finite is said first, whatever else was measured."""
    broken = [
        f"Broken: the compressed model's output {p.output!r} is NaN or infinite where the original's is not, or lost "
        f"an infinity, on {p.samples} {p.data} samples."
        for p in parity
        if is_broken(p)
    ]
    return broken + [
        f"Output {p.output!r} cannot be compared: the original's has NaN or infinity in all of {p.samples} {p.data} "
        "samples."
        for p in parity
        if p.max_error is None
    ]


def _parity(parity: list[Parity]) -> list[str]:
    """The output that moved most of those that can be compared."""
    if not parity:
        return ["The outputs could not be compared."]
    told = [
        (p.max_relative_error, p) for p in parity if p.max_relative_error is not None and not is_broken(p)
    ]
    if not told:
        return []
    largest, worst = max(told, key=lambda pair: pair[0])
    cosine = f"cosine {worst.cosine:.6f}, " if worst.cosine is not None else ""
    sentence = (
        f"Output {worst.output!r} moved most: {cosine}largest error {worst.max_error:.3g} "
        f"({100 * largest:.2g} % of its largest value) on {worst.samples} {worst.data} samples."
    )
    if worst.data == "random":
        sentence += " Random inputs say little about real ones: give data to compare on."
    return [sentence]
