"""Evens out what is uneven by scales in the weights around it."""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain

from worker.compression.ir.operator_sets import MATMULS_AND_CONV
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.scale_groups.even_out import even_out, factors_of
from worker.compression.quantization.preparation.scale_groups.rules import label_channels
from worker.compression.quantization.search.repair.uneven_scales.equal_forms import EqualForm
from worker.compression.quantization.search.repair.uneven_scales.uneven import (
    SCALED_SAMPLES,
    Uneven,
    see_channels,
)

FOLDED = "evened out by scales in the weights around"
PUT_IN = "evened out by scales in the weights around, and a Mul where there were none"
Cuts = frozenset[tuple[str, int]]
Try = tuple[set[str], Cuts, str]
"""Names of uneven values, where a Mul may be put in, and how that is called."""


Way = Callable[[Static, Sequence[Uneven]], Iterator[Try]]


def evened(
    static: Static, uneven: Sequence[Uneven], causes: Sequence[Uneven], *ways: Way
) -> Iterator[EqualForm]:
    """What the ways try, as far as any factor can be folded."""
    for names, cuts, remedy in chain.from_iterable(way(static, uneven) for way in ways):
        form = _evened(static, names, cuts)
        if form is not None:
            yield EqualForm(form, "channels", str(causes[0].value.name), _cause(causes), remedy)


def _cause(uneven: Sequence[Uneven]) -> str:
    more = f" (others that are uneven: {len(uneven) - 1})" if len(uneven) > 1 else ""
    return f"{uneven[0].words}{more}"


def folded(_: Static, uneven: Sequence[Uneven]) -> Iterator[Try]:
    """All that is uneven; the joins alone."""
    names = {str(each.value.name) for each in uneven}
    joins = {str(each.value.name) for each in uneven if each.joins}
    if names:
        yield names, frozenset(), FOLDED
    if joins and joins != names:
        yield joins, frozenset(), FOLDED


def everywhere(static: Static, _: Sequence[Uneven]) -> Iterator[Try]:
    """Every value, as cross-layer equalisation does: what is a little uneven in many places adds up."""
    yield {str(value.name) for value in static.selection().values}, frozenset(), FOLDED


def put_in(static: Static, uneven: Sequence[Uneven]) -> Iterator[Try]:
    """All, with a Mul before Concats, and before layers too, whose data has no scale to be folded."""
    names = {str(each.value.name) for each in uneven}
    joins = {str(each.value.name) for each in uneven if each.joins}
    if parts := _pinned_inputs(static, joins, "Concat"):
        yield names, parts, PUT_IN
    if layers := _pinned_inputs(static, names, *MATMULS_AND_CONV):
        yield names, parts | layers, PUT_IN


def _pinned_inputs(static: Static, names: Collection[str], *operators: str) -> Cuts:
    """Inputs of such nodes all of whose channels keep their scale: of a Concat that is one of the uneven values, of
    layers that are quantized and read one."""
    labels, layers = label_channels(static.edit), set(static.selection().weighted)
    classes = labels.classes()
    pinned = labels.pinned(classes)
    return frozenset(
        (str(node.name), index)
        for node in static.model.graph
        if node.op_type in operators and (node in layers or node.outputs[0].name in names)
        for index, value in enumerate(node.inputs[:1] if node in layers else node.inputs)
        if value is not None
        and (node not in layers or value.name in names)
        and (value not in labels.of or pinned[classes[labels.of[value].labels]].all())
    )


def _evened(static: Static, names: Collection[str], cuts: Cuts) -> Static | None:
    """A copy with even channels, of which no range is measured yet; None where no factor can be folded."""
    evened = static.on_clone()
    labels = label_channels(evened.edit, cuts)
    seen = see_channels(evened, labels, SCALED_SAMPLES)
    factors = factors_of(labels, seen, {value for value in seen if value.name in names})
    if not factors:
        return None
    even_out(evened.edit, labels, factors)
    return evened
