"""What a trial's result says: what it costs by the objective, what it harms, and how far it is from what is required.

    violation = Σ over the requirements of (how far off / scale)
    chance    = Φ(margin / (√2 · s))    margin: of the interval's worse bound over what is asked, s: its standard error

How far off is told on the worse bound of the interval, but for time: a trial's is a short estimate, and the final times
with care.
"""

from math import log, sqrt
from statistics import NormalDist
from typing import Any, Final, assert_never

from winnow.contract.evaluation import AGREEMENT
from winnow.contract.requirements import MEMORY, SIZE, SPEED
from winnow.contract.search import Objective

Result = dict[str, Any]

COSTS: Final = SIZE | SPEED | MEMORY
UNKNOWN: Final = 1.0
"""The violation of a requirement that could not be measured."""
NEVER: Final = frozenset({"finite_outputs", "runs_on_target"})
"""What no result may miss, whatever was required."""
BROKEN: Final = 10.0
"""The violation of these."""
SAME_SNR_DB: Final = 200.0
"""Of outputs that did not move; the error of float32 lies far above it."""
MIN_AGREEMENT: Final = 0.95
MIN_SNR_DB: Final = 20.0
"""Nobody who required nothing of the quality wants less (`measure/verdict/recommendation.py` has the same)."""
SMALLEST_SCALE: Final = 0.01
LEAST_COST: Final = 1e-9
NORMAL: Final = NormalDist()
SURE: Final = 0.9
"""The chance from which on nothing more is asked of a trial."""
HOPELESS: Final = 6.0
"""The violation after a ninth of a training from which on all of it is not tried. A guess from four trainings of one
ResNet-20 within 1 point: after a ninth 2.0 ended within it, 3.4 (of a sibling) just beyond, 8.7 and 16.8 far beyond."""


def cost(result: Result, objective: Objective) -> float | None:
    """What the objective makes small; None where it was not measured."""
    match objective:
        case "size":
            return _number(result.get("size_bytes"))
        case "macs":
            return _number(result.get("macs"))
        case "memory":
            return _number(result.get("memory_bytes"))
        case "latency":
            speedup = _number((result.get("speedup") or {}).get("value"))
            return 1 / speedup if speedup else None
        case "quality":
            return loss(result)
        case _:
            assert_never(objective)


def gain(before: float, after: float) -> float:
    """ln(before / after) of two costs; what costs less than `LEAST_COST`, nothing for example, counts as much."""
    return log(max(before, LEAST_COST)) - log(max(after, LEAST_COST))


def loss(result: Result) -> float | None:
    """The drop of the first metric; without one, how unlike the outputs are."""
    metrics = result.get("metrics") or {}
    for measured in metrics.values():
        return _number(measured["drop"])
    parity = result.get("parity")
    if parity is None:
        return None
    snr_db = _number(parity.get("snr_db"))
    return -SAME_SNR_DB if snr_db is None else -min(snr_db, SAME_SNR_DB)


def speedup_interval(result: Result) -> tuple[float, float] | None:
    measured = result.get("speedup") or {}
    if measured.get("value") is None:
        return None
    low, high = measured.get("interval") or (measured["value"],) * 2
    return float(low), float(high)


def violation(result: Result) -> float:
    """0 where everything that is required is met."""
    return sum(_excess(entry) for entry in result.get("requirements") or [])


def violation_of(result: Result, *, costs: bool) -> float:
    """As `violation`, of the requirements of size, speed and memory alone, or of all others."""
    entries = result.get("requirements") or []
    return sum(_excess(entry) for entry in entries if (entry["name"] in COSTS) == costs)


def is_sure(result: Result) -> bool:
    """Whether everything that is required is met, and will hardly be missed on other rows."""
    return violation(result) == 0 and chance(result) >= SURE


def is_hopeless(result: Result) -> bool:
    """Whether what was trained briefly is too far from what is required for a whole training."""
    return violation(result) > HOPELESS


def doubt(result: Result) -> float:
    """How far `violation` may be off for the samples that were drawn: half of each interval."""
    return sum(map(_doubt, result.get("requirements") or []))


def _doubt(entry: dict[str, Any]) -> float:
    low, high = entry.get("interval") or (0.0, 0.0)
    return (
        0.0
        if entry["name"] in SPEED
        else float(high - low) / 2 / _scale(entry["name"], float(entry["asked"]))
    )


def chance(result: Result) -> float:
    """How likely the final, on as many other rows, finds met what is met here; from `SURE` on all are alike.

    The least of all requirements that have an interval; a speed-up's is of this machine's rounds, and counts for none.
    """
    return min((_chance(entry) for entry in result.get("requirements") or []), default=SURE)


def _chance(entry: dict[str, Any]) -> float:
    low, high = entry.get("interval") or (0.0, 0.0)
    if entry["name"] in SPEED or high <= low:
        return SURE
    margin = low - entry["asked"] if _is_least(entry["name"]) else entry["asked"] - high
    error = (high - low) / (2 * NORMAL.inv_cdf(0.975))
    return min(SURE, NORMAL.cdf(margin / (sqrt(2) * error)))


def harm(result: Result) -> float:
    """How much of the quality is lost beyond doubt: what counts where nothing was required of it."""
    metrics = result.get("metrics") or {}
    for name, measured in metrics.items():
        if name != AGREEMENT:
            return max(0.0, float(measured["interval"][0]))
    if AGREEMENT in metrics:
        return max(0.0, MIN_AGREEMENT - float(metrics[AGREEMENT]["after"]))
    snr_db = _number((result.get("parity") or {}).get("snr_db"))
    return 0.0 if snr_db is None else max(0.0, MIN_SNR_DB - snr_db)


def _excess(entry: dict[str, Any]) -> float:
    name, limit, measured = entry["name"], float(entry["asked"]), _number(entry["measured"])
    if measured is None:
        return 0.0 if entry["met"] else BROKEN if name in NEVER else UNKNOWN
    low, high = (measured, measured) if name in SPEED else entry.get("interval") or (measured, measured)
    return max(0.0, limit - low if _is_least(name) else high - limit) / _scale(name, limit)


def _is_least(name: str) -> bool:
    return name.rpartition(".")[2].startswith("min")


def _scale(name: str, limit: float) -> float:
    """A bound close to 1 is judged by what lies between."""
    closeness = name in ("min_cosine", "min_agreement")
    return max(1 - limit if closeness else abs(limit), SMALLEST_SCALE)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
