"""Bound what folding may compute: a node costs a session of ONNX Runtime, and some very much more."""

from dataclasses import dataclass
from typing import Final

import onnx_ir as ir

from worker.compression.graph.nodes.formulas import FORMULAS, node_macs

WINDOWED: Final = frozenset(
    {
        *("AveragePool", "MaxPool", "LpPool", "MaxRoiPool", "RoiAlign", "LRN", "MaxUnpool", "Col2Im"),
        *(
            "DFT",
            "STFT",
            "DeformConv",
            "GridSample",
            "NonMaxSuppression",
            "Det",
            "Attention",
            "MelWeightMatrix",
        ),
    }
)
"""Operators that may take far more steps than they have inputs and outputs."""
MAX_WINDOWED_ELEMENTS: Final = 10_000
MAX_NODE_MACS: Final = 10**9


@dataclass
class Allowance:
    """What may still be computed for one model: nodes (a millisecond each), bytes of inputs, multiplications."""

    nodes: int = 2_000
    bytes: int = 4 * 2**30
    macs: int = 5 * 10**9

    def covers(self, node: ir.Node, elements: int, size_bytes: int) -> bool:
        """Whether a node with inputs of this size may be computed; if so, its cost is taken off."""
        macs = _macs(node, elements)
        if macs is None or macs > self.macs or size_bytes > self.bytes or self.nodes <= 0:
            return False
        self.nodes, self.bytes, self.macs = self.nodes - 1, self.bytes - size_bytes, self.macs - macs
        return True


def _macs(node: ir.Node, elements: int) -> int | None:
    """Multiplications of the node, None where they are too many or cannot be told."""
    if node.op_type in WINDOWED:
        return 0 if elements <= MAX_WINDOWED_ELEMENTS else None
    if node.op_type not in FORMULAS:
        return 0
    macs = node_macs(node)
    return None if macs is None or macs > MAX_NODE_MACS else macs
