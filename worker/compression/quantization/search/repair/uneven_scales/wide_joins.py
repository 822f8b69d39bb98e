"""Gives 16 bits to what joins ranges too different for 8, where the target's rules take them, and where that helps.

what computes it     the join, with what gives its parts; all Adds of a residual stream
what reads it        layers whose data it is
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import onnx_ir as ir

from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.values import required_input
from worker.compression.quantization.integer.eligibility import Selection, carries
from worker.compression.quantization.integer.sixteen_bits import OPSET
from worker.compression.quantization.integer.spared import Spared
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.repair.judge import Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven_scales.float_joins import readers_of, stream_of
from worker.compression.quantization.search.repair.uneven_scales.proposals import Proposal, take_what_helps
from worker.compression.quantization.search.repair.uneven_scales.uneven import Uneven
from worker.compression.steps.opset import raised

REMEDY = f"in 16 bits (opset {OPSET})"


def widen_joins(static: Static, uneven: Sequence[Uneven], judge: Judge, before: float) -> list[Repair]:
    """Name in `static.spared` what has 16 bits, and answer what each brought; `before` is the signal to noise."""
    if not uneven or not static.target.sixteen_bits:
        return []
    model, _ = raised(static.model.clone(), OPSET, "an activation of 16 bits")
    tried = replace(static, edit=GraphEdit(model, static.edit.exclude), spared=static.spared.copy())
    proposals = (Proposal(each, frozenset(_names(tried, str(each.value.name)))) for each in uneven)
    repairs = take_what_helps(tried, proposals, _widen, REMEDY, judge, before)
    if repairs:
        static.become(tried)
    return repairs


def _widen(spared: Spared, proposal: Proposal) -> None:
    spared.wide |= proposal.nodes


def _names(static: Static, name: str) -> set[str]:
    selection = static.selection()
    value = next((value for value in selection.values if value.name == name), None)
    nodes = set() if value is None else set(_around(value, selection))
    if any(node.op_type == "Pad" for node in nodes):  # it works on the integers themselves
        return set()
    return {str(node.name) for node in nodes if node in selection.nodes}


def _around(value: ir.Value, selection: Selection) -> Iterator[ir.Node]:
    yield from readers_of(value, selection)
    producer = value.producer()
    if producer is None or producer not in selection.nodes:
        return
    joins = stream_of(producer, selection) if producer.op_type in ("Add", "Sum") else {producer}
    yield from joins
    for join in joins:
        if join.op_type in ("Add", "Sum", "Concat"):
            for part in filter(None, join.inputs):
                yield from _makers(part, selection)


def _makers(value: ir.Value, selection: Selection) -> Iterator[ir.Node]:
    """What computes a value, and what moves it since."""
    producer = value.producer()
    while producer is not None and producer in selection.nodes:
        yield producer
        if not carries(producer):
            return
        producer = required_input(producer, 0).producer()
