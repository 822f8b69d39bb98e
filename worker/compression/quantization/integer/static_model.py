"""A model made ready for static quantization, and any number of quantized forms of it.

Ranges are measured once: which method turns them into scales, and which layers stay float, is decided at each writing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir
from onnx_ir.passes import common as passes

from worker.compression.data.samples import Samples
from worker.compression.ir.affine import Array, Range, round_to_nearest
from worker.compression.ir.naming import Names
from worker.compression.layers.channel_statistics import Channels, input_channels
from worker.compression.layers.linear import Linear, linear
from worker.compression.quantization.calibration.activation_floor import gated
from worker.compression.quantization.calibration.collect import distributions
from worker.compression.quantization.calibration.histogram import Distribution, Method
from worker.compression.quantization.integer.eligibility import Selection, carries, select
from worker.compression.quantization.integer.embeddings import quantize_tables, tables
from worker.compression.quantization.integer.hardware import FULL, TARGETS, Target, WeightRange
from worker.compression.quantization.integer.integer_ops_writer import IntegerWriter
from worker.compression.quantization.integer.qdq_writer import QdqWriter
from worker.compression.quantization.preparation.bias_correction import correct, shift
from worker.compression.steps.decisions import LayerDecision, taken

NAMED = 3
"""Values that a note names, at most."""


@dataclass
class Static:
    """`model` is a float graph in the form that integer kernels take; it is never changed.

    `patterns` name the nodes that stay float whatever is decided later. By the name of a layer, where they are given:
    `means` of its input channels, which its bias is corrected with, and its weights as `rounded` by learning. With
    `embeddings`, their tables are quantized too.
    """

    model: ir.Model
    patterns: list[str]
    weights: WeightRange
    samples: Samples
    method: Method = "percentile"
    percentile: float = 99.99
    target: Target = field(default_factory=lambda: TARGETS["cpu_vnni"])
    embeddings: bool = False
    means: dict[str, Array] = field(default_factory=dict)
    rounded: dict[str, Array] = field(default_factory=dict)
    seen: dict[str, Distribution] = field(default_factory=dict)
    _ranges: dict[tuple[str, Method], Range] = field(default_factory=dict, repr=False)

    def selection(self, left: Mapping[str, str] | None = None) -> Selection:
        """What is quantized: `left` names layers that stay float, and says why."""
        return select(self.model, self.patterns, left)

    def told(self, left: Mapping[str, str] | None = None) -> list[LayerDecision]:
        """All that could be quantized, tables among them, and why what stays float does."""
        selection = self.selection(left)
        return [*selection.layers, *self._tables(self.model, selection, left)]

    def quantizable(self, left: Mapping[str, str] | None = None) -> list[ir.Node]:
        """The layers that are quantized when nothing more is left out; tables come last."""
        return taken(self.told(left))

    def _tables(
        self, model: ir.Model, selection: Selection, left: Mapping[str, str] | None = None
    ) -> list[LayerDecision]:
        return tables(model, self.patterns, selection.weighted, left) if self.embeddings else []

    def observe(self, told: Callable[[float], None]) -> None:
        """Measure the ranges of all that is quantized when nothing more is left out. Raises what `Observer` raises."""
        selection = self.selection()
        self._measure([str(v.name) for v in map(selection.source, selection.values)], told)

    def unvarying(self) -> list[str]:
        """A note that names the values which never changed, where there are such."""
        found = [
            f"{name!r} (always {seen.low:g})" for name, seen in self.seen.items() if seen.low == seen.high
        ]
        if not found:
            return []
        more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
        return [
            f"Constant on all of the calibration data: {', '.join(found[:NAMED])}{more}. Their ranges say nothing of "
            "other data: check that these samples are like what the model will see."
        ]

    def quantized(
        self,
        left: Mapping[str, str] | None = None,
        *,
        method: Method | None = None,
        limits: Mapping[str, int] | None = None,
        signed: bool | None = None,
    ) -> ir.Model:
        """The model with Q/DQ nodes: `method` and `signed` in place of the usual ones, `limits` of single weights."""
        model = self.model.clone()
        selection = select(model, self.patterns, left)
        sources = {str(source.name): source for source in map(selection.source, selection.values)}
        self._look(sources.values())
        ranges = {name: self._range(source, method or self.method) for name, source in sources.items()}
        self._adjust(model, selection.weighted, limits or {})
        signed = self.target.signed if signed is None else signed
        writer = QdqWriter(
            model, self.weights.limit, limits, signed=signed, float_bias=self.target.float_bias
        )
        embeddings = self._tables(model, selection, left)
        writer.write(selection, ranges)
        quantize_tables(IntegerWriter(model, FULL, writer.rows), embeddings)
        passes.RemoveUnusedNodesPass()(model)
        return model

    def _adjust(self, model: ir.Model, nodes: Iterable[ir.Node], limits: Mapping[str, int]) -> None:
        """Of the layers that are quantized: weights as they were learned, biases corrected."""
        names = Names(model)
        for layer in filter(None, map(linear, nodes)):
            limit = limits.get(layer.name, self.weights.limit)
            learned = self.rounded.get(layer.name) if limit == self.weights.limit else None
            if (mean := self.means.get(layer.name)) is not None:
                rounded = round_to_nearest(layer.matrix(), limit) if learned is None else learned
                correct(model.graph, layer, shift(layer, rounded, mean), names.fresh(f"{layer.name}_bias"))
            if learned is not None:
                layer.put(learned)

    def _look(self, sources: Iterable[ir.Value]) -> None:
        """Where a value is needed that was not measured, all are in one pass: what is left out decides which share."""
        if any(self._seen(source) is None for source in sources):
            selection = self.selection()
            everything = {str(value.name) for value in (*sources, *selection.values)}
            self._measure(everything - self.seen.keys(), lambda _: None)

    def _range(self, value: ir.Value, method: Method) -> Range:
        """Computed once for all forms that are written: of `mse` it takes milliseconds for each value."""
        key = str(value.name), method
        if key not in self._ranges:
            seen = self._seen(value)
            assert seen is not None
            self._ranges[key] = seen.range(method, self.percentile)
        return gated(value, self._ranges[key])

    def _seen(self, value: ir.Value) -> Distribution | None:
        """What only moves values has the range of what it moves."""
        while str(value.name) not in self.seen:
            producer = value.producer()
            if producer is None or not carries(producer) or producer.inputs[0] is None:
                return None
            value = producer.inputs[0]
        return self.seen[str(value.name)]

    def _measure(self, values: Iterable[str], told: Callable[[float], None]) -> None:
        histograms = self.method != "minmax"
        self.seen |= distributions(self.model, values, self.samples, told, histograms=histograms)
        self._ranges.clear()

    def layers(self) -> list[Linear]:
        """Those that are quantized and are plain matrix products with a weight of their own."""
        return list(filter(None, map(linear, self.selection().weighted)))

    def input_channels(self, *, ranges: bool = True) -> dict[str, Channels]:
        """Of each such layer's data, by the layer's name. Raises what `Observer` raises.

        Without `ranges` only means are taken, of values that were looked through before.
        """
        return input_channels(self.model, self.layers(), self.samples, ranges=ranges)
