"""What lies far below zero before a gate need not be told apart, so it gets no share of the 256 levels.

SiLU       x·σ(x)             within 0.003 of 0 below −8       (Elfwing et al. 2018)
HardSwish  x·relu6(x + 3)/6   0 below −3                       (Howard et al. 2019)
"""

import onnx_ir as ir

from worker.compression.ir.affine import Range
from worker.compression.ir.values import is_read_once

SILU_LOW, HARDSWISH_LOW = -8.0, -3.0


def cut_below_gates(value: ir.Value, measured: Range) -> Range:
    """Cut the measured range where every reader of the value is the same kind of gate."""
    low = _lowest(value)
    return measured if low is None else Range(max(measured.low, low), max(measured.high, low))


def _lowest(value: ir.Value) -> float | None:
    readers = {use.node for use in value.uses()}
    if not readers or value.is_graph_output():
        return None
    if all(node.op_type == "HardSwish" for node in readers):
        return HARDSWISH_LOW
    products = [node for node in readers if node.op_type == "Mul"]
    gates = [node for node in readers if node.op_type == "Sigmoid"]
    if len(products) != 1 or len(gates) != 1 or len(readers) != 2:
        return None
    own = {id(value), id(gates[0].outputs[0])}
    alone = is_read_once(gates[0].outputs[0])
    return SILU_LOW if alone and {id(v) for v in products[0].inputs} == own else None
