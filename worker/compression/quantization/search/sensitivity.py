"""What quantizing each layer alone costs at the outputs, and what it gains in bytes and time.

All other layers stay float, so that the noise at the outputs is this layer's own:

    SNR_l = 10 log10( Σ y² / Σ (y − y_l)² )        y_l the outputs with layer l in integers

Noises of single layers add up almost linearly while they are small, so the layers of the lowest SNR are those whose
exclusion helps most (Wu et al. 2020, arXiv:2004.09602, section 5).
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from worker.compression.measure.network import Feed
from worker.compression.measure.timing.quiet import Patience
from worker.compression.progress import Progress
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.search.layer_profile import layer_times
from worker.compression.quantization.search.output_error import Judge, Judged

FLOAT_BITS = 32


@dataclass(frozen=True)
class Gain:
    """Of one layer in integers: bytes of its weight saved, milliseconds saved; None where that cannot be told."""

    bytes: int
    milliseconds: float | None


UNKNOWN = Gain(0, None)
TOLD_SECONDS = 20.0
"""For a table that nothing is chosen by: it is told so far."""
ALONE = 8
"""Samples on which single layers are judged."""


@dataclass(frozen=True)
class Sensitivity:
    """Of one layer quantized alone."""

    name: str
    op: str
    judged: Judged
    gain: Gain

    def told(self) -> dict[str, Any]:
        """A row of a report."""
        saved = self.gain.milliseconds
        return {
            "name": self.name,
            "op": self.op,
            **self.judged.told(),
            "bytes_saved": self.gain.bytes,
            "ms_saved": None if saved is None else round(saved, 4),
        }


def sensitivities(
    static: Static,
    judge: Judge,
    gains: Mapping[str, Gain],
    told: Callable[[float], None],
    *,
    samples: int | None = None,
    limit: int | None = None,
    seconds: float = math.inf,
) -> list[Sensitivity]:
    """Of every layer that can be quantized, in the graph's order; `limit` in place of the usual one of weights. None is
    begun after so many `seconds`, but the first.

    `gains` may be left empty where they are not asked for. A table is quantized with all that read it.
    """
    layers = static.quantizable()
    names = [str(node.name) for node in layers]
    found: list[Sensitivity] = []
    end = time.monotonic() + seconds
    for number, node in enumerate(layers, 1):
        if found and time.monotonic() > end:
            break
        name = str(node.name)
        limits = None if limit is None else {name: limit}
        alone = static.quantized(others(names, _together(node)), limits=limits)
        found.append(Sensitivity(name, node.op_type, judge(alone, samples), gains.get(name, UNKNOWN)))
        told(number / len(layers))
    return found


def ranked(
    static: Static,
    judge: Judge,
    gains: Mapping[str, Gain],
    told: Callable[[float], None],
    seconds: float = math.inf,
) -> list[Sensitivity]:
    """The most sensitive first."""
    found = sensitivities(static, judge, gains, told, samples=ALONE, seconds=seconds)
    return sorted(found, key=lambda one: one.judged.snr_db)


def _together(node: ir.Node) -> set[str]:
    """A layer's name; of an embedding those of all readers of its table, which is int8 for all of them or for none."""
    table = node.inputs[0] if node.op_type == "Gather" else None
    return {str(node.name)} if table is None else {str(use.node.name) for use in table.uses()}


def others(names: Iterable[str], kept: set[str]) -> dict[str, str]:
    """Every layer but those, with the reason why it stays float for now."""
    return {name: "stays float while others are measured" for name in names if name not in kept}


def measured_gains(
    static: Static, feed: Feed, folder: Path, progress: Progress, bits: int = 8
) -> dict[str, Gain]:
    """Of every layer, by profiling the float model and the one with all layers quantized. What a table's rows cost
    when they become floats again cannot be told from the profile, and no time where the machine was too busy."""
    patience = Patience(progress)
    nodes = static.quantizable()
    layers = [str(node.name) for node in nodes if node.op_type != "Gather"]
    before = layer_times(static.model, feed, layers, folder, patience)
    after = layer_times(static.quantized(), feed, layers, folder, patience)
    return {
        name: Gain(
            _elements(node) * (FLOAT_BITS - bits) // 8,
            before[name] - after[name] if name in before and name in after else None,
        )
        for name, node in ((str(node.name), node) for node in nodes)
    }


def _elements(node: ir.Node) -> int:
    weight = node.inputs[0 if node.op_type == "Gather" else 1]
    assert weight is not None
    assert weight.const_value is not None
    return int(weight.const_value.size)
