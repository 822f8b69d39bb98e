"""Shapes that only computing tells: with Shape → Mul → Reshape computed, what is reshaped is known."""

import logging
import math
from collections.abc import Callable
from typing import Final

import onnx_ir as ir

from worker.compression.graph.nodes.folding_allowance import WINDOWED, Allowance
from worker.compression.graph.nodes.known_shapes import is_known, numbers, results
from worker.compression.runtime.evaluate import UNKNOWN_BUT_BOUNDED

log = logging.getLogger(__name__)

SMALL: Final = 1024
"""Elements of a constant that may be folded: shapes, not weights."""

MAX_FOLDED_NODES: Final = 10_000
"""Nodes of a graph up to which shapes are looked for by folding; it takes a millisecond for each."""


def complete(model: ir.Model) -> None:
    """Take shapes, in place, from a copy whose small constants are folded.

    There all that is unknown is an output, so that it does not fold away with its shape.
    """
    if model.graph.num_nodes() > MAX_FOLDED_NODES:
        return
    from onnxscript import optimizer  # half a second, and most models never need it

    folded = model.clone()
    unknown = [v for node in folded.graph for v in node.outputs if v.name and not is_known(v)]
    folded.graph.outputs.extend(value for value in unknown if not value.is_graph_output())
    try:
        optimizer.fold_constants(
            folded,
            onnx_shape_inference=True,
            input_size_limit=SMALL,
            output_size_limit=SMALL,
            should_fold=_within(Allowance()),
        )
    except Exception:
        log.info("constants could not be folded; some shapes stay unknown", exc_info=True)
        return
    known = {value.name: value.shape for value in (*results(folded), *folded.graph.initializers.values())}
    for value in results(model):
        if not is_known(value):
            value.shape = known.get(value.name) or value.shape


def _within(allowance: Allowance) -> Callable[[ir.Node], bool | None]:
    """Refuses a node that takes more than is left or answers more than is small: the optimizer computes first and
    looks at the size afterwards. None leaves the rest to it."""

    def should_fold(node: ir.Node) -> bool | None:
        if node.op_type in WINDOWED or not (
            node.op_type in UNKNOWN_BUT_BOUNDED or all(map(_is_small, node.outputs))
        ):
            return False
        given = [
            value.const_value for value in node.inputs if value is not None and value.const_value is not None
        ]
        size = sum(tensor.size for tensor in given), sum(tensor.nbytes for tensor in given)
        return None if allowance.covers(node, *size) else False

    return should_fold


def _is_small(value: ir.Value) -> bool:
    dims = numbers(value)
    return dims is not None and math.prod(dims) <= SMALL
