"""The hidden states of a network: what its stream is behind each block, in the order of the graph.

Of a transformer's layer, whose halves are two blocks, the state behind the layer counts, as in TinyBERT (Jiao et al.
2020, arXiv:1909.10351). A network of maps without blocks has one state for each size of its maps: the last one that has
it, as where FitNets and attention transfer take their hints.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from winnow.contract.model import HOLDS_OTHERS
from worker.compression.graph.blocks.find import is_too_large, residual_blocks
from worker.compression.graph.shapes.shapes import with_shapes

ACTIVATIONS: Final = frozenset(
    {"Relu", "LeakyRelu", "PRelu", "Clip", "Elu", "Selu", "HardSwish", "Gelu", "Silu"}
)
MAP_AXES: Final = 4
"""Of maps, [N, C, H, W]."""


@dataclass(frozen=True)
class State:
    """The name of a value of the stream; `sizes` are those of a map, height and width, where they are known."""

    value: str
    sizes: tuple[int, ...] = ()


def hidden_states(model: ir.Model) -> list[State]:
    """List them; none where there are neither blocks nor maps, or the graph is too large to follow.

    The model is only read.
    """
    if is_too_large(model):
        return []
    shaped = {value.name: value for value in _made(with_shapes(model).graph)}
    names = _behind_blocks(model) or _ends_of_stages(model, shaped)
    return [State(name, _sizes(shaped.get(name))) for name in names]


def _behind_blocks(model: ir.Model) -> list[str]:
    """Name what lies behind each block; behind attention only where nothing else is a block."""
    order = {value.name: place for place, value in enumerate(_made(model.graph))}
    joins = {str(node.name): node for node in model.graph}
    blocks = residual_blocks(model)
    attention = {block.exit for block in blocks.blocks if block.attends}
    exits = {block.exit for block in blocks.blocks}
    exits |= {
        str(_activated(joins[each.name].outputs[0]).name)
        for each in blocks.pinned
        if each.reason != HOLDS_OTHERS
    }
    return sorted(exits - attention or exits, key=lambda name: order[name])


def _activated(value: ir.Value) -> ir.Value:
    """The value behind the activation that alone reads this one; itself where there is none."""
    readers = [use.node for use in value.uses()]
    alone = len(readers) == 1 and not value.is_graph_output() and readers[0].op_type in ACTIVATIONS
    return readers[0].outputs[0] if alone else value


def _ends_of_stages(model: ir.Model, shaped: dict[str | None, ir.Value]) -> list[str]:
    """Name the last value of each size of maps, behind the first convolution; outputs are compared anyway."""
    last: dict[tuple[int, ...], str] = {}
    convolved = False
    for node in model.graph:
        convolved = convolved or node.op_type == "Conv"
        for value in node.outputs if convolved else ():
            sizes = _sizes(shaped.get(value.name))
            inner = value.dtype in (ir.DataType.FLOAT, None) and not value.is_graph_output()
            if inner and any(size > 1 for size in sizes):
                last[sizes] = str(value.name)
    kept = set(last.values())
    return [str(value.name) for value in _made(model.graph) if value.name in kept]


def _sizes(value: ir.Value | None) -> tuple[int, ...]:
    """Height and width of a map; nothing where it is none, or they are open."""
    if value is None or value.shape is None or len(value.shape) != MAP_AXES:
        return ()
    sizes = tuple(dim for dim in list(value.shape)[2:] if isinstance(dim, int))
    return sizes if len(sizes) == MAP_AXES - 2 else ()


def _made(graph: ir.Graph) -> Iterator[ir.Value]:
    return (value for node in graph for value in node.outputs)
