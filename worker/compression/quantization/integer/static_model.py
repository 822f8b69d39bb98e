"""A model made ready for static quantization, and any number of quantized forms of it.

Ranges are measured once: which method turns them into scales, and which layers stay float, is decided at each writing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import onnx_ir as ir

from worker.compression.cache.shared_arrays import UNSHARED, SharedArrays
from worker.compression.data.samples import Samples
from worker.compression.ir.affine import Range, round_to_nearest
from worker.compression.ir.arrays import Array
from worker.compression.ir.edit import GraphEdit, remove_unused
from worker.compression.layers.channel_statistics import Channels, input_channels
from worker.compression.layers.linear import Linear, in_main_graph, linear
from worker.compression.quantization.calibration.activation_floor import cut_below_gates
from worker.compression.quantization.calibration.collect import collect_distributions
from worker.compression.quantization.calibration.histogram import Distribution, Method
from worker.compression.quantization.integer.eligibility import Selection, carries, select, weight_axis
from worker.compression.quantization.integer.embeddings import quantize_embeddings, select_embeddings
from worker.compression.quantization.integer.hardware import FULL_LIMIT, TARGETS, Signs, Target, WeightRange
from worker.compression.quantization.integer.integer_ops_writer import IntegerWriter
from worker.compression.quantization.integer.qdq_writer import QdqWriter
from worker.compression.quantization.integer.sixteen_bits import widen
from worker.compression.quantization.integer.spared import Spared
from worker.compression.quantization.preparation.bias_correction import correct_bias, mean_shift
from worker.compression.steps.decisions import LayerDecision, changed_nodes

UNREACHED: Final = "it is in a branch or a body that no calibration sample comes to"
MAX_NAMED = 3
"""Values that a note names."""


@dataclass
class Static:
    """`edit` is of a float graph in the form that integer kernels take; each quantized form is written into a copy.

    By the name of a layer, where they were measured: `means` of its input channels, which its bias is corrected with,
    and its weights as `rounded` by learning. By the name of a value, the `distributions` that ranges come from. With
    `embeddings`, their tables are quantized too, with `corrects_biases` means are wanted of any form of the graph.
    `spared` says what stays float so that nothing collapses. `shared` has what other trials measured. `obstacles` are
    sentences on what stood against a repair; all forms write them down in one place.
    """

    edit: GraphEdit
    weights: WeightRange
    samples: Samples
    method: Method = "percentile"
    percentile: float = 99.99
    target: Target = field(default_factory=lambda: TARGETS["cpu_vnni"])
    embeddings: bool = False
    corrects_biases: bool = False
    means: dict[str, Array] = field(default_factory=dict)
    rounded: dict[str, Array] = field(default_factory=dict)
    distributions: dict[str, Distribution] = field(default_factory=dict)
    unreached: dict[str, str] = field(default_factory=dict)
    spared: Spared = field(default_factory=Spared)
    shared: SharedArrays = UNSHARED
    obstacles: dict[str, None] = field(default_factory=dict)
    _ranges: dict[tuple[str, Method], Range] = field(default_factory=dict, repr=False)

    @property
    def model(self) -> ir.Model:
        """The float model; not to be changed once ranges were measured."""
        return self.edit.model

    def selection(self, float_reasons: Mapping[str, str] | None = None) -> Selection:
        """Choose what is quantized: `float_reasons` names layers that stay float, and says why."""
        return select(self.edit, self._reasons(float_reasons))

    def _reasons(self, float_reasons: Mapping[str, str] | None) -> dict[str, str]:
        """Why layers stay float, those too of branches that no sample takes."""
        return {**self.unreached, **self.spared.float_nodes, **(float_reasons or {})}

    def decisions(self, float_reasons: Mapping[str, str] | None = None) -> list[LayerDecision]:
        """List all that could be quantized, tables among them, and why what stays float does."""
        selection = self.selection(float_reasons)
        return [*selection.layers, *self._embeddings(self.edit, selection, float_reasons)]

    def quantizable(self, float_reasons: Mapping[str, str] | None = None) -> list[ir.Node]:
        """List the layers that are quantized when nothing more is left out; tables come last."""
        return changed_nodes(self.decisions(float_reasons))

    def _embeddings(
        self, edit: GraphEdit, selection: Selection, float_reasons: Mapping[str, str] | None
    ) -> list[LayerDecision]:
        return select_embeddings(edit, selection.weighted, float_reasons) if self.embeddings else []

    def observe(self, report_progress: Callable[[float], None]) -> None:
        """Measure the ranges of all that is quantized when nothing more is left out. Raises what `Observer` raises."""
        selection = self.selection()
        self._measure([str(v.name) for v in map(selection.source, selection.values)], report_progress)
        empty = {name for name, seen in self.distributions.items() if seen.low > seen.high}
        self.unreached = {
            str(node.name): UNREACHED
            for node in selection.weighted
            if node.graph is not self.model.graph
            and {str(value.name) for value in (node.inputs[0], node.outputs[0]) if value is not None} & empty
        }

    def on_clone(self) -> "Static":
        """Another form to be changed, of which nothing is measured yet."""
        return replace(
            self, edit=self.edit.on_clone(), distributions={}, means={}, spared=self.spared.copy(), _ranges={}
        )

    def become(self, other: "Static") -> None:
        """Take over the graph of another form, and what was measured of it."""
        self.edit, self.spared, self.means = other.edit, other.spared, other.means
        self.distributions, self._ranges = other.distributions, other._ranges
        if self.corrects_biases and not self.means:
            self.means = self.channel_means()

    def notes(self) -> list[str]:
        """Say what a reader should know of ranges and of what could not be repaired."""
        return [*self.unvarying(), *self.obstacles]

    def unvarying(self) -> list[str]:
        """Name the values which never changed in a note, where there are such."""
        constant = [
            f"{name!r} (always {seen.low:g})"
            for name, seen in self.distributions.items()
            if seen.low == seen.high
        ]
        if not constant:
            return []
        more = f" and {len(constant) - MAX_NAMED} more" if len(constant) > MAX_NAMED else ""
        return [
            f"Constant on all of the calibration data: {', '.join(constant[:MAX_NAMED])}{more}. Their ranges say "
            "nothing of other data: check that these samples are like what the model will see."
        ]

    def quantized(
        self,
        float_reasons: Mapping[str, str] | None = None,
        *,
        method: Method | None = None,
        limits: Mapping[str, int] | None = None,
        signs: Signs | None = None,
    ) -> ir.Model:
        """Write the model with Q/DQ nodes: `method` and `signs` in place of the usual ones, `limits` of single layers'
        weights."""
        edit = self.edit.on_clone()
        selection = select(edit, self._reasons(float_reasons))
        embeddings = self._embeddings(edit, selection, float_reasons)
        ranges = self._ranges_of(selection, method or self.method)
        self._adjust(edit, selection.weighted, limits or {})
        target = replace(self.target, signs=signs or self.target.signs)
        writer = QdqWriter(edit, self.weights.limit, limits, target)
        writer.write(selection, ranges)
        if self.spared.wide:
            widen(edit, self.spared.wide, {str(node.name) for node in selection.nodes})
        quantize_embeddings(IntegerWriter(edit, FULL_LIMIT, writer.rows), embeddings)
        remove_unused(edit.model)
        return edit.model

    def _adjust(self, edit: GraphEdit, nodes: Iterable[ir.Node], limits: Mapping[str, int]) -> None:
        """Give the layers that are quantized their learned weights, and correct their biases."""
        for layer in filter(None, map(linear, nodes)):
            limit = self.target.limit_of(layer.node.op_type, limits.get(layer.name, self.weights.limit))
            by_channel = self.target.takes_channels(layer.node.op_type, weight_axis(layer.node) or 0)
            learned = self.rounded.get(layer.name) if limit == self.weights.limit and by_channel else None
            if (mean := self.means.get(layer.name)) is not None:
                nearest = round_to_nearest(layer.matrix(), limit, by_channel=by_channel)
                rounded = nearest if learned is None else learned
                correct_bias(edit, layer, mean_shift(layer, rounded, mean))
            if learned is not None:
                layer.put(learned)

    def _ranges_of(self, selection: Selection, method: Method) -> dict[str, Range]:
        """The range of each source by its name.

        Where one is needed that was not measured, all are in one pass: which layers stay float decides which values
        share a scale, and so which are sources.
        """
        return {name: self._range(source, method) for name, source in self._measured(selection).items()}

    def _measured(self, selection: Selection) -> dict[str, ir.Value]:
        sources = {str(source.name): source for source in map(selection.source, selection.values)}
        if any(self._distribution(source) is None for source in sources.values()):
            names = {*sources, *(str(value.name) for value in self.selection().values)}
            self._measure(names - self.distributions.keys(), lambda _: None)
        return sources

    def sources(self) -> dict[ir.Value, Distribution]:
        """What was seen of each value whose scale is used; measured now, where it was not before."""
        seen = {source: self._distribution(source) for source in self._measured(self.selection()).values()}
        return {source: distribution for source, distribution in seen.items() if distribution is not None}

    def _range(self, value: ir.Value, method: Method) -> Range:
        """Computed once for all forms that are written: of `mse` it takes milliseconds for each value."""
        key = str(value.name), method
        if key not in self._ranges:
            distribution = self._distribution(value)
            assert distribution is not None
            self._ranges[key] = distribution.range(method, self.percentile)
        return cut_below_gates(value, self._ranges[key])

    def _distribution(self, value: ir.Value) -> Distribution | None:
        """What only moves values has the range of what it moves."""
        while str(value.name) not in self.distributions:
            producer = value.producer()
            if producer is None or not carries(producer) or producer.inputs[0] is None:
                return None
            value = producer.inputs[0]
            if value.name in self.spared.sentinels:  # what is read behind it may have none of them
                return None
        return self.distributions[str(value.name)]

    def _measure(self, values: Iterable[str], report_progress: Callable[[float], None]) -> None:
        histograms = self.method != "minmax"
        self.distributions |= collect_distributions(
            self.model,
            values,
            self.samples,
            report_progress,
            histograms=histograms,
            infinite=self.spared.marked,
            shared=self.shared,
        )
        self._ranges.clear()

    def layers(self) -> list[Linear]:
        """List those of the main graph that are quantized and are plain matrix products with a weight of their own."""
        layers = filter(None, map(linear, self.selection().weighted))
        return [layer for layer in layers if in_main_graph(layer, self.model)]

    def input_channels(self, *, ranges: bool = True) -> dict[str, Channels]:
        """Measure the channels of each such layer's data, by its name. Raises what `Observer` raises.

        Without `ranges` only means are taken, of values that were looked through before.
        """
        return input_channels(self.model, self.layers(), self.samples, ranges=ranges)

    def channel_means(self) -> dict[str, Array]:
        """Measure what biases are corrected with, by the names of layers, where all was looked through before."""
        return {name: channels.mean for name, channels in self.input_channels(ranges=False).items()}
