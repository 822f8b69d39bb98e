"""`float16`: weights and arithmetic in half precision.

Every node of the main graph that can compute in float16 does; where it meets one that cannot, a Cast stands between.
Runtimes without a float16 kernel for an operator put their own Casts around it. Subgraphs keep float32.
A weight beyond ±65504 has no float16, so its node stays in float32, with a note.
"""

import logging

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common as passes

from app.contract.recipe import Float16
from worker.compression.graph.naming import Names, excluded
from worker.compression.graph.opset import opset_of
from worker.compression.techniques.account import Layer, changed
from worker.compression.techniques.context import Changed, Context
from worker.compression.techniques.half import Ports, ports

log = logging.getLogger(__name__)

LARGEST = float(np.finfo(np.float16).max)
FLOAT, HALF = ir.DataType.FLOAT, ir.DataType.FLOAT16


def float16(model: ir.Model, step: Float16, context: Context) -> Changed:
    """Raises `Refusal` `nothing_to_quantize`."""
    opset = opset_of(model)
    halves, layers, notes = {}, [], []
    for node in model.graph:
        found = ports(node, opset)
        reason = _objection(node, found, step.exclude)
        if any(_is_weight(value) for value in node.inputs):
            layers.append(Layer(node, reason))
        if found is not None and reason is None:
            halves[node] = found
        elif reason is not None and reason.startswith("a weight"):
            notes.append(f"{node.name} stays in float32: {reason}.")
    answer = changed(model, layers, "nodes with float32 weights that can compute in float16", notes)
    context.progress.advance(0.3)
    _Converter(model, halves).convert(step.keep_io_types)
    passes.RemoveUnusedNodesPass()(model)
    return answer


def _objection(node: ir.Node, found: Ports | None, patterns: list[str]) -> str | None:
    if excluded(node, patterns):
        return "excluded by pattern"
    if found is None:
        return "the operator has no float16 form in this opset, or keeps float32 by design"
    too_large = [value for i in found.inputs if (value := node.inputs[i]) is not None and _overflows(value)]
    return f"a weight, {too_large[0].name}, exceeds {LARGEST:g}, the largest float16" if too_large else None


def _is_weight(value: ir.Value | None) -> bool:
    return value is not None and value.const_value is not None and value.const_value.dtype == FLOAT


def _overflows(value: ir.Value) -> bool:
    """Finite in float32 and infinite in float16."""
    if not _is_weight(value) or value.const_value is None or value.const_value.size == 0:
        return False
    array = value.const_value.numpy()
    finite = np.abs(array[np.isfinite(array)])
    return bool(finite.size and finite.max() > LARGEST)


class _Converter:
    """Turns the chosen ports to float16. A value exists in each precision at most once."""

    def __init__(self, model: ir.Model, halves: dict[ir.Node, Ports]) -> None:
        self._graph = model.graph
        self._halves = halves
        self._names = Names(model)
        self._made = {
            node.outputs[i]: value.shape
            for node, p in halves.items()
            for i in p.outputs
            for value in [node.outputs[i]]
        }

    def convert(self, keep_io_types: bool) -> None:
        uses = [(node, i) for node, found in self._halves.items() for i in found.inputs]
        if not keep_io_types:
            self._made.update({v: v.shape for v in self._graph.inputs if v.dtype == FLOAT})
        outputs = [v for v in self._graph.outputs if v in self._made]
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
            value.dtype = HALF
        if keep_io_types:
            for value in outputs:
                self._keep_output(value)

    def _narrow(self, value: ir.Value) -> ir.Value:
        """The float16 form of a weight, or of a value that stays float32."""
        if value.const_value is None:
            return self._cast(value, HALF, f"{value.name}_float16")
        name = self._names.fresh(f"{value.name}_float16")
        array = value.const_value.numpy().astype(np.float16)
        half = ir.Value(name=name, const_value=ir.tensor(array, name=name))
        half.shape, half.dtype = value.shape, HALF
        self._graph.register_initializer(half)
        return half

    def _widen(self, value: ir.Value) -> None:
        """Everyone who reads this float16 value as float32, subgraphs included, gets a Cast of it."""
        readers = [use for use in value.uses() if not self._takes_half(use.node, use.idx)]
        if readers:
            wide = self._cast(value, FLOAT, f"{value.name}_float32")
            for use in readers:
                use.node.replace_input_with(use.idx, wide)

    def _takes_half(self, node: ir.Node, index: int) -> bool:
        return node in self._halves and index in self._halves[node].inputs

    def _keep_output(self, value: ir.Value) -> None:
        """The output keeps its name and float32."""
        name = value.name
        value.name = self._names.fresh(f"{name}_float16")
        wide = self._cast(value, FLOAT, f"{name}_cast")
        wide.name = name
        for index, output in enumerate(self._graph.outputs):
            if output is value:
                self._graph.outputs[index] = wide

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
