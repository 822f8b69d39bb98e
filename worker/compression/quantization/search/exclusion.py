"""Leaves the most sensitive layers in float until what is required holds: `exclude: "auto"`.

The layers are ranked once, each by what quantizing it alone costs; then the worst are left out, one by one at first,
then twice as many each time, and everything is measured again after each; of the last ones only as many as it takes.
No layer is left out when all of them together meet it; then the ranking is only told, as far as it comes in
`TOLD_SECONDS`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.acceptance import Meets
from worker.compression.quantization.search.output_error import Judge, Judged
from worker.compression.quantization.search.sensitivity import TOLD_SECONDS, Gain, Sensitivity, ranked

ONE_BY_ONE = 8
"""Layers left out singly, before it goes by twice as many."""


@dataclass(frozen=True)
class Excluded:
    """`left` says why each layer stays float; `judged` is the result without them, `met` whether it suffices."""

    left: dict[str, str]
    judged: Judged
    met: bool
    ranked: list[Sensitivity] = field(default_factory=list)
    steps: list[dict[str, Any]] = field(default_factory=list)


def exclude(
    static: Static,
    judge: Judge,
    meets: Meets,
    gains: Callable[[], dict[str, Gain]],
    told: Callable[[float], None],
) -> Excluded:
    """The fewest of the worst layers. At least one layer stays quantized, whether that meets it or not."""
    judged = judge(static.quantized())
    if meets(judged):
        return Excluded({}, judged, True, ranked(static, judge, gains(), told, TOLD_SECONDS))
    by_cost = ranked(static, judge, gains(), told)
    left: dict[str, str] = {}
    steps: list[dict[str, Any]] = []
    for group in _groups(_dispensable(static, by_cost)):
        before, found = judged, _without(static, judge, left, group)
        if meets(found):
            group, found = _shortest(static, judge, meets, left, group, found)
        left, judged = left | _reasons(group), found
        steps.append(_told(group, before, judged))
        if meets(judged):
            return Excluded(left, judged, True, by_cost, steps)
    return Excluded(left, judged, False, by_cost, steps)


def _dispensable(static: Static, by_cost: list[Sensitivity]) -> list[Sensitivity]:
    """As many of the worst as can be float while another layer is not: a table is int8 with all its readers or none."""
    worst = by_cost[:-1]
    while not static.quantizable(_reasons(worst)):
        worst.pop()
    return worst


def _shortest(
    static: Static,
    judge: Judge,
    meets: Meets,
    left: dict[str, str],
    group: list[Sensitivity],
    found: Judged,
) -> tuple[list[Sensitivity], Judged]:
    """The first layers of the group that suffice, by halving, and what is found without them."""
    low, high = 1, len(group)
    while low < high:
        middle = (low + high) // 2
        tried = _without(static, judge, left, group[:middle])
        if meets(tried):
            high, found = middle, tried
        else:
            low = middle + 1
    return group[:high], found


def _without(static: Static, judge: Judge, left: dict[str, str], group: list[Sensitivity]) -> Judged:
    return judge(static.quantized(left | _reasons(group)))


def _reasons(group: list[Sensitivity]) -> dict[str, str]:
    return {
        one.name: f"sensitive: quantized alone it leaves {one.judged.snr_db:.1f} dB at the outputs"
        for one in group
    }


def _groups(by_cost: list[Sensitivity]) -> Iterator[list[Sensitivity]]:
    start, size = 0, 1
    while start < len(by_cost):
        yield by_cost[start : start + size]
        start += size
        size = 1 if start < ONE_BY_ONE else 2 * size


def _told(group: list[Sensitivity], before: Judged, after: Judged) -> dict[str, Any]:
    """What leaving these out gave back, and cost: bytes, and the milliseconds that their kernels had saved."""
    saved = [one.gain.milliseconds for one in group]
    return {
        "layers": [one.name for one in group],
        "snr_db_before": round(before.snr_db, 2),
        "bytes_lost": sum(one.gain.bytes for one in group),
        "ms_lost": None if None in saved else round(sum(x for x in saved if x is not None), 4),
        **after.told(),
    }
