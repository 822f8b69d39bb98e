"""Chooses the candidate that wins, from their numbers alone.

    latency   the fastest of those that keep the quality; within `AS_FAST` of it, of those that save at least half of
              the bytes that can be saved, the one of the best quality
    quality   the best quality of those that save at least half of the bytes that can be saved and are not slower than
              the float model (of those that save, when all are slower); within `AS_GOOD_DB`, the fastest

The float model takes part in both. It wins where nothing keeps the quality, where all that does is a larger file, where
nothing is smaller or faster, and with latency where everything is slower. Where no time could be told, the best quality
of those that save at least half of the bytes that can be saved wins, or the float model where none is smaller.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from worker.compression.quantization.search.output_error import OutputQuality

AS_FAST = 0.01
"""A share of the best speed-up: those within it count as as fast."""
AS_GOOD_DB = 0.25
"""Of signal to noise: those within it count as as good."""
MIN_SPEEDUP = 0.97
"""Speed-ups from here on cannot be told from 1 with certainty, where their interval reaches it."""


@dataclass(frozen=True)
class CandidateResult:
    """One candidate's numbers; `quality` is None where there is no data to judge on. `untold`: why its times say
    nothing, as a clause; None where they do."""

    name: str
    layers: int
    bytes: int
    speedup: float
    interval: tuple[float, float]
    milliseconds: float
    quality: OutputQuality | None
    keeps_quality: bool
    untold: str | None = None

    @property
    def not_slower(self) -> bool:
        return self.speedup >= MIN_SPEEDUP and self.interval[1] >= 1

    def as_report(self) -> dict[str, Any]:
        """Make a row of a report."""
        return {
            "name": self.name,
            "layers": self.layers,
            "bytes": self.bytes,
            "ms": None if self.untold else round(self.milliseconds, 4),
            "speedup": None if self.untold else round(self.speedup, 3),
            "speedup_interval": None if self.untold else [round(bound, 3) for bound in self.interval],
            **(self.quality.as_report() if self.quality else {}),
            "keeps_quality": self.keeps_quality,
        }


def choose_winner(
    entries: Sequence[CandidateResult], prefer: Literal["latency", "quality"], most_bytes: int | None = None
) -> tuple[int, str]:
    """Return the winner's number, 0 for the float model, which comes first; and why, in a sentence. Files of more than
    `most_bytes`, by itself those of the float model, are out."""
    most = entries[0].bytes if most_bytes is None else most_bytes
    rest = range(1, len(entries))
    good = [i for i in rest if entries[i].keeps_quality]
    if not good:
        nearest = entries[max(rest, key=lambda i: _quality(entries[i]))]
        return 0, f"No candidate keeps the quality that is asked for; {nearest.name!r} comes nearest."
    small = [i for i in good if entries[i].bytes <= most]
    if not small:
        return 0, "Every candidate that keeps the quality is a larger file."
    if (untold := entries[0].untold) is not None:
        return _without_time(entries, small, untold)
    return _fastest(entries, small) if prefer == "latency" else _best(entries, small)


def _fastest(entries: Sequence[CandidateResult], among: list[int]) -> tuple[int, str]:
    quick = [i for i in among if entries[i].not_slower]
    if not quick:
        fastest = max(entries[i].speedup for i in among)
        return 0, (
            f"No candidate is as fast as the float model: the best that keeps the quality is {fastest:.2f}×."
        )
    fastest = max(entries[i].speedup for i in quick)
    close = [i for i in quick if entries[i].speedup >= fastest * (1 - AS_FAST)]
    best = max(_saving(entries, close), key=lambda i: _quality(entries[i]))
    return best, f"The fastest of {len(among)} that keep the quality, or within 1 % of it."


def _best(entries: Sequence[CandidateResult], among: list[int]) -> tuple[int, str]:
    saving = _saving(entries, among)
    quick = [i for i in saving if entries[i].not_slower]
    if not quick and all(entries[i].bytes >= entries[0].bytes for i in saving):
        return 0, "No candidate that keeps the quality is smaller or faster."
    among = quick or saving
    highest = max(_quality(entries[i]) for i in among)
    close = [i for i in among if _quality(entries[i]) >= highest - AS_GOOD_DB]
    best = max(close, key=lambda i: entries[i].speedup)
    slower = "" if quick else "; all of them are slower than the float model"
    return best, f"The best quality of {len(among)} that save at least half of what can be saved{slower}."


def _without_time(entries: Sequence[CandidateResult], among: list[int], untold: str) -> tuple[int, str]:
    """Of those that keep the quality."""
    smaller = [i for i in among if entries[i].bytes < entries[0].bytes]
    no_time = f"No time could be told: {untold}."
    if not smaller:
        return 0, f"{no_time} No candidate that keeps the quality is smaller than the float model."
    among = _saving(entries, smaller)
    best = max(among, key=lambda i: _quality(entries[i]))
    return best, f"{no_time} The best quality of {len(among)} that save at least half of what can be saved."


def _saving(entries: Sequence[CandidateResult], among: list[int]) -> list[int]:
    """Those that save at least half of the bytes that the smallest saves; all when none is smaller."""
    saved = {i: entries[0].bytes - entries[i].bytes for i in among}
    most = max(saved.values())
    return [i for i in among if saved[i] >= most / 2] if most > 0 else among


def _quality(entry: CandidateResult) -> float:
    return 0.0 if entry.quality is None else entry.quality.snr_db
