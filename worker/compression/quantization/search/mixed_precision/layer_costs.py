"""What each layer costs at 8 and 4 bits, and what it gains: what `mixed_precision` chooses by.

    measured   cost of a layer at b bits: the noise it alone brings to the outputs, Σ (y − y_l)² / Σ y²
    hessian    Ω = Tr(H) / n · ‖Q(W) − W‖²                                       (HAWQ-V2, see `hessian_trace`)

Gains are bytes of weights, or milliseconds by the profile of float, 8-bit and 4-bit kernels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from worker.compression.ir.affine import round_to_nearest
from worker.compression.ir.values import required_input
from worker.compression.layers.batchnorm import untie_batchnorms
from worker.compression.measure.timing.quiet import Patience
from worker.compression.progress import Progress, Within
from worker.compression.quantization.integer.hardware import FOUR_BITS_LIMIT
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.layer_profile import layer_times, profile
from worker.compression.quantization.search.mixed_precision.bit_allocation import FLOAT, Choice
from worker.compression.quantization.search.output_error import OutputComparer
from worker.compression.quantization.search.sensitivity import measure_sensitivities
from worker.compression.steps.context import Context

BITS: Final = (8, 4)
TIMED_BITS: Final = (*BITS, FLOAT)
MAX_ALONE_SAMPLES, MAX_PROBED_SAMPLES = 8, 32
"""On which single layers are judged, and the Hessian is probed."""


@dataclass(frozen=True)
class LayerCosts:
    """By layer: its bytes in float, and by bits costs, milliseconds, and SNRs where they were measured. `total_ms`: of
    the whole model, None where the machine was too busy to tell, and no layer has a time then."""

    bytes: dict[str, int]
    costs: dict[str, dict[int, float]]
    times: dict[str, dict[int, float]]
    snr_db: dict[str, dict[int, float]]
    total_ms: float | None

    def choices(self, readers: Mapping[str, Sequence[str]], *, for_speed: bool) -> dict[str, list[Choice]]:
        """List what each weight costs and gains at each number of bits, with all layers that read it: time where that
        counts and could be told, of all of them; else its bytes, which are stored once."""
        by_time = for_speed and self.total_ms is not None

        def choice(layers: Sequence[str], bits: int) -> Choice:
            gains = [(self._saved_ms if by_time else self._saved_bytes)(layer, bits) for layer in layers]
            cost = sum(self.costs[layer][bits] for layer in layers)
            return Choice(bits, cost, sum(gains) if by_time else gains[0])

        return {
            weight: [
                choice(layers, bits)
                for bits in BITS
                if all(bits in self.costs.get(layer, {}) for layer in layers)
            ]
            for weight, layers in readers.items()
        }

    def _saved_bytes(self, name: str, bits: int) -> float:
        return self.bytes[name] * (FLOAT - bits) / FLOAT

    def _saved_ms(self, name: str, bits: int) -> float:
        times = self.times[name]
        return times[FLOAT] - times[bits] if {FLOAT, bits} <= times.keys() else 0.0

    def speedup(self, chosen: Mapping[str, int]) -> float | None:
        """Estimate how many times as fast the model is with layers in these bits; None where no time could be told."""
        if self.total_ms is None:
            return None
        saved = sum(self._saved_ms(name, bits) for name, bits in chosen.items())
        return self.total_ms / max(self.total_ms - saved, 1e-9)


def by_weight(static: Static) -> dict[str, list[str]]:
    """The layers by the weight that they read: those of one get the same bits, and it is stored once."""
    readers: dict[str, list[str]] = {}
    for node in static.selection().weighted:
        readers.setdefault(str(required_input(node, 1).name), []).append(str(node.name))
    return readers


def layer_costs(
    static: Static,
    output_error: OutputComparer,
    context: Context,
    sensitivity: Literal["measured", "hessian"],
    progress: Progress,
) -> LayerCosts:
    """Measure time and sensitivity of every layer that can be quantized, once for all trials of a search. Raises what
    `traces` raises."""
    names = [str(node.name) for node in static.selection().weighted]
    return context.shared.once(
        "layer_costs",
        static.model,
        static.samples,
        [sensitivity, names],
        lambda: _measured_costs(static, output_error, context, sensitivity, progress),
        to_arrays=_to_arrays,
        from_arrays=_from_arrays,
    )


def _measured_costs(
    static: Static,
    output_error: OutputComparer,
    context: Context,
    sensitivity: Literal["measured", "hessian"],
    progress: Progress,
) -> LayerCosts:
    nodes = {str(node.name): node for node in static.selection().weighted}
    taken = taken_bits(static)
    feed = next(static.samples.take(1).batches(1))
    limits = {8: static.weights.limit, 4: FOUR_BITS_LIMIT}
    patience = Patience(context.progress)
    tried = [b for b in BITS if any(b in bits for bits in taken.values())]
    quantized = {b: static.quantized(limits=dict.fromkeys(nodes, limits[b])) for b in tried}
    graphs = {**quantized, FLOAT: static.model}
    times = {
        b: layer_times(graph, feed, nodes, context.scratch, patience, context.target)
        for b, graph in graphs.items()
    }
    total_ms = sum(profile(static.model, feed, context.scratch, patience, context.target).values()) or None
    told_all = total_ms is not None and all(times.values())
    size = {name: int(node.inputs[1].const_value.nbytes) for name, node in nodes.items()}  # type: ignore[union-attr]
    snr: dict[str, dict[int, float]] = {}
    if sensitivity == "measured":
        snr = _measured_snr(static, output_error, limits, taken, progress)
        costs = {name: {b: 10 ** (-db / 10) for b, db in by_bits.items()} for name, by_bits in snr.items()}
    else:
        costs = _by_hessian(static, limits, context.seed, progress.advance)
    return LayerCosts(
        bytes=size,
        costs=_where_taken(costs, taken),
        times=_where_taken(
            {name: {b: t[name] for b, t in times.items() if told_all and name in t} for name in nodes}, taken
        ),
        snr_db=snr,
        total_ms=total_ms if told_all else None,
    )


def taken_bits(static: Static) -> dict[str, frozenset[int]]:
    """By layer the bits that the target takes for its weights: what is asked for in fewer is written in 8."""
    lacking = static.target.without_four_bits
    return {
        str(node.name): frozenset({8} if node.op_type in lacking else BITS)
        for node in static.selection().weighted
    }


def _where_taken(
    figures: Mapping[str, Mapping[int, float]], taken: Mapping[str, frozenset[int]]
) -> dict[str, dict[int, float]]:
    return {
        name: {bits: figure for bits, figure in by_bits.items() if bits in (FLOAT, *taken[name])}
        for name, by_bits in figures.items()
    }


def _measured_snr(
    static: Static,
    output_error: OutputComparer,
    limits: Mapping[int, int],
    taken: Mapping[str, frozenset[int]],
    progress: Progress,
) -> dict[str, dict[int, float]]:
    """By layer and bits, of those that the target takes."""
    snr: dict[str, dict[int, float]] = {name: {} for name in taken}
    for number, bits in enumerate(BITS):
        part = Within(progress, number / len(BITS), (number + 1) / len(BITS))
        for layer in measure_sensitivities(
            static,
            output_error,
            {},
            part.advance,
            samples=MAX_ALONE_SAMPLES,
            limit=limits[bits],
            of={name for name, own in taken.items() if bits in own},
        ):
            snr[layer.name][bits] = layer.quality.snr_db
    return snr


def _by_hessian(
    static: Static, limits: Mapping[int, int], seed: int, report_progress: Callable[[float], None]
) -> dict[str, dict[int, float]]:
    """Ω by layer and bits; layers that share their weight have none, and stay float."""
    from worker.compression.quantization.search.mixed_precision.hessian_trace import (
        hessian_traces,  # imports torch
    )

    layers, model = static.layers(), static.model.clone()
    untie_batchnorms(model)
    trace = hessian_traces(model, layers, static.samples.take(MAX_PROBED_SAMPLES), seed, report_progress)
    return {
        layer.name: {b: trace[layer.name] * _rounding_error(layer.matrix(), limits[b]) for b in BITS}
        for layer in layers
    }


def _rounding_error(matrix: np.ndarray, limit: int) -> float:
    """‖Q(W) − W‖²"""
    return float(((round_to_nearest(matrix, limit) - matrix).astype(np.float64) ** 2).sum())


def _to_arrays(costs: LayerCosts) -> dict[str, np.ndarray]:
    """NaN for what is not known. Without times nothing: another trial may be able to tell them."""
    if costs.total_ms is None:
        return {}
    names = list(costs.bytes)
    tables = {
        "costs": (costs.costs, BITS),
        "snr_db": (costs.snr_db, BITS),
        "times": (costs.times, TIMED_BITS),
    }
    arrays = {
        name: np.array([[table.get(layer, {}).get(b, np.nan) for b in bits] for layer in names])
        for name, (table, bits) in tables.items()
    }
    sizes = np.array([costs.bytes[name] for name in names], np.int64)
    return {**arrays, "names": np.array(names), "bytes": sizes, "total_ms": np.array(costs.total_ms)}


def _from_arrays(arrays: dict[str, np.ndarray]) -> LayerCosts:
    names = [str(name) for name in arrays["names"]]

    def table(name: str, bits: Sequence[int]) -> dict[str, dict[int, float]]:
        rows = arrays[name].reshape(len(names), len(bits)).tolist()
        known = [{b: v for b, v in zip(bits, row, strict=True) if not np.isnan(v)} for row in rows]
        return dict(zip(names, known, strict=True))

    costs, snr_db = table("costs", BITS), table("snr_db", BITS)
    return LayerCosts(
        bytes=dict(zip(names, arrays["bytes"].tolist(), strict=True)),
        costs={name: by_bits for name, by_bits in costs.items() if by_bits},
        times=table("times", TIMED_BITS),
        snr_db=snr_db if any(snr_db.values()) else {},
        total_ms=float(arrays["total_ms"]),
    )
