"""The layers that `int8` could quantize, and the true reason why each that stays float does: what would have to change.

excluded, no float32 weight, …     what speaks against it in every form
no calibration data                what only static quantization takes
another way won                    what the winner does not take, and others would have
"""

from collections import Counter

import onnx_ir as ir

from winnow.contract.errors import Refusal
from worker.compression.quantization.integer.eligibility import FLOAT_ONLY, WEIGHTED, select
from worker.compression.quantization.integer.embeddings import tables
from worker.compression.quantization.search.int8_candidates import Way
from worker.compression.steps.decisions import LayerDecision, taken

FLOAT_WON = "the float model is the best that was tried"
OTHERWISE = "another way was the best that was tried, and leaves it in float"


def layers(model: ir.Model, patterns: list[str], way: Way, *, with_data: bool) -> list[LayerDecision]:
    """All of them, in the graph's order; those without a reason are quantized."""
    weighted = [node for node in model.graph if node.op_type in WEIGHTED | FLOAT_ONLY]
    won = {str(layer.node.name): layer.reason for layer in way.told}
    static = {str(layer.node.name): layer.reason for layer in select(model, patterns).layers}
    embeddings = {layer.node: layer.reason for layer in tables(model, patterns, weighted)}
    against = static | {str(node.name): reason for node, reason in embeddings.items()}

    def reason(node: ir.Node) -> str | None:
        name = str(node.name)
        if name in won:
            return won[name]
        if (objection := against.get(name)) is not None:
            return objection
        if not with_data and node.op_type in WEIGHTED:
            return f"calibration data is missing: only static quantization takes {node.op_type}"
        return FLOAT_WON if way.kind == "float" else OTHERWISE

    return [
        LayerDecision(node, reason(node)) for node in model.graph if node in weighted or node in embeddings
    ]


def refuse_without_data(model: ir.Model, patterns: list[str]) -> None:
    """Raises `missing_data` where data is all that static quantization lacks."""
    able = Counter(node.op_type for node in taken(select(model, patterns).layers))
    if not able:
        return
    there = ", ".join(f"{count} × {op}" for op, count in able.most_common())
    raise Refusal(
        "missing_data",
        f"int8 needs calibration data for this model: {there} can be quantized, but only with ranges that are measured "
        "on it. Give data.calibration.",
        field="data.calibration",
    )
