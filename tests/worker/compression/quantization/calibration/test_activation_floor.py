"""What a gate throws away gets no levels."""

import pytest

from tests.support.graphs import node
from tests.support.small_nets import model_of, named
from worker.compression.ir.affine import Range
from worker.compression.quantization.calibration.activation_floor import cut_below_gates

SILU = [
    node("Neg", "x", "v", "source"),
    node("Sigmoid", "v", "s", "gate"),
    node("Mul", "v s", "y", "product"),
]


@pytest.mark.parametrize(
    ("nodes", "low"),
    [
        (SILU, -8.0),
        ([node("Neg", "x", "v", "source"), node("HardSwish", "v", "y", "gate")], -3.0),
        ([node("Neg", "x", "v", "source"), node("Relu", "v", "y", "gate")], -100.0),
        ([*SILU[:2], node("Add", "v s", "y", "sum")], -100.0),
        ([*SILU[:2], node("Mul", "v s", "p", "product"), node("Add", "p v", "y", "skip")], -100.0),
        ([*SILU[:2], node("Mul", "v s", "p", "product"), node("Add", "p s", "y", "skip")], -100.0),
    ],
)
def test_only_a_value_that_is_nothing_but_gated_is_cut(nodes: list[object], low: float) -> None:
    net = model_of(nodes, {"x": ["N", 4]}, {"y": ["N", 4]}, {})  # type: ignore[arg-type]
    value = named(net, "source").outputs[0]
    assert cut_below_gates(value, Range(-100.0, 50.0)) == Range(low, 50.0)
    assert cut_below_gates(value, Range(-2.0, 1.0)) == Range(-2.0, 1.0)
