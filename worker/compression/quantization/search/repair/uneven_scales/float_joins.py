"""Leaves in float what joins ranges too different for one scale, and cannot be evened out: where that helps.

a residual stream    all Adds that read one another, at once: each keeps what the others would lose
a Concat             by itself: its parts have scales of their own before it
what reads           layers whose data is uneven still, with such a join or without
"""

from collections.abc import Iterator, Sequence

import onnx_ir as ir

from worker.compression.quantization.integer.eligibility import Selection, carries
from worker.compression.quantization.integer.spared import Spared
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.repair.judge import Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven_scales.proposals import Proposal, take_what_helps
from worker.compression.quantization.search.repair.uneven_scales.uneven import JOINS, Uneven

REMEDY = "left in float"


def leave_joins_in_float(
    static: Static, uneven: Sequence[Uneven], judge: Judge, before: float
) -> list[Repair]:
    """Name in `static.spared` what stays float, and answer what each brought; `before` is the signal to noise."""
    return take_what_helps(static, _proposals(static, uneven), _leave_in_float, REMEDY, judge, before)


def _leave_in_float(spared: Spared, proposal: Proposal) -> None:
    reason = f"{proposal.uneven.words}, too different for one scale"
    spared.float_nodes = dict.fromkeys(proposal.nodes, reason) | spared.float_nodes


def _proposals(static: Static, uneven: Sequence[Uneven]) -> list[Proposal]:
    """Each set of nodes once."""
    selection = static.selection()
    proposals: dict[frozenset[str], Proposal] = {}
    for each in uneven:
        for nodes in _options(each.value, selection):
            names = frozenset(str(node.name) for node in nodes)
            if names:
                proposals.setdefault(names, Proposal(each, names))
    return list(proposals.values())


def _options(value: ir.Value, selection: Selection) -> Iterator[set[ir.Node]]:
    producer = value.producer()
    readers = {node for node in readers_of(value, selection) if node in selection.weighted}
    if producer in selection.nodes and producer is not None and producer.op_type in JOINS:
        joins = stream_of(producer, selection) if producer.op_type != "Concat" else {producer}
        yield joins
        yield joins | readers
    yield readers


def readers_of(value: ir.Value, selection: Selection) -> Iterator[ir.Node]:
    """Who reads the value, or what only moves it."""
    for use in value.uses():
        yield use.node
        if use.node in selection.nodes and carries(use.node):
            yield from readers_of(use.node.outputs[0], selection)


def stream_of(start: ir.Node, selection: Selection) -> set[ir.Node]:
    """The Adds that read one another, and this."""
    stream, todo = {start}, [start]
    while todo:
        node = todo.pop()
        near = [value.producer() for value in node.inputs if value is not None]
        near += [use.node for use in node.outputs[0].uses()]
        for other in near:
            if (
                other is not None
                and other in selection.nodes
                and other.op_type in ("Add", "Sum")
                and other not in stream
            ):
                stream.add(other)
                todo.append(other)
    return stream
