"""`float16`: weights and arithmetic in half precision.

Every node that can compute in float16 does, in branches and bodies too; where it meets one that cannot, a Cast stands
between, and what goes in and out of a branch or body keeps float32. Runtimes without a float16 kernel for an operator
put their own Casts around it.
A Transpose that moves the first axis behind the others stays too: with one in float16 in front of a product ONNX
Runtime 1.32 ends with SIGSEGV while it makes the session (its MatmulTransposeFusion, with the Cast that it puts between
them): recurrent layers that are batch first, with a product behind them.
A weight beyond ±65504 has no float16, nor has a constant that is all but zero (`underflow`), so their nodes stay in
float32, with a note; and with calibration data so does every node that overflows, or comes near it, on that data
(`overflow`). The lowest or largest float32 that a Where fills in is none: it becomes that of float16; but a LogSoftmax
behind it stays in float32, since it subtracts from that, and from 16 on the result has no float16.
"""

import logging
from collections.abc import Container, Iterable
from typing import Final

import onnx_ir as ir

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Float16
from winnow.contract.shapes import input_shapes
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.half_precision.casting import is_end, max_finite
from worker.compression.half_precision.float16_converter import FLOAT, Converter
from worker.compression.half_precision.float16_ports import Ports, find_ports
from worker.compression.half_precision.overflow import (
    CALIBRATION_DATA,
    MAX_FLOAT16,
    MAX_SAMPLES,
    RandomFeeds,
    overflowing_nodes,
)
from worker.compression.half_precision.underflow import vanishing_nodes
from worker.compression.ir.edit import remove_unused
from worker.compression.ir.mapped_tensors import release, spill_for
from worker.compression.ir.naming import excluded
from worker.compression.ir.values import all_nodes
from worker.compression.measure.feeds import random_feeds
from worker.compression.onnx_files.model_files import weight_bytes
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import SHOWN, LayerDecision, step_result
from worker.compression.steps.eligibility import EXCLUDED

log = logging.getLogger(__name__)

MAX_HELD_BYTES: Final = 2**28
"""Weights mapped from a file, from which on the converted model is not run: ONNX Runtime holds all float16 ones."""
HELD_NOTE: Final = (
    "Overflow was looked for in the float32 model alone: in float16 its weights would all be held in memory."
)
PASSING: Final = ("Identity", "Cast", "Reshape")
RANDOM_FEEDS: Final = 4
"""Feeds of random numbers where there is no data."""


def float16(model: ir.Model, step: Float16, context: Context) -> StepResult:
    """Convert what can compute in float16, in place.

    Raises `Refusal` `nothing_to_quantize`, and with calibration data `model_does_not_run`.
    """
    halves, reasons = float16_nodes(model, step.exclude, nodes=all_nodes(model))
    reasons |= (vanishing := vanishing_nodes(halves))
    halves = {node: ports for node, ports in halves.items() if node not in vanishing}
    notes = [
        f"{n.name} stays in float32: {why}."
        for n, why in reasons.items()
        if why.startswith("a weight") or n in vanishing
    ]
    details: dict[str, object] = {}
    spill = spill_for(model, context.scratch)
    fits = spill is None or weight_bytes(model) < MAX_HELD_BYTES
    samples, data = _samples(model, context, random=fits)
    overflowing = _overflowing(model, halves, samples, data, runs_in_half=fits)
    if samples is None or overflowing is None:
        notes.append(
            "Without calibration data overflow was not looked for: see in the parity whether activations fit."
        )
    else:
        halves = {node: ports for node, ports in halves.items() if node not in overflowing}
        reasons |= overflowing
        notes += _overflow_notes(overflowing, data)
        notes += [] if fits else [HELD_NOTE]
        islands = {str(node.name): why for node, why in overflowing.items()}
        details = {"samples": len(samples), "islands": islands}
    context.progress.advance(0.7)
    layers = [
        LayerDecision(n, reasons.get(n), n in (overflowing or {}) or n in vanishing)
        for n in all_nodes(model)
        if any(_is_weight(v) for v in n.inputs)
    ]
    result = step_result(
        model, layers, "nodes with float32 weights that can compute in float16", notes, details
    )
    if not result.changed:
        return result
    Converter(model, halves, spill).convert(frozenset() if step.keep_io_types else _signature(model))
    remove_unused(model)
    if not step.keep_io_types:
        result.notes.extend(
            f"Output {value.name!r} stays float32, as the node does that makes it."
            for value in model.graph.outputs
            if value.dtype == FLOAT
        )
    return result


def _samples(model: ir.Model, context: Context, *, random: bool) -> tuple[Samples | RandomFeeds | None, str]:
    """Draw what overflow is looked for on, and name it: random numbers where there is no calibration data and they will
    do, None where no feed of the model's shapes can be made."""
    if context.calibration is not None:
        return context.calibration.draw(MAX_SAMPLES, context.seed), CALIBRATION_DATA
    if not random:
        return None, ""
    try:
        specs = inputs_of(model)
        shapes = input_shapes(specs, 1, context.benchmark.shapes)
        return RandomFeeds(list(random_feeds(specs, shapes, RANDOM_FEEDS, context.seed))), "random numbers"
    except Refusal:
        return None, ""


def _overflowing(
    model: ir.Model,
    halves: dict[ir.Node, Ports],
    samples: Samples | RandomFeeds | None,
    data: str,
    *,
    runs_in_half: bool,
) -> dict[ir.Node, str] | None:
    """Find the nodes that overflow; None where there are no samples, or the model does not run on random numbers."""
    if samples is None:
        return None
    try:
        return overflowing_nodes(
            model,
            halves,
            samples,
            lambda wide: _converted(model, halves, wide),
            data,
            runs_in_half=runs_in_half,
        )
    except Refusal:
        if isinstance(samples, RandomFeeds):
            return None
        raise


def _signature(model: ir.Model) -> frozenset[str]:
    return frozenset(str(value.name) for value in (*model.graph.inputs, *model.graph.outputs))


def float16_nodes(
    model: ir.Model,
    exclude: list[str],
    float32_inputs: Container[str] = (),
    nodes: Iterable[ir.Node] | None = None,
) -> tuple[dict[ir.Node, Ports], dict[ir.Node, str]]:
    """Split the nodes, by themselves those of the main graph, into those that can be float16, with their ports, and the
    others, with the reason.

    `float32_inputs`: see `find_ports`.
    """
    opset, halves, reasons = opset_of(model), {}, {}
    for node in model.graph if nodes is None else nodes:
        ports = find_ports(node, opset, float32_inputs)
        reason = _why_ineligible(node, ports, exclude)
        if reason is not None:
            reasons[node] = reason
        elif ports is not None:
            halves[node] = ports
    return halves, reasons


def _converted(
    model: ir.Model, halves: dict[ir.Node, Ports], wide: set[int]
) -> tuple[ir.Model, list[ir.Node]]:
    """Convert a copy, but for the nodes at the positions `wide`; with it come its nodes that are the model's."""
    copy = model.clone()
    pairs = list(zip(all_nodes(model), all_nodes(copy), strict=True))
    converted = {
        twin: halves[node] for i, (node, twin) in enumerate(pairs) if node in halves and i not in wide
    }
    Converter(copy, converted).convert(frozenset())
    return copy, [twin for _, twin in pairs]


def _overflow_notes(overflowing: dict[ir.Node, str], data: str) -> list[str]:
    if not overflowing:
        return [f"Nothing came near the end of float16 on {data}."]
    shown = [f"{node.name} ({why})" for node, why in list(overflowing.items())[:SHOWN]]
    rest = f", and {len(overflowing) - SHOWN} more, listed in the details" if len(overflowing) > SHOWN else ""
    return [f"{len(overflowing)} nodes stay in float32, with casts around them: {'; '.join(shown)}{rest}."]


def _why_ineligible(node: ir.Node, ports: Ports | None, patterns: list[str]) -> str | None:
    if excluded(node, patterns):
        return EXCLUDED
    if _moves_first_axis_back(node):
        return "ONNX Runtime crashes on a product that reads such a Transpose in float16"
    if node.op_type == "LogSoftmax" and _is_filled(node.inputs[0]):
        return "it subtracts from the lowest float16, which a Where fills in"
    if ports is None:
        return "the operator has no float16 form in this opset, or keeps float32 by design"
    too_large = [
        value
        for i in ports.inputs
        if (value := node.inputs[i]) is not None and _overflows(value, is_fill=node.op_type == "Where")
    ]
    return (
        f"a weight, {too_large[0].name}, exceeds {MAX_FLOAT16:g}, the largest float16" if too_large else None
    )


def _moves_first_axis_back(node: ir.Node) -> bool:
    """Whether it is a Transpose with perm = (1, …, n − 2, 0, n − 1) or (1, …, n − 1, 0), n ≥ 3."""
    perm = list(node.attributes.get_ints("perm", [])) if node.op_type == "Transpose" else []
    return len(perm) > 2 and perm[:-2] == list(range(1, len(perm) - 1))


def _is_filled(value: ir.Value | None) -> bool:
    """Whether a Where, or what passes its result on, fills in the lowest or largest float32."""
    node = None if value is None else value.producer()
    if node is None or node.op_type not in ("Where", *PASSING):
        return False
    if node.op_type in PASSING:
        return _is_filled(node.inputs[0])
    fills = [
        v.const_value.numpy()
        for v in node.inputs[1:]
        if v is not None and v.const_value is not None and _is_weight(v)
    ]
    return any(is_end(fill).any() for fill in fills)


def _is_weight(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and value.const_value.dtype == FLOAT


def _overflows(value: ir.Value, *, is_fill: bool) -> bool:
    """Whether a number of this weight is finite in float32 and infinite in float16, and no end that is filled in."""
    if value.const_value is None or not _is_weight(value):
        return False
    array = value.const_value.numpy()
    largest = max_finite(array[~is_end(array)] if is_fill else array)
    release(value)
    return largest > MAX_FLOAT16
