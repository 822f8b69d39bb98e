"""A model made ready for static quantization, and any number of quantized forms of it.

Ranges are measured once: which method turns them into scales, and which layers stay float, is decided at each writing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import onnx_ir as ir
from onnx_ir.passes import common as passes

from worker.compression.data.samples import Samples
from worker.compression.techniques.calibration import Distribution, Method, distributions
from worker.compression.techniques.gates import gated
from worker.compression.techniques.kernels import WeightRange
from worker.compression.techniques.qdq import QdqWriter
from worker.compression.techniques.ranges import Range
from worker.compression.techniques.selection import CARRYING, Selection, select


@dataclass
class Static:
    """`model` is a float graph in the form that integer kernels take; it is never changed.

    `patterns` name the nodes that stay float whatever is decided later.
    """

    model: ir.Model
    patterns: list[str]
    weights: WeightRange
    samples: Samples
    method: Method = "percentile"
    percentile: float = 99.99
    seen: dict[str, Distribution] = field(default_factory=dict)

    def selection(self, left: Mapping[str, str] | None = None) -> Selection:
        """What is quantized: `left` names layers that stay float, and says why."""
        return select(self.model, self.patterns, left)

    def observe(self, told: Callable[[float], None]) -> None:
        """Measure the ranges of all that is quantized when nothing more is left out. Raises what `Observer` raises."""
        selection = self.selection()
        self._measure([str(v.name) for v in map(selection.source, selection.values)], told)

    def quantized(
        self,
        left: Mapping[str, str] | None = None,
        *,
        method: Method | None = None,
        limits: Mapping[str, int] | None = None,
    ) -> ir.Model:
        """The model with Q/DQ nodes. `method` in place of the usual one; `limits` of single layers' weights."""
        model = self.model.clone()
        selection = select(model, self.patterns, left)
        sources = {str(source.name): source for source in map(selection.source, selection.values)}
        ranges = {name: self._range(source, method or self.method) for name, source in sources.items()}
        QdqWriter(model, self.weights.limit, limits).write(selection, ranges)
        passes.RemoveUnusedNodesPass()(model)
        return model

    def _range(self, value: ir.Value, method: Method) -> Range:
        return gated(value, self._seen(value).range(method, self.percentile))

    def _seen(self, value: ir.Value) -> Distribution:
        """Measured now where it was not before: what only moves values has the range of what it moves."""
        at = value
        while str(at.name) not in self.seen:
            producer = at.producer()
            if producer is None or producer.op_type not in CARRYING or producer.inputs[0] is None:
                self._measure([str(value.name)], lambda _: None)
                return self.seen[str(value.name)]
            at = producer.inputs[0]
        return self.seen[str(at.name)]

    def _measure(self, values: Iterable[str], told: Callable[[float], None]) -> None:
        histograms = self.method != "minmax"
        self.seen |= distributions(self.model, values, self.samples, told, histograms=histograms)
