"""Recommend to use the result or to keep the original, where nobody said what matters: by defaults, in one place.

    speed     slower: the upper bound of the speed-up is below 1; what cannot be told counts as not slower
    size      larger: more bytes
    quality   kept: the interval of the metric's drop reaches down to 0; without labels the predictions agree with the
              original's by at least 0.95, on so many samples that it can be told (60), or, where nothing says how to
              decode them, every output is at least 20 dB above its error

Used is what changed anything, is whole, runs on the target, keeps the quality, and is neither slower nor larger, or
clearly better in one of both: the speed-up's interval lies beyond `MIN_TELLING_SPEEDUP`, or the file is at most
`MAX_CLEARLY_SMALLER_RATIO` of the original.
"""

from dataclasses import dataclass
from typing import Final, Literal

Recommendation = Literal["use_result", "keep_original"]

MIN_TELLING_SPEEDUP: Final = 0.02
"""Two sessions of one and the same file differ by up to 2 % in speed, steadily, by where their memory lies (seen with
four of the shared models): an interval within 2 % of 1 tells nothing, however narrow it is."""
MAX_CLEARLY_SMALLER_RATIO: Final = 0.9
MIN_SNR_DB: Final = 20.0
MIN_AGREEMENT: Final = 0.95
MIN_AGREEING_SAMPLES: Final = 60
"""The rule of three: where n samples all agree, 3/n of all others may not (95 %); with 60 that is 0.05. Resampling
tells nothing of it: of samples that are all alike its interval has no width, however few they are."""


@dataclass(frozen=True)
class Measured:
    """`speedup`, `drop`: 95 % intervals, None where not measured. `agreement`: of the predictions of so many
    `samples` with the original's.
    `snr_db`: of the output where it is least; inf where nothing moved, None where an output could not be compared.
    `size_ratio`: after / before. `refused`: why the target cannot run the result."""

    changed: int
    broken: str | None
    speedup: tuple[float, float] | None
    size_ratio: float
    drop: tuple[float, float] | None
    snr_db: float | None
    agreement: float | None = None
    samples: int = 0
    refused: str | None = None


def recommend(measured: Measured) -> tuple[Recommendation, str]:
    """Return what to do, and the reason in a sentence."""
    if (against := _against(measured)) is not None:
        return "keep_original", against
    cost = _cost(measured)
    gain = _gain(measured)
    if cost and not gain:
        return "keep_original", f"It is {cost}, and not clearly better in anything."
    what = f"{gain or 'neither slower nor larger'}{f', though {cost}' if cost else ''}"
    return "use_result", f"It is {what}, and {_quality(measured)}."


def _quality(measured: Measured) -> str:
    if measured.drop is not None:
        return "no loss of quality can be told"
    if measured.agreement is not None:
        return f"its predictions agree with the original's by {measured.agreement:.4f}"
    return "every output is at least 20 dB above its error"


def _against(measured: Measured) -> str | None:
    """Say what no gain in speed or size makes up for; None where there is nothing."""
    if measured.changed == 0:
        return "No step changed anything."
    if measured.broken is not None:
        return f"The result is broken: {measured.broken}."
    if measured.refused is not None:
        return f"{measured.refused[:1].upper()}{measured.refused[1:]}."
    if measured.drop is not None:
        low, high = measured.drop
        return None if low <= 0 else f"The quality is worse by {low:.4f} to {high:.4f} (95 %)."
    if measured.agreement is not None:
        return _disagreement(measured.agreement, measured.samples)
    if measured.snr_db is None:
        return "Not every output could be compared with the original's, and there are no labels to judge by."
    if measured.snr_db < MIN_SNR_DB:
        return f"An output is only {measured.snr_db:.1f} dB above its error, and there are no labels to judge by."
    return None


def _disagreement(agreement: float, samples: int) -> str | None:
    """Say why predictions do not agree well enough with the original's, or cannot be told to."""
    if agreement < MIN_AGREEMENT:
        return f"Its predictions agree with the original's by only {agreement:.4f}."
    if samples < MIN_AGREEING_SAMPLES:
        unseen = min(1.0, 3 / samples)
        return (
            f"Its predictions agree with the original's by {agreement:.4f}, but on {samples} samples only: even where "
            f"all of so few agree, {unseen:.2f} of others may not (95 %). Give {MIN_AGREEING_SAMPLES} or more."
        )
    return None


def _cost(measured: Measured) -> str:
    words = ["slower"] if measured.speedup is not None and measured.speedup[1] < 1 else []
    return " and ".join(words + (["larger"] if measured.size_ratio > 1 else []))


def _gain(measured: Measured) -> str:
    words = (
        ["faster"] if measured.speedup is not None and measured.speedup[0] > 1 + MIN_TELLING_SPEEDUP else []
    )
    return " and ".join(
        words + (["clearly smaller"] if measured.size_ratio <= MAX_CLEARLY_SMALLER_RATIO else [])
    )
