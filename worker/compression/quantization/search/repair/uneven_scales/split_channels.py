"""Splits outlier channels of what layers read into several."""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import onnx_ir as ir

from worker.compression.ir.values import required_input
from worker.compression.layers.linear import Linear, linear
from worker.compression.quantization.integer.static_model import Static
from worker.compression.quantization.preparation.outlier_split import parts_of, split_channels
from worker.compression.quantization.preparation.scale_groups.rules import label_channels
from worker.compression.quantization.search.repair.uneven_scales.equal_forms import EqualForm
from worker.compression.quantization.search.repair.uneven_scales.uneven import (
    SCALED_SAMPLES,
    Uneven,
    see_channels,
)

SHOWN = 3


def split(static: Static, uneven: Sequence[Uneven]) -> Iterator[EqualForm]:
    """The outliers of all that is uneven and no join."""
    causes = {str(each.value.name): each for each in uneven if not each.joins}
    if not causes:
        return
    form = static.on_clone()
    if told := _split(form, causes.keys()):
        first = next(name for name in causes if name in told)
        others = f" (and those of {len(told) - 1} others)" if len(told) > 1 else ""
        yield EqualForm(form, "split", first, causes[first].words, f"{told[first]}{others}")


def _split(static: Static, names: Collection[str]) -> dict[str, str]:
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


def _read(static: Static, names: Collection[str]) -> Iterator[tuple[ir.Value, list[Linear]]]:
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
