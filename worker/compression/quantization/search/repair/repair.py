"""All repairs of what is uneven, in order: what each leaves undone is left to the next."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.acceptance import HARMLESS_DB
from worker.compression.quantization.search.repair.judge import GOOD_DB, Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven_scales.equal_forms import EqualForm, take_best
from worker.compression.quantization.search.repair.uneven_scales.even_channels import (
    evened,
    everywhere,
    folded,
    put_in,
)
from worker.compression.quantization.search.repair.uneven_scales.float_joins import leave_joins_in_float
from worker.compression.quantization.search.repair.uneven_scales.rotate import rotated
from worker.compression.quantization.search.repair.uneven_scales.split_channels import split
from worker.compression.quantization.search.repair.uneven_scales.uneven import Uneven, uneven_values
from worker.compression.quantization.search.repair.uneven_scales.wide_joins import widen_joins

Way = Callable[[Static, Sequence[Uneven], Judge, float], list[Repair]]
Forms = Callable[[Static, Sequence[Uneven], Sequence[Uneven], Judge], Iterator[EqualForm]]


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
    """What costs least first. Where 16 bits are taken they come before a Mul: that would be float there."""
    if static.target.sixteen_bits:
        return [_best(a_little, _free), widen_joins, _best(a_little, _with_nodes), leave_joins_in_float]
    return [_best(a_little, _free, _with_nodes), leave_joins_in_float]


def _best(a_little: Sequence[Uneven], *makers: Forms) -> Way:
    """Of all their forms. What is uneven `a_little` is the cause where nothing is more."""

    def way(static: Static, uneven: Sequence[Uneven], judge: Judge, before: float) -> list[Repair]:
        forms = (make(static, uneven, uneven or a_little, judge) for make in makers)
        return take_best(static, chain.from_iterable(forms), judge, before)

    return way


def _free(
    static: Static, uneven: Sequence[Uneven], causes: Sequence[Uneven], judge: Judge
) -> Iterator[EqualForm]:
    """They cost nothing at run time."""
    yield from evened(static, uneven, causes, folded, everywhere)
    yield from rotated(static, causes, judge)


def _with_nodes(
    static: Static, uneven: Sequence[Uneven], causes: Sequence[Uneven], _: Judge
) -> Iterator[EqualForm]:
    yield from evened(static, uneven, causes, put_in)
    yield from split(static, causes)
