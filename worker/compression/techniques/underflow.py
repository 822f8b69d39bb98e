"""Which nodes of a half-precision graph must compute in float32 because a constant of theirs vanishes in float16.

    vanishes   the largest |c| > 0 of a constant is below 2⁻¹⁴, the smallest normal float16; of a divisor, any is

A sum with 10⁻¹⁰ under a logarithm is the case: in float16 it is a sum with 0. What makes much of little (`STEEP`) and
reads such a node has to read it in float32, so it stays too.
"""

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import onnx_ir as ir

from worker.compression.techniques.half import Ports

SMALLEST: Final = float(np.finfo(np.float16).smallest_normal)
STEEP: Final = frozenset({"Log", "Sqrt", "Reciprocal", "Div", "Pow"})


def vanishing(halves: dict[ir.Node, Ports]) -> dict[ir.Node, str]:
    """Each node that stays float32, and why."""
    found = {node: why for node, ports in halves.items() if (why := _vanishes(node, ports)) is not None}
    waiting = list(found)
    while waiting:
        for reader in _readers(waiting.pop().outputs):
            if reader.op_type in STEEP and reader in halves and reader not in found:
                found[reader] = "reads a sum with a constant that vanishes in float16"
                waiting.append(reader)
    return found


def _vanishes(node: ir.Node, ports: Ports) -> str | None:
    for index in ports.inputs:
        value = node.inputs[index]
        if value is None or value.const_value is None:
            continue
        sizes = np.abs(value.const_value.numpy().astype(np.float64))
        sizes = sizes[(sizes > 0) & np.isfinite(sizes)]
        divides = node.op_type == "Div" and index == 1
        if sizes.size and (sizes.min() if divides else sizes.max()) < SMALLEST:
            return f"a constant, {value.name}, vanishes in float16, whose smallest normal number is {SMALLEST:.2g}"
    return None


def _readers(values: Iterable[ir.Value]) -> Iterator[ir.Node]:
    return (use.node for value in values for use in value.uses())
