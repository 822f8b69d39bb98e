"""Measures what quantizing each layer alone costs at the outputs, and what it gains in bytes and time.

All other layers stay float, so that the noise at the outputs is this layer's own:

    SNR_l = 10 log10( Σ y² / Σ (y − y_l)² )        y_l the outputs with layer l in integers

Noises of single layers add up almost linearly while they are small, so the layers of the lowest SNR are those whose
exclusion helps most (Wu et al. 2020, arXiv:2004.09602, section 5).
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from worker.compression.ir.values import required_input, tensor_of
from worker.compression.measure.network import Feed
from worker.compression.measure.timing.quiet import Patience
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.layer_profile import layer_times
from worker.compression.quantization.search.output_error import OutputComparer, OutputQuality
from worker.compression.steps.context import Context

SAVED_BYTES = 3
"""By a weight of 8 bits in place of 32."""


@dataclass(frozen=True)
class Gain:
    """Of one layer in integers: bytes of its weight saved, milliseconds saved; None where that cannot be told."""

    bytes: int
    milliseconds: float | None


UNKNOWN_GAIN = Gain(0, None)
MAX_REPORT_SECONDS = 20.0
"""For a ranking that nothing is chosen by: it is reported as far as it comes."""
MAX_SINGLE_LAYER_SAMPLES = 8
"""On which a layer alone is judged."""


@dataclass(frozen=True)
class Sensitivity:
    """Of one layer quantized alone."""

    name: str
    op: str
    quality: OutputQuality
    gain: Gain

    def as_report(self) -> dict[str, Any]:
        """Make a row of a report."""
        saved = self.gain.milliseconds
        return {
            "name": self.name,
            "op": self.op,
            **self.quality.as_report(),
            "bytes_saved": self.gain.bytes,
            "ms_saved": None if saved is None else round(saved, 4),
        }


def measure_sensitivities(
    static: Static,
    output_error: OutputComparer,
    gains: Mapping[str, Gain],
    report_progress: Callable[[float], None],
    *,
    samples: int | None = None,
    limit: int | None = None,
    of: Collection[str] | None = None,
    seconds: float = math.inf,
) -> list[Sensitivity]:
    """Measure every layer that can be quantized, or those `of` these names, in the graph's order; `limit` in place of
    the usual one of weights. After so many `seconds` none is begun, but the first.

    `gains` may be left empty where they are not asked for. A table is quantized with all that read it.
    """
    layers = static.quantizable()
    names = [str(node.name) for node in layers]
    measured: list[Sensitivity] = []
    end = time.monotonic() + seconds
    chosen = [node for node in layers if of is None or node.name in of]
    for number, node in enumerate(chosen, 1):
        if measured and time.monotonic() > end:
            break
        name = str(node.name)
        limits = None if limit is None else {name: limit}
        alone = static.quantized(all_but(names, _table_readers(node)), limits=limits)
        measured.append(
            Sensitivity(name, node.op_type, output_error(alone, samples), gains.get(name, UNKNOWN_GAIN))
        )
        report_progress(number / len(chosen))
    return measured


def rank_by_sensitivity(
    static: Static,
    output_error: OutputComparer,
    gains: Mapping[str, Gain],
    report_progress: Callable[[float], None],
    seconds: float = math.inf,
) -> list[Sensitivity]:
    """Measure all layers and list the most sensitive first."""
    unordered = measure_sensitivities(
        static, output_error, gains, report_progress, samples=MAX_SINGLE_LAYER_SAMPLES, seconds=seconds
    )
    return sorted(unordered, key=lambda layer: layer.quality.snr_db)


def _table_readers(node: ir.Node) -> set[str]:
    """A layer's name; of an embedding those of all readers of its table, which is int8 for all of them or for none."""
    table = node.inputs[0] if node.op_type == "Gather" else None
    return {str(node.name)} if table is None else {str(use.node.name) for use in table.uses()}


def all_but(names: Iterable[str], measured: set[str]) -> dict[str, str]:
    """Name every layer but those, with the reason why it stays float for now."""
    return {name: "stays float while others are measured" for name in names if name not in measured}


def measure_gains(static: Static, feed: Feed, context: Context) -> dict[str, Gain]:
    """Measure the gain of every layer by profiling the float model and the one with all layers quantized.

    What an embedding's rows cost when they become floats again cannot be told from the profile, nor can any time where
    the machine was too busy."""
    patience = Patience(context.progress)
    nodes = static.quantizable()
    layers = [str(node.name) for node in nodes if node.op_type != "Gather"]
    before = layer_times(static.model, feed, layers, context.scratch, patience, context.target)
    after = layer_times(static.quantized(), feed, layers, context.scratch, patience, context.target)
    return {
        name: Gain(
            _elements(node) * SAVED_BYTES,
            before[name] - after[name] if name in before and name in after else None,
        )
        for name, node in ((str(node.name), node) for node in nodes)
    }


def _elements(node: ir.Node) -> int:
    weight = required_input(node, 0 if node.op_type == "Gather" else 1)
    return int(tensor_of(weight).size)
