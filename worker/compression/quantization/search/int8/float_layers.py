"""The layers that `int8` could quantize, and the true reason why each that stays float does: what would have to change.

excluded, no float32 weight, …     what speaks against it in every form
no calibration data                what only static quantization takes
another way won                    what the winner does not take, and others would have
"""

from collections import Counter

import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.ir.edit import GraphEdit
from worker.compression.ir.operator_sets import MATMULS_AND_CONV
from worker.compression.quantization.integer.eligibility import FLOAT_ONLY, select
from worker.compression.quantization.integer.embeddings import select_embeddings
from worker.compression.quantization.search.int8.candidates import Candidate
from worker.compression.steps.decisions import LayerDecision

FLOAT_WON = "the float model is the best that was tried"
OTHERWISE = "another way was the best that was tried, and leaves it in float"


def list_layers(edit: GraphEdit, winner: Candidate, *, with_data: bool) -> list[LayerDecision]:
    """List all of them, in the graph's order; those without a reason are quantized."""
    weighted = [node for node in edit.nodes() if node.op_type in MATMULS_AND_CONV | FLOAT_ONLY]
    by_winner = {str(layer.node.name): layer.reason for layer in winner.decisions}
    static = {str(layer.node.name): layer.reason for layer in select(edit).layers}
    embeddings = {layer.node: layer.reason for layer in select_embeddings(edit, weighted)}
    ineligible = static | {str(node.name): reason for node, reason in embeddings.items()}

    def reason(node: ir.Node) -> str | None:
        name = str(node.name)
        if name in by_winner:
            return by_winner[name]
        if (why := ineligible.get(name)) is not None:
            return why
        if not with_data and node.op_type in MATMULS_AND_CONV:
            return f"calibration data is missing: only static quantization takes {node.op_type}"
        return FLOAT_WON if winner.kind == "float" else OTHERWISE

    return [
        LayerDecision(node, reason(node)) for node in edit.nodes() if node in weighted or node in embeddings
    ]


def refuse_without_data(edit: GraphEdit) -> None:
    """Raises `missing_data` where data is all that static quantization lacks."""
    eligible = Counter(node.op_type for node in select(edit).weighted)
    if not eligible:
        return
    operators = ", ".join(f"{count} × {op}" for op, count in eligible.most_common())
    raise Refusal(
        "missing_data",
        f"int8 needs calibration data for this model: {operators} can be quantized, but only with ranges that are "
        "measured on it. Give data.calibration.",
        field="data.calibration",
    )
