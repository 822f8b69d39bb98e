"""All repairs of what is uneven, in order: what each leaves undone is left to the next."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.acceptance import HARMLESS_DB
from worker.compression.quantization.search.repair.judge import GOOD_DB, Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven_scales.even_channels import (
    even_channels,
    everywhere,
    folded,
    put_in,
)
from worker.compression.quantization.search.repair.uneven_scales.float_joins import leave_joins_in_float
from worker.compression.quantization.search.repair.uneven_scales.rotate import rotate_streams
from worker.compression.quantization.search.repair.uneven_scales.split_channels import split_outliers
from worker.compression.quantization.search.repair.uneven_scales.uneven import Uneven, uneven_values
from worker.compression.quantization.search.repair.uneven_scales.wide_joins import widen_joins

Way = Callable[[Static, Sequence[Uneven], Judge, float], list[Repair]]


def repair(static: Static, judge: Judge) -> list[Repair]:
    """Repair in place, and answer what was done; nothing is run but a few samples where nothing is uneven, and
    nothing changed where the outputs are far enough above their error."""
    if not static.quantizable() or not (a_little := uneven_values(static)):
        return []
    uneven, repairs = _much(a_little), list[Repair]()
    if judge.is_good(static, GOOD_DB if uneven else HARMLESS_DB):
        return []
    reached = judge.snr_db(static)
    for way in _ways(static, a_little):
        made = way(static, uneven, judge, reached) if reached < GOOD_DB else []
        if made:
            repairs, reached, uneven = [*repairs, *made], made[-1].after_db, _much(uneven_values(static))
    return repairs


def _much(values: Iterable[Uneven]) -> list[Uneven]:
    return [each for each in values if each.is_much]


def _ways(static: Static, a_little: Sequence[Uneven]) -> list[Way]:
    """What costs nothing first. Where 16 bits are taken they come before a Mul: that would be float there."""
    even = partial(even_channels, a_little=a_little)
    folds, puts = partial(even, ways=[folded, everywhere]), partial(even, ways=[put_in])
    turns, splits = partial(rotate_streams, a_little=a_little), partial(split_outliers, a_little=a_little)
    if static.target.sixteen_bits:
        return [better_of(folds, turns), widen_joins, better_of(puts, splits), leave_joins_in_float]
    return [
        better_of(partial(even, ways=[folded, everywhere, put_in]), turns, splits),
        leave_joins_in_float,
    ]


def better_of(*ways: Way) -> Way:
    """Each tried by itself; a later one has to bring `MIN_GAIN_DB` more than those before it, and none is tried where
    the outputs are good."""

    def way(static: Static, uneven: Sequence[Uneven], judge: Judge, before: float) -> list[Repair]:
        best, taken, reached = static, list[Repair](), before
        for tried in ways:
            if reached >= GOOD_DB:
                break
            copy = static.on_clone()
            if made := tried(copy, uneven, judge, reached):
                best, taken, reached = (
                    copy,
                    [replace(each, before_db=before) for each in made],
                    made[-1].after_db,
                )
        if taken:
            static.become(best)
        return taken

    return way
