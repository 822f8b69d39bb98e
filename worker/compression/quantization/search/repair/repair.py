"""All repairs of what is uneven, in order: what each leaves undone is left to the next."""

from collections.abc import Callable, Sequence
from functools import partial

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.scale_groups.rules import label_channels
from worker.compression.quantization.search.acceptance import HARMLESS_DB
from worker.compression.quantization.search.repair.even_channels import (
    even_channels,
    everywhere,
    folded,
    put_in,
)
from worker.compression.quantization.search.repair.float_joins import leave_joins_in_float
from worker.compression.quantization.search.repair.judge import GOOD_DB, Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven import (
    A_LITTLE,
    UNEVEN_CHANNELS,
    Uneven,
    see_channels,
    uneven_values,
)
from worker.compression.quantization.search.repair.wide_joins import widen_joins

Way = Callable[[Static, Sequence[Uneven], Judge, float], list[Repair]]


def repair(static: Static, judge: Judge) -> list[Repair]:
    """Repair in place, and answer what was done; nothing is run but a few samples where nothing is uneven, and
    nothing changed where the outputs are far enough above their error."""
    if not static.quantizable() or not _uneven(static, A_LITTLE):
        return []
    uneven, repairs = _uneven(static), list[Repair]()
    if judge.is_good(static, GOOD_DB if uneven else HARMLESS_DB):
        return []
    reached = judge.snr_db(static)
    for way in _ways(static):
        made = way(static, uneven, judge, reached) if reached < GOOD_DB else []
        if made:
            repairs, reached, uneven = [*repairs, *made], made[-1].after_db, _uneven(static)
    return repairs


def _ways(static: Static) -> list[Way]:
    """What costs nothing first. Where 16 bits are taken they come before a Mul: that would be float there."""
    if static.target.sixteen_bits:
        folds, puts = partial(even_channels, ways=[folded, everywhere]), partial(even_channels, ways=[put_in])
        return [folds, widen_joins, puts, leave_joins_in_float]
    return [partial(even_channels, ways=[folded, everywhere, put_in]), leave_joins_in_float]


def _uneven(static: Static, least: float = UNEVEN_CHANNELS) -> list[Uneven]:
    return uneven_values(static, see_channels(static, label_channels(static.edit)), least)
