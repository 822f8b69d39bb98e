"""A model made ready for dynamic quantization, and any number of quantized forms of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir

from worker.compression.data.samples import Samples
from worker.compression.ir.edit import GraphEdit, remove_unused
from worker.compression.ir.operator_sets import MATMULS_AND_LSTM
from worker.compression.layers.channel_statistics import MAX_SAMPLES, Channels, input_channels
from worker.compression.layers.linear import Linear, in_main_graph, linear
from worker.compression.quantization.integer.eligibility import is_plain_gemm
from worker.compression.quantization.integer.embeddings import quantize_embeddings, select_embeddings
from worker.compression.quantization.integer.integer_ops_writer import IntegerWriter
from worker.compression.quantization.preparation.smoothquant import behind_normalisation, smooth
from worker.compression.quantization.preparation.unfuse_skip_layernorm import unfuse_skip_layernorms
from worker.compression.steps.decisions import LayerDecision, changed_nodes
from worker.compression.steps.eligibility import why_ineligible


@dataclass
class Dynamic:
    """`edit` is of a float graph of opset 11 or later, which is never changed: each form is written into a copy.

    `limit` is that of the weights. With `alpha` outliers behind layer normalisations go into the weights, once their
    data was looked at: `channels`, by the layer's name.
    """

    edit: GraphEdit
    limit: int
    alpha: float | None = None
    channels: dict[str, Channels] = field(default_factory=dict)

    def decisions(self) -> list[LayerDecision]:
        """List all that could be quantized, tables among them, and why what stays float does."""
        products, embeddings = _select(self.edit)
        return [*products, *embeddings]

    def observe(self, samples: Samples, seed: int) -> None:
        """Look at what is smoothed. Raises what `Observer` raises."""
        layers = _smoothable(self.edit, changed_nodes(_select(self.edit)[0]))
        self.channels = input_channels(self.edit.model, layers, samples.draw(MAX_SAMPLES, seed))

    def quantized(self, report_progress: Callable[[float], None] = lambda _: None) -> ir.Model:
        """Write the model with integer products."""
        edit = self.edit.on_clone()
        products, embeddings = _select(edit)
        nodes = changed_nodes(products)
        if self.alpha is not None:
            smooth(edit, _smoothable(edit, nodes), self.channels, self.alpha)
        writer = IntegerWriter(edit, self.limit)
        quantize_embeddings(writer, embeddings)
        for number, node in enumerate(nodes, 1):
            writer.write(node)
            report_progress(number / len(nodes))
        unfuse_skip_layernorms(edit)
        remove_unused(edit.model)
        return edit.model


def _select(edit: GraphEdit) -> tuple[list[LayerDecision], list[LayerDecision]]:
    """Products and recurrent layers; tables."""
    products = [
        LayerDecision(node, _why_ineligible(edit, node))
        for node in edit.nodes()
        if node.domain in ("", "ai.onnx") and node.op_type in MATMULS_AND_LSTM
    ]
    return products, select_embeddings(edit, changed_nodes(products))


def _smoothable(edit: GraphEdit, nodes: Iterable[ir.Node]) -> list[Linear]:
    """Behind layer normalisations of the main graph alone: elsewhere it costs a Mul over wider values, and
    wins less."""
    layers = [layer for layer in filter(None, map(linear, nodes)) if in_main_graph(layer, edit.model)]
    return [layer for layer in layers if behind_normalisation(layer)]


def _why_ineligible(edit: GraphEdit, node: ir.Node) -> str | None:
    weights = node.inputs[1:3] if node.op_type == "LSTM" else node.inputs[1:2]
    return why_ineligible(node, weights, edit.exclude, rule=lambda: _why_no_kernel(node))


def _why_no_kernel(node: ir.Node) -> str | None:
    if node.inputs[0] is None or node.inputs[0].const_value is not None:
        return "its input is a constant"
    if node.op_type == "MatMul" and len(node.inputs[1].const_value.shape) != 2:  # type: ignore[union-attr]
        return "its weight is not a matrix"
    if node.op_type == "Gemm" and not is_plain_gemm(node):
        return "transA, alpha or beta differ from their defaults"
    if node.op_type == "LSTM" and "layout" in node.attributes and node.attributes["layout"].as_int():
        return "its layout is batch first, which the quantized LSTM lacks"
    return None
