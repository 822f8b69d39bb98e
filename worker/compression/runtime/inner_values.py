"""Ways out for values in branches and bodies, so that they can be observed.

    If      both branches answer one value more: the one that is wanted, and float32 [0] where the other is taken
    Loop    the body gives one more scan output, the value of each turn: [turns, n, …], which is read as [turns · n, …]

A scan output has one shape for all turns. So a value in a Loop is observed where its shape is known to be: numbers, and
sizes that inputs of the model have.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from worker.compression.ir.arrays import Array
from worker.compression.ir.naming import Names
from worker.compression.ir.values import subgraphs_of

OPENED = frozenset({"If", "Loop"})


@dataclass(frozen=True)
class WayOut:
    """The output of the main graph that a value leaves by, and how many loops it was in."""

    output: ir.Value
    loops: int

    def read(self, x: Array) -> Array:
        """Join the turns of loops with the first axis of the value."""
        return x.reshape(-1, *x.shape[self.loops + 1 :]) if self.loops and x.ndim > self.loops else x


def observable_inside(model: ir.Model) -> set[ir.Value]:
    """All float32 values of branches and bodies that there is a way out for."""
    sizes = {d.value for v in model.graph.inputs for d in v.shape or () if isinstance(d, ir.SymbolicDim)}
    return {value for node in model.graph for value in _inside(node, sizes - {None}, in_loop=False)}


def with_ways_out(model: ir.Model, names: Collection[str]) -> tuple[ir.Model, dict[str, WayOut]]:
    """A copy of the model in which the values of these names that are inside have a way out; the model itself, and
    none, where none of them is."""
    inside = {str(value.name) for value in observable_inside(model)} & set(names)
    if not inside:
        return model, {}
    copy = model.clone()
    fresh = Names(copy)
    ways: dict[str, WayOut] = {}
    for node in list(copy.graph):
        ways |= _opened(node, inside, fresh)
    return copy, ways


def _inside(node: ir.Node, sizes: Collection[str | None], *, in_loop: bool) -> set[ir.Value]:
    if node.op_type not in OPENED or (in_loop and node.op_type == "If"):
        return set()
    is_loop = in_loop or node.op_type == "Loop"
    values: set[ir.Value] = set()
    for graph in subgraphs_of(node):
        own = [*graph.inputs, *(value for inner in graph for value in inner.outputs)]
        values |= {v for v in own if v.dtype == ir.DataType.FLOAT and (not is_loop or _is_steady(v, sizes))}
        for inner in graph:
            values |= _inside(inner, sizes, in_loop=is_loop)
    return values


def _is_steady(value: ir.Value, sizes: Collection[str | None]) -> bool:
    return value.shape is not None and all(isinstance(d, int) or d.value in sizes for d in value.shape)


def _opened(node: ir.Node, names: Collection[str], fresh: Names) -> dict[str, WayOut]:
    """Give the node an output for each value of these names that is inside of it."""
    ways: dict[str, WayOut] = {}
    if node.op_type not in OPENED:
        return ways
    for graph in subgraphs_of(node):
        own = [*graph.inputs, *(value for inner in graph for value in inner.outputs)]
        inner_ways = {str(value.name): WayOut(value, 0) for value in own if value.name in names}
        for inner in list(graph):
            inner_ways |= _opened(inner, names, fresh)
        for name, way in inner_ways.items():
            ways[name] = WayOut(
                _led_out(node, graph, way.output, fresh), way.loops + (node.op_type == "Loop")
            )
    return ways


def _led_out(node: ir.Node, graph: ir.Graph, value: ir.Value, fresh: Names) -> ir.Value:
    for each in subgraphs_of(node):
        empty = {"value": ir.tensor(np.zeros(0, np.float32))}
        end = ir.node("Identity", [value]) if each is graph else ir.node("Constant", [], empty)
        end.name, end.outputs[0].name = fresh.fresh("way_out"), fresh.fresh("way_out")
        end.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
        each.append(end)
        each.outputs.append(end.outputs[0])
    node.resize_outputs(len(node.outputs) + 1)
    output = node.outputs[-1]
    output.name, output.type = fresh.fresh("way_out"), ir.TensorType(ir.DataType.FLOAT)
    return output
