"""Judge how like the original's the outputs are: the worst decides; what is broken or cannot be compared meets
nothing."""

import math
from collections.abc import Mapping
from typing import Final, Literal

from winnow.contract.report import Parity, RequirementResult
from worker.compression.measure.quality.parity import ALMOST_ZERO, is_broken
from worker.compression.measure.verdict.entries import made_entry, unmeasured

MAX_ERROR_OF_SAME: Final = ALMOST_ZERO
"""So far an output without a cosine or an SNR may move and counts as the same."""

Figure = Literal["cosine", "snr_db"]


def cosine(limit: float, parity: list[Parity], uncompared: Mapping[str, str]) -> RequirementResult:
    entry = _too_low("min_cosine", limit, "cosine", parity, uncompared)
    if entry is not None:
        return entry
    worst = _worst("cosine", parity)
    if worst is None:
        reason = "no output has a cosine (all are almost zero, integers, or could not be compared)"
        return unmeasured("min_cosine", limit, reason)
    return made_entry("min_cosine", limit, worst.cosine, None, True, "")


def signal_to_noise(limit: float, parity: list[Parity], uncompared: Mapping[str, str]) -> RequirementResult:
    """Judge the ratio of signal to noise. Without noise it is infinite: met, and `measured` is null."""
    entry = _too_low("min_snr_db", limit, "snr_db", parity, uncompared)
    if entry is not None:
        return entry
    if not parity:
        return unmeasured("min_snr_db", limit, "no output could be compared")
    worst = _worst("snr_db", parity)
    return made_entry("min_snr_db", limit, None if worst is None else worst.snr_db, None, True, "")


def _too_low(
    name: str, limit: float, figure: Figure, parity: list[Parity], uncompared: Mapping[str, str]
) -> RequirementResult | None:
    """Return the entry of what is broken, below the limit or beyond comparing; None where nothing is."""
    for p in parity:
        if is_broken(p):
            why = f"output {p.output!r} is NaN or infinite where the original's is not, or lost an infinity"
            return made_entry(name, limit, p.cosine if figure == "cosine" else None, None, False, why)
    worst = _worst(figure, parity)
    if worst is not None and getattr(worst, figure) < limit:
        what = (
            f"has a cosine of {worst.cosine:.6f} to the original's"
            if figure == "cosine"
            else f"is {worst.snr_db:.2f} dB above its error"
        )
        why = f"output {worst.output!r} {what} on {worst.samples} {worst.data} samples"
        return made_entry(
            name, limit, getattr(worst, figure), None, False, f"{why}, and at least {limit:g} was asked"
        )
    reason = _beyond_comparing(figure, parity, uncompared)
    return None if reason is None else unmeasured(name, limit, reason)


def _worst(figure: Figure, parity: list[Parity]) -> Parity | None:
    measured = [p for p in parity if getattr(p, figure) is not None]
    return min(measured, key=lambda p: float(getattr(p, figure)), default=None)


def _beyond_comparing(figure: Figure, parity: list[Parity], uncompared: Mapping[str, str]) -> str | None:
    """Say which output's likeness no figure tells, unless it stayed as it was."""
    for name, reason in uncompared.items():
        return f"output {name!r} could not be compared: {reason}"
    for p in parity:
        if p.max_error is None:
            return f"the original's output {p.output!r} has NaN or infinity in every sample"
        if getattr(p, figure) is None and p.max_error > MAX_ERROR_OF_SAME:
            noun = "cosine" if figure == "cosine" else "SNR"
            return f"output {p.output!r} has no {noun} (it is almost zero, or integers), and moved by {p.max_error:.3g}"
    return None


def least_snr_db(parity: list[Parity], uncompared: Mapping[str, str]) -> float | None:
    """Return the least SNR of all outputs; infinite where nothing moved, None where one could not be compared."""
    if uncompared or not parity or any(p.max_error is None for p in parity):
        return None
    return min(_db(p) for p in parity)


def _db(parity: Parity) -> float:
    """Return the SNR in dB. Integers and outputs of zeros have none: they moved or they did not."""
    if parity.max_error is not None and parity.max_error <= MAX_ERROR_OF_SAME:
        return math.inf
    return -math.inf if parity.snr_db is None else parity.snr_db
