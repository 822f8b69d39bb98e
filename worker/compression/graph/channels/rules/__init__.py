"""The one table: operator → what becomes of labels."""

from typing import Final

from worker.compression.graph.channels.labels.node_view import Rule
from worker.compression.graph.channels.rules import (
    attention,
    elementwise,
    linear,
    movement,
    quantized,
    recurrent,
    reduction,
    reshape,
    windows,
)

TABLE: Final[dict[str, Rule]] = {
    **elementwise.RULES,
    **linear.RULES,
    **attention.RULES,
    **movement.RULES,
    **reshape.RULES,
    **reduction.RULES,
    **windows.RULES,
    **recurrent.RULES,
    **quantized.RULES,
}
"""ONNX's own operators and those of com.microsoft: where a name is in both it means the same here. (The Attention of
com.microsoft has operands of three axes, which its rule pins.)
"""

UNLABELLED: Final = frozenset({"Shape", "Size", "Range"})
"""Their results have no channels, and what they read is not pinned by it."""
