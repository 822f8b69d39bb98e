"""A model made ready for dynamic quantization, and any number of quantized forms of it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import onnx_ir as ir
from onnx_ir.passes import common as passes

from worker.compression.data.samples import Samples
from worker.compression.ir.naming import Names, excluded
from worker.compression.layers.channel_statistics import MAX_SAMPLES, Channels, input_channels
from worker.compression.layers.linear import Linear, linear
from worker.compression.quantization.integer.embeddings import quantize_tables, tables
from worker.compression.quantization.integer.integer_ops_writer import IntegerWriter
from worker.compression.quantization.preparation.smoothquant import behind_normalisation, smooth
from worker.compression.quantization.preparation.unfuse_skip_layernorm import sums_for_residuals
from worker.compression.quantization.weights.eligibility import NOT_FINITE, finite
from worker.compression.steps.decisions import LayerDecision, taken

QUANTIZED = frozenset({"MatMul", "Gemm", "LSTM"})


@dataclass
class Dynamic:
    """`model` is a float graph of opset 11 or later, and is never changed; nodes that `patterns` match stay float.

    `limit` is that of the weights. With `alpha` outliers behind layer normalisations go into the weights, once their
    data was looked at: `seen`, by the layer's name.
    """

    model: ir.Model
    patterns: list[str]
    limit: int
    alpha: float | None = None
    seen: dict[str, Channels] = field(default_factory=dict)

    def told(self) -> list[LayerDecision]:
        """All that could be quantized, tables among them, and why what stays float does."""
        products, embeddings = self._layers(self.model)
        return [*products, *embeddings]

    def observe(self, samples: Samples, seed: int) -> None:
        """Look at what is smoothed. Raises what `Observer` raises."""
        layers = _smoothable(taken(self._layers(self.model)[0]))
        self.seen = input_channels(self.model, layers, samples.draw(MAX_SAMPLES, seed))

    def quantized(self, told: Callable[[float], None] = lambda _: None) -> ir.Model:
        """The model with integer products. `told` hears the share of the work that is done."""
        model = self.model.clone()
        products, embeddings = self._layers(model)
        chosen = taken(products)
        if self.alpha is not None:
            smooth(model.graph, _smoothable(chosen), self.seen, self.alpha, Names(model).fresh)
        writer = IntegerWriter(model, self.limit)
        quantize_tables(writer, embeddings)
        for number, node in enumerate(chosen, 1):
            writer.write(node)
            told(number / len(chosen))
        sums_for_residuals(model, self.patterns)
        passes.RemoveUnusedNodesPass()(model)
        return model

    def _layers(self, model: ir.Model) -> tuple[list[LayerDecision], list[LayerDecision]]:
        """Products and recurrent layers; tables."""
        products = [
            LayerDecision(node, _objection(node, self.patterns))
            for node in model.graph
            if node.domain in ("", "ai.onnx") and node.op_type in QUANTIZED
        ]
        return products, tables(model, self.patterns, taken(products))


def _smoothable(nodes: Iterable[ir.Node]) -> list[Linear]:
    """Behind layer normalisations alone: elsewhere it costs a Mul over wider values, and wins less."""
    return [layer for layer in filter(None, map(linear, nodes)) if behind_normalisation(layer)]


def _objection(node: ir.Node, patterns: list[str]) -> str | None:
    if excluded(node, patterns):
        return "excluded by pattern"
    weights = node.inputs[1:3] if node.op_type == "LSTM" else node.inputs[1:2]
    if any(w is None or w.const_value is None or w.const_value.dtype != ir.DataType.FLOAT for w in weights):
        return "its weight is no float32 initializer"
    if not all(map(finite, weights)):  # type: ignore[arg-type]
        return NOT_FINITE
    if node.inputs[0] is None or node.inputs[0].const_value is not None:
        return "its input is a constant"
    if node.op_type == "MatMul" and len(weights[0].const_value.shape) != 2:  # type: ignore[union-attr]
        return "its weight is not a matrix"
    if node.op_type == "Gemm" and not _plain(node):
        return "transA, alpha or beta differ from their defaults"
    if node.op_type == "LSTM" and "layout" in node.attributes and node.attributes["layout"].as_int():
        return "its layout is batch first, which the quantized LSTM lacks"
    return None


def _plain(node: ir.Node) -> bool:
    defaults = {"transA": 0.0, "alpha": 1.0, "beta": 1.0}
    return all(float(node.attributes[k].value) == v for k, v in defaults.items() if k in node.attributes)
