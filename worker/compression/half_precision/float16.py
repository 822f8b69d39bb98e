"""`float16`: weights and arithmetic in half precision.

Every node of the main graph that can compute in float16 does; where it meets one that cannot, a Cast stands between.
Runtimes without a float16 kernel for an operator put their own Casts around it. Subgraphs keep float32.
A Transpose that moves the first axis behind the others stays too: with one in float16 in front of a product ONNX
Runtime 1.32 ends with SIGSEGV while it makes the session (its MatmulTransposeFusion, with the Cast that it puts between
them): recurrent layers that are batch first, with a product behind them.
A weight beyond ±65504 has no float16, nor has a constant that is all but zero (`underflow`), so their nodes stay in
float32, with a note; and with calibration data so does
every node that overflows, or comes near it, on that data (`islands`).
"""

import logging
from collections.abc import Container
from typing import Final

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from winnow.contract.errors import Refusal
from winnow.contract.recipe import Float16
from winnow.contract.shapes import input_shapes
from worker.compression.data.samples import Samples
from worker.compression.graph.facts.facts import inputs_of
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.half_precision.float16_ports import Ports, is_tensor, ports
from worker.compression.half_precision.overflow import DATA, LARGEST, SAMPLES, Random, islands
from worker.compression.half_precision.underflow import vanishing
from worker.compression.ir.constants import new_constant
from worker.compression.ir.naming import Names, excluded
from worker.compression.measure.feeds import random_feeds
from worker.compression.steps.context import Context, StepResult
from worker.compression.steps.decisions import SHOWN, LayerDecision, changed
from worker.compression.steps.eligibility import EXCLUDED

log = logging.getLogger(__name__)

RANDOM: Final = 4
"""Feeds of random numbers where there is no data."""
FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


def float16(model: ir.Model, step: Float16, context: Context) -> StepResult:
    """Raises `Refusal` `nothing_to_quantize`, and with calibration data `model_does_not_run`."""
    halves, reasons = chosen(model, step.exclude)
    reasons |= (vanished := vanishing(halves))
    halves = {node: found for node, found in halves.items() if node not in vanished}
    notes = [
        f"{n.name} stays in float32: {why}."
        for n, why in reasons.items()
        if why.startswith("a weight") or n in vanished
    ]
    details: dict[str, object] = {}
    samples, data = _samples(model, context)
    wide = _islands(model, halves, samples, data)
    if samples is None or wide is None:
        notes.append(
            "Without calibration data overflow was not looked for: see in the parity whether activations fit."
        )
    else:
        halves = {node: found for node, found in halves.items() if node not in wide}
        reasons |= wide
        notes += _told(wide, data)
        details = {"samples": len(samples), "islands": {str(node.name): why for node, why in wide.items()}}
    context.progress.advance(0.7)
    layers = [
        LayerDecision(n, reasons.get(n), n in (wide or {}) or n in vanished)
        for n in model.graph
        if any(_is_weight(v) for v in n.inputs)
    ]
    answer = changed(model, layers, "nodes with float32 weights that can compute in float16", notes, details)
    if not answer.changed:
        return answer
    Converter(model, halves).convert(frozenset() if step.keep_io_types else _signature(model))
    passes.RemoveUnusedNodesPass()(model)
    if not step.keep_io_types:
        answer.notes.extend(
            f"Output {value.name!r} stays float32, as the node does that makes it."
            for value in model.graph.outputs
            if value.dtype == FLOAT
        )
    return answer


def _samples(model: ir.Model, context: Context) -> tuple[Samples | Random | None, str]:
    """What overflow is looked for on, and its name: random numbers where there is no calibration data, None where none
    of its shapes can be made."""
    if context.calibration is not None:
        return context.calibration.draw(SAMPLES, context.seed), DATA
    try:
        specs = inputs_of(model)
        shapes = input_shapes(specs, 1, context.benchmark.shapes)
        return Random(list(random_feeds(specs, shapes, RANDOM, context.seed))), "random numbers"
    except Refusal:
        return None, ""


def _islands(
    model: ir.Model, halves: dict[ir.Node, Ports], samples: Samples | Random | None, data: str
) -> dict[ir.Node, str] | None:
    """None where there are no samples, or the model does not run on random numbers."""
    if samples is None:
        return None
    try:
        return islands(model, halves, samples, lambda kept: _converted(model, halves, kept), data)
    except Refusal:
        if isinstance(samples, Random):
            return None
        raise


def _signature(model: ir.Model) -> frozenset[str]:
    return frozenset(str(value.name) for value in (*model.graph.inputs, *model.graph.outputs))


def chosen(
    model: ir.Model, exclude: list[str], wide: Container[str] = ()
) -> tuple[dict[ir.Node, Ports], dict[ir.Node, str]]:
    """The nodes that can be float16, and why the others cannot. `wide`: see `ports`."""
    opset, halves, reasons = opset_of(model), {}, {}
    for node in model.graph:
        found = ports(node, opset, wide)
        reason = _why_ineligible(node, found, exclude)
        if reason is not None:
            reasons[node] = reason
        elif found is not None:
            halves[node] = found
    return halves, reasons


def _converted(
    model: ir.Model, halves: dict[ir.Node, Ports], kept: set[int]
) -> tuple[ir.Model, list[ir.Node]]:
    """A copy in half precision but for the nodes at the positions `kept`, and its nodes that are the model's."""
    copy = model.clone()
    pairs = list(zip(model.graph, copy.graph, strict=True))
    taken = {twin: halves[node] for at, (node, twin) in enumerate(pairs) if node in halves and at not in kept}
    Converter(copy, taken).convert(frozenset())
    return copy, [twin for _, twin in pairs]


def _told(wide: dict[ir.Node, str], data: str) -> list[str]:
    if not wide:
        return [f"Nothing came near the end of float16 on {data}."]
    shown = [f"{node.name} ({why})" for node, why in list(wide.items())[:SHOWN]]
    rest = f", and {len(wide) - SHOWN} more, listed in the details" if len(wide) > SHOWN else ""
    return [f"{len(wide)} nodes stay in float32, with casts around them: {'; '.join(shown)}{rest}."]


def _why_ineligible(node: ir.Node, found: Ports | None, patterns: list[str]) -> str | None:
    if excluded(node, patterns):
        return EXCLUDED
    if _moves_first_back(node):
        return "ONNX Runtime crashes on a product that reads such a Transpose in float16"
    if found is None:
        return "the operator has no float16 form in this opset, or keeps float32 by design"
    too_large = [value for i in found.inputs if (value := node.inputs[i]) is not None and _overflows(value)]
    return f"a weight, {too_large[0].name}, exceeds {LARGEST:g}, the largest float16" if too_large else None


def _moves_first_back(node: ir.Node) -> bool:
    """perm = (1, …, n − 2, 0, n − 1) or (1, …, n − 1, 0), n ≥ 3."""
    perm = list(node.attributes.get_ints("perm", [])) if node.op_type == "Transpose" else []
    return len(perm) > 2 and perm[:-2] == list(range(1, len(perm) - 1))


def _is_weight(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and value.const_value.dtype == FLOAT


def _overflows(value: ir.Value) -> bool:
    """Finite in float32 and infinite in float16."""
    if not _is_weight(value) or value.const_value is None or value.const_value.size == 0:
        return False
    array = value.const_value.numpy()
    finite = np.abs(array[np.isfinite(array)])
    return bool(finite.size and finite.max() > LARGEST)


class Converter:
    """Turns the chosen ports to float16. A value exists in each precision at most once."""

    def __init__(self, model: ir.Model, halves: dict[ir.Node, Ports]) -> None:
        self._graph, self._opset = model.graph, opset_of(model)
        self._halves = halves
        self._names = Names(model)
        self._made = {
            node.outputs[i]: value.shape
            for node, p in halves.items()
            for i in p.outputs
            for value in [node.outputs[i]]
        }

    def convert(self, halved: frozenset[str]) -> dict[ir.Value, ir.Value]:
        """`halved`: the inputs and outputs that are float16 afterwards; the others keep float32.

        Answers the float16 forms by what was float32.
        """
        uses = [(node, i) for node, found in self._halves.items() for i in found.inputs]
        self._made.update({v: v.shape for v in self._graph.inputs if v.dtype == FLOAT and v.name in halved})
        kept = [v for v in self._graph.outputs if v in self._made and v.name not in halved]
        turned = [v for v in self._of_others() if v.name in halved]
        narrowed: dict[ir.Value, ir.Value] = {}
        for node, index in uses:
            value = node.inputs[index]
            assert value is not None
            if value not in self._made:
                if value not in narrowed:
                    narrowed[value] = self._narrow(value)
                node.replace_input_with(index, narrowed[value])
        for value in list(self._made):
            self._widen(value)
            value.type = ir.TensorType(HALF)  # a clone shares the type of what it was made from
        for value in kept:
            self._turn_output(value, FLOAT)
        for value in turned:
            self._turn_output(value, HALF)
        return narrowed

    def _of_others(self) -> list[ir.Value]:
        """The float32 outputs of nodes that have no float16 form (Loop, If, SequenceAt, Cast): given in it."""
        makers = [(value, value.producer()) for value in self._graph.outputs if value.dtype == FLOAT]
        return [
            v for v, maker in makers if maker is not None and is_tensor(v) and not ports(maker, self._opset)
        ]

    def _narrow(self, value: ir.Value) -> ir.Value:
        """The float16 form of a weight, or of a value that stays float32."""
        if value.const_value is None:
            return self._cast(value, HALF, f"{value.name}_float16")
        name = self._names.fresh(f"{value.name}_float16")
        return new_constant(self._graph, name, value.const_value.numpy().astype(np.float16))

    def _widen(self, value: ir.Value) -> None:
        """Everyone who reads this float16 value as float32, subgraphs included, gets a Cast of it."""
        readers = [use for use in value.uses() if not self._takes_half(use.node, use.idx)]
        if readers:
            wide = self._cast(value, FLOAT, f"{value.name}_float32")
            for use in readers:
                use.node.replace_input_with(use.idx, wide)

    def _takes_half(self, node: ir.Node, index: int) -> bool:
        return node in self._halves and index in self._halves[node].inputs

    def _turn_output(self, value: ir.Value, to: ir.DataType) -> None:
        """The output keeps its name, and is of this type."""
        name = value.name
        value.name = self._names.fresh(f"{name}_{'float16' if to == FLOAT else 'float32'}")
        turned = self._cast(value, to, f"{name}_cast")
        turned.name = name
        for index, output in enumerate(self._graph.outputs):
            if output is value:
                self._graph.outputs[index] = turned

    def _cast(self, value: ir.Value, to: ir.DataType, wish: str) -> ir.Value:
        name = self._names.fresh(wish)
        node = ir.node("Cast", [value], {"to": to.value}, name=self._names.fresh(f"{name}_Cast"))
        result = node.outputs[0]
        result.name, result.shape, result.dtype = name, value.shape, to
        producer = value.producer()
        if producer is not None:
            self._graph.insert_after(producer, node)
        else:
            self._graph.insert_before(self._graph[0], node)
        return result
