"""What the timing knows of the machine's noise, of its first entry.

spread      ½ (q95 − q05) / median          of the rounds, of the original against itself and of the speed-up
told from   ½ (high − low) / speed-up       of the interval; and never below what two sessions of one file differ by
"""

import numpy as np

from winnow.contract import units
from winnow.contract.report import Latency
from winnow.contract.robustness import Noise
from worker.compression.measure.verdict.recommendation import MIN_TELLING_SPEEDUP


def noise_of(latency: list[Latency]) -> Noise:
    if not latency:
        return Noise(control_spread=None, speedup_spread=None, told_from=None, says="Nothing was timed.")
    first = latency[0]
    control, ratios = spread(first.control_per_round), spread(first.speedup_per_round)
    others = f"others used {first.others_share:.0%} of the CPUs"
    rounds = f"From round to round the original differed from itself by ±{control:.1%}, the speed-up by ±{ratios:.1%}"
    if first.speedup is None or first.speedup_interval is None:
        says = f"{rounds}; {others}. No speed-up can be told: {first.untold}."
        return Noise(control_spread=control, speedup_spread=ratios, told_from=None, says=says)
    low, high = first.speedup_interval
    told = max(MIN_TELLING_SPEEDUP, (high - low) / 2 / first.speedup)
    over = f"Over {units.count(first.rounds)} rounds"
    says = f"{rounds}; {others}. {over} a change of {told:.1%} or more can be told from none."
    return Noise(control_spread=control, speedup_spread=ratios, told_from=told, says=says)


def spread(rounds: list[float]) -> float:
    """Half of the middle 90 %, as a share of the median."""
    low, middle, high = np.quantile(rounds, (0.05, 0.5, 0.95)).tolist()
    return float((high - low) / 2 / middle)
