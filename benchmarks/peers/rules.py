"""What is asked of ours beside the peers, judged on the bounds of paired bootstrap intervals.

A difference counts when the whole interval says so: "more than 3 % faster" means that the lower bound is. "Not worse"
and "not slower" mean that the interval does not show it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.peers.candidates import FASTEST, NNCF, QUALITY, STATIC, Candidate
from benchmarks.peers.quality import Quality, better
from benchmarks.peers.timing import Rounds
from worker.compression.measure.quality.bootstrap import median_interval

FASTER, LONGER = 1.03, 1.20


@dataclass(frozen=True)
class Measured:
    """`times` by batch size; the same rounds for all."""

    candidate: Candidate
    times: dict[int, Rounds]
    quality: Quality


@dataclass(frozen=True)
class Finding:
    """`met` with `doubt`: the estimate says no, its interval does not."""

    rule: str
    told: str
    met: bool
    doubt: bool = False

    def __str__(self) -> str:
        verdict = ("met, within chance" if self.doubt else "met") if self.met else "NOT met"
        return f"{self.rule}: {self.told}: {verdict}"


def findings(float_times: dict[int, Rounds], all_of: list[Measured]) -> Iterator[Finding]:
    ours = {one.candidate.name: one for one in all_of if one.candidate.ours}
    peers = [one for one in all_of if not one.candidate.ours]
    if not peers:
        return
    for batch in float_times:
        if FASTEST in ours:
            yield _as_fast(ours[FASTEST], peers, batch)
    if QUALITY in ours:
        yield _as_good(ours[QUALITY], peers)
    for one in ours.values():
        for batch in float_times:
            yield _undominated(one, peers, batch)
    nncf = next((peer for peer in peers if peer.candidate.name.startswith(NNCF)), None)
    if nncf is not None and STATIC in ours:
        a, b = ours[STATIC].candidate.seconds, nncf.candidate.seconds
        yield Finding(
            f"{STATIC} takes no longer than NNCF + 20 %", f"{a:.1f} s beside {b:.1f} s", a <= LONGER * b
        )


def _as_fast(one: Measured, peers: list[Measured], batch: int) -> Finding:
    fastest = min(peers, key=lambda peer: float(np.median(peer.times[batch].ms)))
    ratio, low, high = faster(fastest, one, batch)
    return Finding(
        f"{FASTEST} as fast as the fastest peer within 3 %, batch {batch}",
        f"{fastest.candidate.name} {ratio:.3f}× as fast ({low:.3f}-{high:.3f})",
        low <= FASTER,
        ratio > FASTER,
    )


def _as_good(one: Measured, peers: list[Measured]) -> Finding:
    best = max(peers, key=lambda peer: peer.quality.value)
    gain, low, high = better(best.quality, one.quality)
    return Finding(
        f"{QUALITY} as good as the best peer within {one.quality.tolerance:g}",
        f"{best.candidate.name} {gain:+.2f} ({low:+.2f} to {high:+.2f})",
        low <= one.quality.tolerance,
        gain > one.quality.tolerance,
    )


def _undominated(one: Measured, peers: list[Measured], batch: int) -> Finding:
    """A peer dominates by being clearly faster and not worse, or clearly better and not slower."""
    told = []
    for peer in peers:
        ratio, slowest, fastest = faster(peer, one, batch)
        gain, least, most = better(peer.quality, one.quality)
        if (slowest > FASTER and most >= 0) or (least > one.quality.tolerance and fastest >= 1):
            told.append(f"{peer.candidate.name} {ratio:.3f}× as fast and {gain:+.2f} better")
    rule = f"no peer dominates {one.candidate.name}, batch {batch}"
    return Finding(rule, "; ".join(told) or "none does", not told)


def faster(one: Measured, other: Measured, batch: int) -> tuple[float, float, float]:
    """How many times as fast `one` is as `other`: the median over the rounds, bounds over the runtime's sessions."""
    ratios = other.times[batch].ms / one.times[batch].ms
    return (float(np.median(ratios)), *median_interval(ratios, 0, one.times[batch].sessions))
