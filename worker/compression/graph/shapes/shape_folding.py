"""Infer shapes that only computing tells: with Shape → Mul → Reshape computed, what is reshaped is known."""

import logging
import math
from collections.abc import Callable
from typing import Final

import onnx_ir as ir

from worker.compression.graph.nodes.folding_allowance import WINDOWED, Allowance
from worker.compression.graph.nodes.known_shapes import has_static_shape, node_outputs, static_dims
from worker.compression.runtime.evaluate import UNKNOWN_BUT_BOUNDED

log = logging.getLogger(__name__)

MAX_FOLDED_ELEMENTS: Final = 1024
"""Elements of a constant up to which it may be folded: shapes, not weights."""

MAX_FOLDED_NODES: Final = 10_000
"""Nodes of a graph up to which shapes are looked for by folding; it takes a millisecond for each."""


def infer_by_folding(model: ir.Model) -> None:
    """Take shapes, in place, from a copy whose small constants are folded.

    There all that is unknown is an output, so that it does not fold away with its shape.
    """
    if model.graph.num_nodes() > MAX_FOLDED_NODES:
        return
    from onnxscript import optimizer  # half a second, and most models never need it

    folded = model.clone()
    unknown = [v for node in folded.graph for v in node.outputs if v.name and not has_static_shape(v)]
    folded.graph.outputs.extend(value for value in unknown if not value.is_graph_output())
    try:
        optimizer.fold_constants(
            folded,
            onnx_shape_inference=True,
            input_size_limit=MAX_FOLDED_ELEMENTS,
            output_size_limit=MAX_FOLDED_ELEMENTS,
            should_fold=_only_cheap(Allowance()),
        )
    except Exception:
        log.info("constants could not be folded; some shapes stay unknown", exc_info=True)
        return
    known = {
        value.name: value.shape for value in (*node_outputs(folded), *folded.graph.initializers.values())
    }
    for value in node_outputs(model):
        if not has_static_shape(value):
            value.shape = known.get(value.name) or value.shape


def _only_cheap(allowance: Allowance) -> Callable[[ir.Node], bool | None]:
    """Refuse a node that costs more than the allowance or whose result is not small: the optimizer computes first and
    looks at the size afterwards. None leaves the rest to it."""

    def should_fold(node: ir.Node) -> bool | None:
        if node.op_type in WINDOWED or not (
            node.op_type in UNKNOWN_BUT_BOUNDED or all(map(_is_small, node.outputs))
        ):
            return False
        constants = [
            value.const_value for value in node.inputs if value is not None and value.const_value is not None
        ]
        size = sum(tensor.size for tensor in constants), sum(tensor.nbytes for tensor in constants)
        return None if allowance.covers(node, *size) else False

    return should_fold


def _is_small(value: ir.Value) -> bool:
    dims = static_dims(value)
    return dims is not None and math.prod(dims) <= MAX_FOLDED_ELEMENTS
