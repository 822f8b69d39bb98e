"""Say the result in plain words, also when it is not what one hoped for."""

from collections.abc import Mapping
from types import MappingProxyType

from winnow.contract.evaluation import AGREEMENT
from winnow.contract.report import Latency, Pair, Parity, Quality, Verdict
from worker.compression.measure.quality.parity import is_broken
from worker.compression.measure.verdict.outputs import least_snr_db
from worker.compression.measure.verdict.recommendation import MIN_TELLING_SPEEDUP, Measured, recommend
from worker.compression.measure.verdict.requirements import broken_outputs


def verdict(
    *,
    latency: list[Latency],
    quality: list[Quality],
    parity: list[Parity],
    size_bytes: Pair,
    uncompared: Mapping[str, str] = MappingProxyType({}),
    nan_samples: int = 0,
    changed: int = 1,
    refused: str | None = None,
) -> Verdict:
    """`faster` is judged at the first benchmark entry; null where it cannot be told from no change.

    `changed`: nodes that the steps changed. `refused`: why the target cannot run the result. `uncompared`,
    `nan_samples`: as in `Comparison`.
    """
    faster = is_faster(latency[0]) if latency else None
    summary = [*_beyond_comparing(parity), _size(size_bytes), *map(_speed, latency), *map(_quality, quality)]
    if not quality:
        summary += _parity(parity)
    labelled = [entry for entry in quality if entry.metric != AGREEMENT]
    agreement = next((entry for entry in quality if entry.metric == AGREEMENT), None)
    advice, because = recommend(
        Measured(
            changed=changed,
            broken=broken_outputs(quality, parity, nan_samples),
            refused=refused,
            speedup=latency[0].speedup_interval if latency else None,
            size_ratio=1.0 if size_bytes.ratio is None else size_bytes.ratio,
            drop=labelled[0].drop_interval if labelled else None,
            snr_db=least_snr_db(parity, uncompared),
            agreement=None if agreement is None else agreement.after,
            samples=0 if agreement is None else agreement.samples,
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


def is_faster(latency: Latency) -> bool | None:
    if latency.speedup_interval is None:
        return None
    low, high = latency.speedup_interval
    return True if low > 1 + MIN_TELLING_SPEEDUP else False if high < 1 - MIN_TELLING_SPEEDUP else None


def _size(size: Pair) -> str:
    if size.after == size.before:
        return f"As large as before: {size.after} bytes."
    word = "Smaller" if size.after < size.before else "Larger"
    ratio = f", {size.ratio:.3f} of the original" if size.ratio is not None else ""
    return f"{word}: {size.before} to {size.after} bytes{ratio}."


def _speed(latency: Latency) -> str:
    where = f"at batch {latency.batch_size} on {latency.threads} thread(s)"
    if latency.speedup is None or latency.speedup_interval is None:
        return f"Speed {where} could not be told: {latency.untold}. Measure again while nothing else runs."
    low, high = latency.speedup_interval
    times = f"medians of all runs {latency.baseline_ms.p50:.3g} and {latency.candidate_ms.p50:.3g} ms"
    match is_faster(latency):
        case True:
            return f"{latency.speedup:.2f} times as fast {where} (95 %: {low:.2f} to {high:.2f}): {times}."
        case False:
            return (
                f"Slower {where}: {latency.speedup:.2f} times the original's speed (95 %: {low:.2f} to {high:.2f}): "
                f"{times}. On this machine the original is the better choice for speed."
            )
        case _:
            return (
                f"Neither faster nor slower {where} as far as can be told: {latency.speedup:.2f} times the original's "
                f"speed (95 %: {low:.2f} to {high:.2f}): {times}."
            )


def _quality(quality: Quality) -> str:
    if quality.metric == AGREEMENT:
        low, high = quality.after_interval
        return (
            f"The predictions ({quality.task}) agree with the original's by {quality.after:.4f} "
            f"(95 %: {low:.4f} to {high:.4f}) on {quality.samples} samples."
        )
    low, high = quality.drop_interval
    change = f"{quality.metric} went from {quality.before:.4f} to {quality.after:.4f}"
    data = f"on {quality.samples} {'held-out' if quality.held_out else 'not held-out'} samples"
    if low > 0:
        return f"Worse: {change} {data}, a loss of {quality.drop:.4f} (95 %: {low:.4f} to {high:.4f})."
    if high < 0:
        return f"Better: {change} {data}, a gain of {-quality.drop:.4f} (95 %: {-high:.4f} to {-low:.4f})."
    return (
        f"No loss that can be told from chance: {change} {data} (95 % of the loss: {low:.4f} to {high:.4f})."
    )


def _beyond_comparing(parity: list[Parity]) -> list[str]:
    """Say first what is not finite, whatever else was measured."""
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
    """Say which output moved most of those that can be compared."""
    if not parity:
        return ["The outputs could not be compared."]
    comparable = [
        (p.max_relative_error, p) for p in parity if p.max_relative_error is not None and not is_broken(p)
    ]
    if not comparable:
        return []
    largest, worst = max(comparable, key=lambda pair: pair[0])
    cosine = f"cosine {worst.cosine:.6f}, " if worst.cosine is not None else ""
    sentence = (
        f"Output {worst.output!r} moved most: {cosine}largest error {worst.max_error:.3g} "
        f"({100 * largest:.2g} % of its largest value) on {worst.samples} {worst.data} samples."
    )
    if worst.data == "random":
        sentence += " Random inputs say little about real ones: give data to compare on."
    return [sentence]
