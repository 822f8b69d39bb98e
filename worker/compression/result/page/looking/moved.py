"""How far the output of each layer moved, and how the numbers are spread in the layers that moved most.

SNR   = 10 log10( Σ y² / Σ (y − y')² )          over some samples, y the original's output of the layer
shift = mean over q of |Q(q) − Q'(q)| / σ(y)    where a cut has changed the shape: quantiles (Wasserstein's distance)
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx_ir as ir

from worker.compression.graph.nodes.weights import WEIGHT_INPUTS
from worker.compression.ir.arrays import Array
from worker.compression.result.page.charts.spreads import binned
from worker.compression.result.page.looking.pair import Pair, Unseen
from worker.compression.result.page.seen import Spread
from worker.compression.runtime.observe import Observer

SAMPLES: Final = 16
LAYERS: Final = 64
"""The largest; of others nothing is told."""
WORST: Final = 4
KEPT: Final = 4096
"""Numbers of a layer that a histogram is made of, spread over its output."""
TAILS: Final = 0.001
QUANTILES: Final = np.linspace(0, 1, 101)


@dataclass
class _Sides:
    """Sums over what one layer answers in both models."""

    signal: float = 0.0
    noise: float = 0.0
    same_shape: bool = True
    before: list[Array] = field(default_factory=list)
    after: list[Array] = field(default_factory=list)

    def add(self, x: Array, y: Array, most: int) -> None:
        x, y = (np.asarray(side, np.float64).reshape(-1) for side in (x, y))
        if x.size != y.size:
            self.same_shape = False
        else:
            self.signal += float(x @ x)
            self.noise += float((x - y) @ (x - y))
        for kept, side in ((self.before, x), (self.after, y)):
            kept.append(side[:: -(-side.size // most) or 1])

    @property
    def snr_db(self) -> float | None:
        """None where both answer the same."""
        return 10 * math.log10(self.signal / self.noise) if self.noise and self.signal else None

    @property
    def shift(self) -> float:
        """0 where there is nothing to compare."""
        before, after = (side[np.isfinite(side)] for side in map(np.concatenate, (self.before, self.after)))
        if not before.size or not after.size or not before.std():
            return 0.0
        return float(
            np.abs(np.quantile(before, QUANTILES) - np.quantile(after, QUANTILES)).mean() / before.std()
        )


def moved(pair: Pair) -> dict[str, Any]:
    """Raises `Unseen`."""
    values = _values(pair)
    if not values:
        raise Unseen("No output of a layer is in both models.")
    sides = _observed(pair, values)
    snr = {layer: one.snr_db for layer, one in sides.items() if one.same_shape}
    told = {layer: value for layer, value in snr.items() if value is not None}
    cut = sorted((layer for layer in sides if layer not in snr), key=lambda layer: -sides[layer].shift)
    worst = [*sorted(told, key=lambda layer: told[layer]), *cut][:WORST]
    return {
        "snr_db": snr,
        "activations": [_spread(layer, sides[layer].before, sides[layer].after) for layer in worst],
        "weights": list(_weights(pair, worst)),
    }


def _values(pair: Pair) -> dict[str, str]:
    """Layer → the name of its output, where both models have one of that name in floats."""
    largest = sorted(pair.report.layers, key=lambda layer: -layer.size_bytes.before)[:LAYERS]
    wanted = {layer.name for layer in largest}
    known = {str(v.name) for node in pair.after.graph for v in node.outputs if v.type is None or _floats(v)}
    outputs = {str(node.name): node.outputs[0] for node in pair.before.graph if node.name in wanted}
    return {
        layer: str(value.name)
        for layer, value in outputs.items()
        if str(value.name) in known and (value.type is None or _floats(value))
    }


def _floats(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()


def _observed(pair: Pair, values: dict[str, str]) -> dict[str, _Sides]:
    samples = pair.samples.draw(SAMPLES, pair.materials.options.seed).unpadded()
    first, second = (Observer(graph, list(values.values())) for graph in (pair.before, pair.after))
    size = min(first.batch_size(samples), second.batch_size(samples))
    batches = max(1, -(-len(samples) // size))
    sides = {layer: _Sides() for layer in values}
    for one, other in zip(
        first.run(samples, size, checked=True), second.run(samples, size, checked=True), strict=True
    ):
        for layer, x, y in zip(values, one.values, other.values, strict=True):
            sides[layer].add(x, y, KEPT // batches or 1)
        if pair.is_over:
            break
    return sides


def _spread(layer: str, before: list[Array], after: list[Array]) -> Spread:
    edges, first, second = binned(np.concatenate(before), np.concatenate(after), tails=TAILS)
    return Spread(layer, edges, first, second)


def _weights(pair: Pair, layers: list[str]) -> Iterable[Spread]:
    """Of the layers whose weights are floats where the layer takes them, stored so or made so in the graph."""
    first, second = (_weight_values(graph, layers) for graph in (pair.before, pair.after))
    both = [layer for layer in layers if layer in first and layer in second]
    computed = [name for layer in both if isinstance(name := second[layer], str)]
    made = _computed(pair, computed)
    for layer in both:
        sides = [made.get(side) if isinstance(side, str) else side for side in (first[layer], second[layer])]
        if sides[0] is not None and sides[1] is not None:
            yield _spread(layer, *([_thin(side)] for side in sides if side is not None))


def _weight_values(graph: ir.Model, layers: list[str]) -> dict[str, Array | str]:
    """Layer → its weight, or the name of the value that is made of it."""
    found: dict[str, Array | str] = {}
    for node in graph.graph:
        indices = WEIGHT_INPUTS.get(node.op_type, ())
        if node.name not in layers or not indices or indices[0] >= len(node.inputs):
            continue
        value = node.inputs[indices[0]]
        if value is None:
            continue
        if value.const_value is None:
            if value.producer() is not None:
                found[str(node.name)] = str(value.name)
        elif value.const_value.dtype.is_floating_point():
            found[str(node.name)] = value.const_value.numpy().astype(np.float32)
    return found


def _computed(pair: Pair, names: list[str]) -> dict[str, Array]:
    if not names:
        return {}
    samples = pair.samples.take(1).unpadded()
    seen = next(Observer(pair.after, names).run(samples, 1, checked=True))
    floats = zip(names, seen.values, strict=True)
    return {name: x for name, x in floats if x.dtype.kind == "f"}


def _thin(x: Array) -> Array:
    flat = np.asarray(x, np.float64).reshape(-1)
    return flat[:: -(-flat.size // (4 * KEPT)) or 1]
