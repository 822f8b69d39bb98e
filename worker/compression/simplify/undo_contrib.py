"""Write operators that only ONNX Runtime has in ONNX's own, so that other runtimes read the file too.

ONNX Runtime fuses most of them again when it loads the model. What computes on integers of its own formats, reads past
keys and values, or has no counterpart stays; `contrib_operators` names it.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

import onnx_ir as ir

from worker.compression.graph.facts.values import operator_name
from worker.compression.graph.normal_form.fused_norms import TakeNormsApart
from worker.compression.graph.opset.conversion import opset_of
from worker.compression.ir.edit import GraphEdit, put_in_place
from worker.compression.ir.values import all_nodes, input_at
from worker.compression.simplify.contrib_activations import (
    bias_gelu,
    fast_gelu,
    fused_conv,
    fused_gemm,
    gelu,
    quick_gelu,
)
from worker.compression.simplify.contrib_attention import (
    attention,
    embed_layer_normalization,
    multi_head_attention,
)
from worker.compression.simplify.contrib_products import (
    dynamic_quantize_matmul,
    fused_matmul,
    matmul_integer_to_float,
)
from worker.compression.simplify.contrib_writing import Writing

CONTRIB: Final = "com.microsoft"
Rule = Callable[[Writing, ir.Node], ir.Value | None]
RULES: Final[dict[str, Rule]] = {
    "Attention": attention,
    "BiasGelu": bias_gelu,
    "DynamicQuantizeMatMul": dynamic_quantize_matmul,
    "EmbedLayerNormalization": embed_layer_normalization,
    "FastGelu": fast_gelu,
    "FusedConv": fused_conv,
    "FusedGemm": fused_gemm,
    "FusedMatMul": fused_matmul,
    "Gelu": gelu,
    "MatMulIntegerToFloat": matmul_integer_to_float,
    "MultiHeadAttention": multi_head_attention,
    "QuickGelu": quick_gelu,
    "TransposeMatMul": fused_matmul,
}
"""What returns the value that stands for the node's first output; None where the node stays."""


def undo_contrib(model: ir.Model) -> None:
    """Write all of them that can be, in place, subgraphs included."""
    TakeNormsApart()(model)
    edit, opset = GraphEdit(model), opset_of(model)
    for node in list(all_nodes(model)):
        rule = RULES.get(node.op_type) if node.domain == CONTRIB else None
        x = input_at(node, 0)
        if rule is None or x is None or x.dtype is None or _gives_more(node):
            continue
        writing = Writing(edit, node, opset)
        if (result := rule(writing, node)) is None:
            writing.discard()
        else:
            put_in_place(node, writing.nodes, [(node.outputs[0], result)])


def contrib_operators(model: ir.Model) -> Counter[str]:
    """Count the operators that ONNX does not have, subgraphs included."""
    nodes = all_nodes(model)
    return Counter(operator_name(node) for node in nodes if node.domain == CONTRIB)


def _gives_more(node: ir.Node) -> bool:
    return any(value.uses() or value.is_graph_output() for value in node.outputs[1:])
