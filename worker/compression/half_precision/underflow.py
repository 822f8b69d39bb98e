"""Finds the nodes of a half-precision graph that must stay in float32 because a constant vanishes in float16.

    vanishes   the largest |c| > 0 of a constant is below 2⁻¹⁴, the smallest normal float16; of a divisor, any is, and
               of what is added or bounds, any is where something steep reads the result

A sum with 10⁻¹⁰ under a logarithm is the case: in float16 it is a sum with 0. What makes much of little (`STEEP`) and
reads such a node has to read it in float32, so it stays too, with what stands between and only
moves or scales (`PASSES_ON`).
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx_ir as ir

from worker.compression.half_precision.float16_ports import Ports
from worker.compression.ir.mapped_tensors import release
from worker.compression.ir.parts import parts

MIN_NORMAL: Final = float(np.finfo(np.float16).smallest_normal)
STEEP: Final = frozenset({"Log", "Sqrt", "Reciprocal", "Div", "Pow"})
ADDS: Final = frozenset({"Add", "Sub", "Sum", "Max", "Min", "Clip", "Where"})
PASSES_ON: Final = frozenset(
    {
        "Reshape",
        "Transpose",
        "Squeeze",
        "Unsqueeze",
        "Flatten",
        "Expand",
        "Identity",
        "Slice",
        "Split",
        "Concat",
    }
    | {"Gather", "Tile", "Pad", "Abs", "Neg", "Mul", "Add", "Max", "Relu", "Clip", "ReduceSum", "ReduceMean"}
)


def vanishing_nodes(halves: dict[ir.Node, Ports]) -> dict[ir.Node, str]:
    """Find each node that stays float32, and why."""
    reasons: dict[ir.Node, str] = {}
    for node, ports in halves.items():
        behind = _until_steep(node, halves)
        if (why := _vanishes(node, ports, steep=bool(behind))) is not None:
            reasons[node] = why
            reasons |= {n: "reads a constant that vanishes in float16" for n in behind if n not in reasons}
    return reasons


def _until_steep(node: ir.Node, halves: dict[ir.Node, Ports]) -> list[ir.Node]:
    """List the steep nodes that read its results, and all between."""
    nodes: dict[ir.Node, None] = {}
    waiting: list[tuple[ir.Node, tuple[ir.Node, ...]]] = [(node, ())]
    visited = {node}
    while waiting:
        last, path = waiting.pop()
        for reader in (use.node for value in last.outputs for use in value.uses()):
            if reader not in halves:
                continue
            if reader.op_type in STEEP:
                nodes |= dict.fromkeys((*path, reader))
            if reader.op_type in PASSES_ON | STEEP and reader not in visited:
                visited.add(reader)
                waiting.append((reader, (*path, reader)))
    return list(nodes)


def _vanishes(node: ir.Node, ports: Ports, *, steep: bool) -> str | None:
    for index in ports.inputs:
        value = node.inputs[index]
        if value is None or value.const_value is None:
            continue
        any_counts = (node.op_type == "Div" and index == 1) or (steep and node.op_type in ADDS)
        lost = _is_lost(value.const_value.numpy(), any_counts)
        release(value)
        if lost:
            return f"a constant, {value.name}, vanishes in float16, whose smallest normal number is {MIN_NORMAL:.2g}"
    return None


def _is_lost(array: npt.NDArray[Any], any_counts: bool) -> bool:
    sizes = (np.abs(array[part].astype(np.float64)) for part in parts(array))
    finite = (x[(x > 0) & np.isfinite(x)] for x in sizes)
    extremes = [float(x.min() if any_counts else x.max()) for x in finite if x.size]
    return bool(extremes) and bool((min(extremes) if any_counts else max(extremes)) < MIN_NORMAL)
