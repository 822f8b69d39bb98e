"""Splits outlier channels of what layers read into several, where that was measured to help."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx_ir as ir

from worker.compression.ir.values import required_input
from worker.compression.layers.linear import Linear, linear
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.outlier_split import parts_of, split_channels
from worker.compression.quantization.preparation.scale_groups.rules import label_channels
from worker.compression.quantization.search.repair.judge import MIN_GAIN_DB, Judge
from worker.compression.quantization.search.repair.repairs import Repair
from worker.compression.quantization.search.repair.uneven_scales.uneven import (
    SCALED_SAMPLES,
    Uneven,
    see_channels,
)

SHOWN = 3


def split_outliers(
    static: Static, uneven: Sequence[Uneven], judge: Judge, before: float, a_little: Sequence[Uneven] = ()
) -> list[Repair]:
    """Change `static` in place, and answer what that brought; `before` is its signal to noise. What is uneven
    `a_little` is the cause where nothing is more."""
    causes = [each for each in uneven or a_little if not each.joins]
    names = {str(each.value.name) for each in causes}
    if not names:
        return []
    split = static.on_clone()
    told = _split(split, names)
    if not told:
        return []
    after = judge.snr_db(split)
    if after < before + MIN_GAIN_DB:
        return []
    split.observe(lambda _: None)
    static.become(split)
    first = next(each for each in causes if str(each.value.name) in told)
    others = f" (and those of {len(told) - 1} others)" if len(told) > 1 else ""
    remedy = f"{told[str(first.value.name)]}{others}"
    return [Repair("split", str(first.value.name), first.words, remedy, before, after)]


def _split(static: Static, names: set[str]) -> dict[str, str]:
    """By the value's name what was done."""
    seen = see_channels(static, label_channels(static.edit), SCALED_SAMPLES)
    told = {}
    for value, layers in list(_read(static, names)):
        if value not in seen or len(largest := seen[value].largest) != layers[0].channels:
            continue
        parts = parts_of(largest)
        if parts.max() > 1:
            split_channels(static.edit, layers, parts)
            told[str(value.name)] = _remedy(parts)
    return told


def _read(static: Static, names: set[str]) -> Iterator[tuple[ir.Value, list[Linear]]]:
    """Values of these names that quantized layers read, all of whose channels each layer multiplies."""
    readers: dict[ir.Value, list[Linear]] = {}
    for layer in filter(None, map(linear, static.selection().weighted)):
        value = required_input(layer.node, 0)
        if str(value.name) in names and layer.groups == 1 and layer.node.graph is static.model.graph:
            readers.setdefault(value, []).append(layer)
    for value, layers in readers.items():
        if len({(layer.channel_axis, len(layer.dims)) for layer in layers}) == 1:
            yield value, layers


def _remedy(parts: np.ndarray) -> str:
    channels = np.flatnonzero(parts > 1)
    shown = ", ".join(f"{channel} into {parts[channel]}" for channel in channels[:SHOWN])
    more = f" and {len(channels) - SHOWN} more" if len(channels) > SHOWN else ""
    return f"split: channel {shown}{more} parts"
